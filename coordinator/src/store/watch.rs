//! Changes on their way to whoever watches.

use std::collections::VecDeque;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{Change, Revision, StoreError};

/// Changes kept for watchers that start late or read slowly.
const KEPT: usize = 4096;

/// Changes under one prefix, in order.
pub struct Watcher {
    prefix: String,
    seen: Revision,
    backlog: VecDeque<Change>,
    live: broadcast::Receiver<Change>,
}

impl Watcher {
    /// The next change; `None` once the store is closed.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] when the watcher fell too far behind.
    pub async fn next(&mut self) -> Result<Option<Change>, StoreError> {
        loop {
            let change = match self.backlog.pop_front() {
                Some(change) => change,
                None => match self.live.recv().await {
                    Ok(change) => change,
                    Err(RecvError::Closed) => return Ok(None),
                    Err(RecvError::Lagged(_)) => return Err(StoreError::Compacted(self.seen)),
                },
            };
            if change.revision() > self.seen {
                self.seen = change.revision();
                if change.key().starts_with(&self.prefix) {
                    return Ok(Some(change));
                }
            }
        }
    }
}

/// The sending side: a bounded history and the live feed.
pub(super) struct History {
    /// Changes up to here are not in `kept`.
    floor: Revision,
    kept: VecDeque<Change>,
    live: broadcast::Sender<Change>,
}

impl History {
    pub(super) fn new(revision: Revision) -> Self {
        Self { floor: revision, kept: VecDeque::new(), live: broadcast::channel(KEPT).0 }
    }

    pub(super) fn publish(&mut self, change: Change) {
        if self.kept.len() == KEPT
            && let Some(oldest) = self.kept.pop_front()
        {
            self.floor = oldest.revision();
        }
        self.kept.push_back(change.clone());
        // Nobody may be watching.
        let _ = self.live.send(change);
    }

    pub(super) fn watch(&self, prefix: &str, after: Revision) -> Result<Watcher, StoreError> {
        if after < self.floor {
            return Err(StoreError::Compacted(after));
        }
        let backlog = self.kept.iter().filter(|change| change.revision() > after).cloned().collect();
        Ok(Watcher { prefix: prefix.to_owned(), seen: after, backlog, live: self.live.subscribe() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(revision: Revision) -> Change {
        Change::Deleted { key: "k".to_owned(), revision }
    }

    #[tokio::test]
    async fn watchers_that_are_too_late_or_too_slow_are_told() {
        let mut history = History::new(10);
        assert!(matches!(history.watch("", 9), Err(StoreError::Compacted(9))), "before the store was opened");
        let mut slow = history.watch("", 10).unwrap();
        let changes = KEPT as Revision + 1;
        (11..11 + changes).for_each(|revision| history.publish(gone(revision)));
        assert!(matches!(history.watch("", 10), Err(StoreError::Compacted(10))));
        let mut timely = history.watch("", 11).unwrap();
        assert_eq!(timely.next().await.unwrap(), Some(gone(12)));
        assert!(matches!(slow.next().await, Err(StoreError::Compacted(10))));
        drop(history);
        while let Some(change) = timely.next().await.unwrap() {
            assert!(change.revision() <= 10 + changes);
        }
    }
}
