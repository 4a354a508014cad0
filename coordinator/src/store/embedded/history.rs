//! The latest changes, and the watchers that read them.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::super::{Change, Changes, Revision, StoreError, Watcher};

/// Transactions kept for watchers that start late or read slowly.
const KEPT: usize = 4096;
/// What they may weigh, bytes: values can be large.
const KEPT_BYTES: usize = 64 << 20;

#[derive(Default)]
struct RetainedChanges {
    /// Changes up to here are not in `changes`.
    floor: Revision,
    bytes: usize,
    changes: VecDeque<Arc<Changes>>,
}

impl RetainedChanges {
    /// The oldest changes after `seen`; `None` where there are none yet.
    fn after(&self, seen: Revision) -> Result<Option<Arc<Changes>>, StoreError> {
        if seen < self.floor {
            return Err(StoreError::Compacted(seen));
        }
        let next = self.changes.partition_point(|changes| changes.revision <= seen);
        Ok(self.changes.get(next).cloned())
    }
}

/// A bounded history. Watchers end when it is dropped.
pub(super) struct History {
    kept: Arc<Mutex<RetainedChanges>>,
    newest: watch::Sender<Revision>,
}

impl History {
    /// Begins after `revision`.
    pub(super) fn new(revision: Revision) -> Self {
        let kept = Arc::new(Mutex::new(RetainedChanges { floor: revision, ..RetainedChanges::default() }));
        Self { kept, newest: watch::channel(revision).0 }
    }

    pub(super) fn newest(&self) -> Revision {
        *self.newest.borrow()
    }

    pub(super) fn publish(&self, changes: Changes) {
        let revision = changes.revision;
        {
            let mut kept = self.kept.lock();
            kept.bytes += weight(&changes);
            kept.changes.push_back(Arc::new(changes));
            while kept.changes.len() > KEPT || kept.bytes > KEPT_BYTES && kept.changes.len() > 1 {
                let Some(oldest) = kept.changes.pop_front() else { break };
                kept.bytes -= weight(&oldest);
                kept.floor = oldest.revision;
            }
        }
        self.newest.send_replace(revision);
    }

    /// Forgets everything up to `revision`: watchers that have not seen it have to list.
    pub(super) fn forget(&self, revision: Revision) {
        *self.kept.lock() = RetainedChanges { floor: revision, ..RetainedChanges::default() };
        self.newest.send_replace(revision);
    }

    pub(super) fn watch(&self, prefix: &str, after: Revision) -> Result<Watcher, StoreError> {
        // At once, so that who asks for too much need not wait for a change to hear it.
        self.kept.lock().after(after)?;
        let reader = Reader {
            prefix: prefix.to_owned(),
            seen: after,
            kept: Arc::clone(&self.kept),
            newest: self.newest.subscribe(),
        };
        let next = |reader: Option<Reader>| async move {
            let mut reader = reader?;
            match reader.next().await {
                Ok(Some(changes)) => Some((Ok(changes), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        };
        Ok(futures::stream::unfold(Some(reader), next).boxed())
    }
}

fn weight(changes: &Changes) -> usize {
    let one = |change: &Change| match change {
        Change::Put(entry) => entry.key.len() + entry.value.len(),
        Change::Deleted(key) => key.len(),
    };
    changes.changes.iter().map(one).sum()
}

/// One watcher.
struct Reader {
    prefix: String,
    seen: Revision,
    kept: Arc<Mutex<RetainedChanges>>,
    newest: watch::Receiver<Revision>,
}

impl Reader {
    /// `None` once the history is gone.
    async fn next(&mut self) -> Result<Option<Changes>, StoreError> {
        loop {
            self.newest.mark_unchanged();
            let found = self.kept.lock().after(self.seen)?;
            let Some(found) = found else {
                match self.newest.changed().await {
                    Ok(()) => continue,
                    Err(_) => return Ok(None),
                }
            };
            self.seen = found.revision;
            let mine = found.changes.iter().filter(|change| change.key().starts_with(&self.prefix));
            let changes: Vec<Change> = mine.cloned().collect();
            if !changes.is_empty() {
                return Ok(Some(Changes { revision: found.revision, changes }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(revision: Revision) -> Changes {
        Changes { revision, changes: vec![Change::Deleted("k".to_owned())] }
    }

    #[tokio::test]
    async fn history_is_bounded_and_who_asks_for_more_is_told() {
        let history = History::new(0);
        let mut sleepy = history.watch("", 0).unwrap();
        for revision in 1..=KEPT as Revision + 2 {
            history.publish(gone(revision));
        }
        assert!(matches!(history.watch("", 1), Err(StoreError::Compacted(1))));
        let mut watcher = history.watch("", 2).unwrap();
        assert_eq!(watcher.next().await.unwrap().unwrap().revision, 3);
        assert!(matches!(sleepy.next().await, Some(Err(StoreError::Compacted(0)))));
        assert!(sleepy.next().await.is_none());
    }

    #[tokio::test]
    async fn large_values_count() {
        let history = History::new(0);
        for revision in 1..=3 {
            let value = bytes::Bytes::from(vec![0; KEPT_BYTES / 2]);
            let entry = crate::store::Entry { key: "k".to_owned(), value, revision };
            history.publish(Changes { revision, changes: vec![Change::Put(entry)] });
        }
        assert!(matches!(history.watch("", 1), Err(StoreError::Compacted(1))));
        assert!(history.watch("", 2).is_ok());
    }

    #[tokio::test]
    async fn the_end_of_the_store_ends_watchers() {
        let history = History::new(0);
        let mut watcher = history.watch("", 0).unwrap();
        history.publish(gone(1));
        drop(history);
        assert!(watcher.next().await.unwrap().is_ok());
        assert!(watcher.next().await.is_none());
    }
}
