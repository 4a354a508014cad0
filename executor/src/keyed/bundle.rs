//! The state that a running bundle sees: what is stored, under what it has changed itself.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::RwLock;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;
use udfleet_state_store::{PartitionStore, StateChange, StoreError};

use super::overlay::Overlay;
use crate::link::{BundleState, Change, StateAnswer, StateRequest};

/// The most bytes of keys and values that one bundle may change in one partition.
const MAX_CHANGES: usize = 64 << 20;
/// The most entries of a page.
const MAX_PAGE: usize = 10_000;
/// An answer ends with the value that reaches so many bytes: the function asks on from there.
const MAX_ANSWER: usize = 16 << 20;

/// The changes of a bundle, held back until it is confirmed.
pub struct BundleChanges {
    store: Arc<PartitionStore>,
    stream: String,
    overlay: RwLock<Overlay>,
    /// Why the store could not be read: the function only hears that it can't.
    failure: Mutex<Option<Error>>,
}

impl BundleChanges {
    /// Of a bundle that begins.
    #[must_use]
    pub fn new(store: Arc<PartitionStore>, stream: &str) -> Arc<Self> {
        let (overlay, failure) = (RwLock::default(), Mutex::default());
        Arc::new(Self { store, stream: stream.to_owned(), overlay, failure })
    }

    /// Why a request of the function failed, if one did.
    pub fn failure(&self) -> Option<Error> {
        self.failure.lock().take()
    }

    /// All changes, as one write takes them.
    ///
    /// # Errors
    /// Where the store can't be read, or the changes are too many.
    pub async fn collect(&self) -> Result<Vec<StateChange>, Error> {
        let overlay = self.overlay.read().await;
        let mut changes: Vec<StateChange> = overlay.changes().collect();
        let mut bytes = overlay.bytes();
        for prefix in overlay.cleared() {
            let mut after = None;
            loop {
                let page = self.store.page(&self.stream, prefix, after.as_deref(), MAX_PAGE).await;
                let page = page.map_err(|error| unreadable(&error))?;
                let last = page.entries.last().map(|(key, _)| key.to_vec());
                for (key, _) in page.entries.into_iter().filter(|(key, _)| overlay.hides(key)) {
                    bytes += key.len();
                    changes.push(StateChange { key: key.to_vec(), value: None });
                }
                if bytes > MAX_CHANGES {
                    return Err(too_many());
                }
                if page.is_last {
                    break;
                }
                after = last;
            }
        }
        // Of prefixes that lie in one another, keys come more than once.
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        changes.dedup_by(|a, b| a.key == b.key);
        Ok(changes)
    }

    /// The function hears why its request can't be answered, and the bundle fails for it whatever the function makes of that.
    fn failed(&self, error: Error) -> StateAnswer {
        let why = error.info().message.clone();
        self.failure.lock().get_or_insert(error);
        StateAnswer::Failed(why)
    }

    async fn read(&self, keys: Vec<Vec<u8>>) -> Result<StateAnswer, Error> {
        let overlay = self.overlay.read().await;
        let mut values: Vec<_> = keys.iter().map(|key| overlay.get(key)).collect();
        drop(overlay);
        let wanted: Vec<usize> = (0..keys.len()).filter(|index| values[*index].is_none()).collect();
        if !wanted.is_empty() {
            let stored: Vec<Vec<u8>> = wanted.iter().map(|index| keys[*index].clone()).collect();
            let stored = self.store.read_first(&self.stream, &stored, MAX_ANSWER).await;
            let stored = stored.map_err(|error| unreadable(&error))?;
            for (index, value) in wanted.into_iter().zip(stored) {
                values[index] = Some(value);
            }
        }
        // Up to the first that was not read.
        let values = values.into_iter().map_while(|value| value);
        Ok(StateAnswer::Values(first(values, |value| value.as_ref().map_or(0, Bytes::len))))
    }

    async fn page(&self, prefix: &[u8], after: Option<Vec<u8>>, limit: usize) -> Result<StateAnswer, Error> {
        let limit = limit.clamp(1, MAX_PAGE);
        let (mut after, mut entries) = (after, Vec::new());
        let overlay = self.overlay.read().await;
        loop {
            let page = self.store.page(&self.stream, prefix, after.as_deref(), limit).await;
            let page = page.map_err(|error| unreadable(&error))?;
            let end = page.entries.last().map(|(key, _)| key.to_vec());
            entries.extend(overlay.seen(prefix, after.as_deref(), page.entries, page.is_last));
            let bytes: usize = entries.iter().map(entry_bytes).sum();
            if page.is_last || entries.len() >= limit || bytes >= MAX_ANSWER {
                let found = entries.len();
                let entries = first(entries.into_iter().take(limit), entry_bytes);
                return Ok(StateAnswer::Page { is_last: page.is_last && entries.len() == found, entries });
            }
            after = end;
        }
    }

    async fn write(&self, cleared: Vec<Vec<u8>>, changes: Vec<Change>) -> Result<StateAnswer, Error> {
        let mut overlay = self.overlay.write().await;
        overlay.write(cleared, changes);
        if overlay.bytes() > MAX_CHANGES { Err(too_many()) } else { Ok(StateAnswer::Written) }
    }
}

#[tonic::async_trait]
impl BundleState for BundleChanges {
    async fn answer(&self, request: StateRequest) -> StateAnswer {
        let answer = match request {
            StateRequest::Read(keys) => self.read(keys).await,
            StateRequest::Page { prefix, after, limit } => self.page(&prefix, after, limit).await,
            StateRequest::Write { cleared, changes } => self.write(cleared, changes).await,
        };
        answer.unwrap_or_else(|error| self.failed(error))
    }

    fn too_long(&self) -> StateAnswer {
        self.failed(too_many())
    }
}

/// The first items whose bytes an answer holds; one at least.
fn first<T>(items: impl Iterator<Item = T>, bytes: impl Fn(&T) -> usize) -> Vec<T> {
    let mut held = 0;
    let fits = |item: &T| {
        let fits = held < MAX_ANSWER;
        held += bytes(item);
        fits
    };
    items.take_while(fits).collect()
}

fn entry_bytes((key, value): &(Bytes, Bytes)) -> usize {
    key.len() + value.len()
}

fn too_many() -> Error {
    let message = format!("a bundle changes more than {} MiB of keyed state in one partition", MAX_CHANGES >> 20);
    Error::new(ErrorCode::LimitExceeded, message).hint("make bundles smaller: python.fn-execution.bundle.size")
}

/// A failure of a partition's store, for who asked.
pub fn unreadable(error: &StoreError) -> Error {
    let code = match error {
        StoreError::Damaged { .. } | StoreError::Invalid { .. } => ErrorCode::Internal,
        _ => ErrorCode::NoCapacity,
    };
    Error::new(code, format!("keyed state: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_the_item_that_fills_it() {
        assert_eq!(first([0, 1, MAX_ANSWER - 1, 5, 6].into_iter(), |size| *size), [0, 1, MAX_ANSWER - 1]);
        assert_eq!(first([MAX_ANSWER * 3, 0].into_iter(), |size| *size), [MAX_ANSWER * 3], "one at least");
        assert!(first(std::iter::empty::<usize>(), |size| *size).is_empty());
    }
}
