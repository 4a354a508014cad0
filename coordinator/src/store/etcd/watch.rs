//! Watchers: one stream of etcd each, its events put together by revision.

use std::collections::VecDeque;
use std::sync::Arc;

use etcd_client::{Event, EventType, KeyValue, WatchOptions, WatchStream};
use futures::StreamExt as _;

use super::super::{Change, Changes, Revision, StoreError, Watcher};
use super::connect::Services;
use super::members::Repeat;
use super::{Etcd, revision, signed};

/// Opens a watch; returns once etcd has accepted it.
pub(super) async fn open(etcd: Arc<Etcd>, prefix: &str, after: Revision) -> Result<Watcher, StoreError> {
    let key = etcd.keys.entry(prefix);
    let options = WatchOptions::new().with_prefix().with_start_revision(signed(after) + 1);
    let create = |mut services: Services| {
        let (key, options) = (key.clone(), options.clone());
        async move {
            let mut stream = services.watch.watch(key, Some(options)).await?;
            // Without events: it says that the watch exists, and where etcd is.
            let created = stream.message().await?;
            Ok((stream, created))
        }
    };
    let (stream, created) = etcd.members.request(Repeat::Safe, create).await?;
    let now = created.as_ref().and_then(|created| created.header()).map_or(0, |header| revision(header.revision()));
    if now < after {
        // etcd was restored from a backup: what came after `after` is another history.
        return Err(StoreError::Compacted(after));
    }
    let closed = etcd.closed.clone();
    let reader = WatchReader { etcd, stream, seen: after, pending: VecDeque::new() };
    let next = |reader: Option<WatchReader>| async move {
        let mut reader = reader?;
        match reader.next().await {
            Ok(changes) => Some((Ok(changes), Some(reader))),
            Err(error) => Some((Err(error), None)),
        }
    };
    Ok(futures::stream::unfold(Some(reader), next).take_until(closed.cancelled_owned()).boxed())
}

struct WatchReader {
    etcd: Arc<Etcd>,
    stream: WatchStream,
    seen: Revision,
    pending: VecDeque<(Revision, Vec<RawChange>)>,
}

/// A change as etcd tells it: large values are chunks yet.
enum RawChange {
    Put(String, KeyValue),
    Deleted(String),
}

impl WatchReader {
    async fn next(&mut self) -> Result<Changes, StoreError> {
        loop {
            let Some((at, raw)) = self.pending.pop_front() else {
                self.read().await?;
                continue;
            };
            let mut changes = Vec::with_capacity(raw.len());
            for change in raw {
                changes.push(match change {
                    RawChange::Deleted(key) => Change::Deleted(key),
                    RawChange::Put(key, found) => Change::Put(self.etcd.whole(key, found, at).await?),
                });
            }
            self.seen = at;
            return Ok(Changes { revision: at, changes });
        }
    }

    async fn read(&mut self) -> Result<(), StoreError> {
        let unavailable = |why: &str| StoreError::Unavailable(format!("etcd has ended a watch: {why}"));
        let message = self.stream.message().await.map_err(|e| unavailable(&e.to_string()))?;
        let message = message.ok_or_else(|| unavailable("it closes the connection"))?;
        // A compaction is no error of the stream.
        if message.compact_revision() > 0 {
            return Err(StoreError::Compacted(self.seen));
        }
        if message.canceled() {
            return Err(unavailable(message.cancel_reason()));
        }
        for event in message.events() {
            let Some((at, change)) = self.raw(event) else { continue };
            match self.pending.back_mut().filter(|(revision, _)| *revision == at) {
                Some((_, changes)) => changes.push(change),
                None => self.pending.push_back((at, vec![change])),
            }
        }
        Ok(())
    }

    fn raw(&self, event: &Event) -> Option<(Revision, RawChange)> {
        let found = event.kv()?;
        let key = self.etcd.keys.key_of(found.key())?;
        let change = match event.event_type() {
            EventType::Put => RawChange::Put(key, found.clone()),
            EventType::Delete => RawChange::Deleted(key),
        };
        Some((revision(found.mod_revision()), change))
    }
}
