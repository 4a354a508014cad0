//! Follows the changes under a prefix for as long as the store is open, whatever happens on the way.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures::StreamExt as _;
use udfleet_edge::clock;

use super::{Changes, Listing, MetaStore, Revision, StoreError};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Takes changes in.
#[tonic::async_trait]
pub trait Follower: Send {
    /// The next changes, in order. They come again where this fails, and may come again anyway.
    async fn changed(&mut self, changes: Changes) -> Result<(), StoreError>;

    /// Changes were missed: everything that there is now.
    async fn listed(&mut self, listing: Listing) -> Result<(), StoreError>;
}

/// Tells `follower` all changes after revision `after`. An error ends nothing: the store is watched again from the last
/// revision that was taken in, after a pause that grows with every failure. Returns when the store is closed.
pub async fn follow(store: &dyn MetaStore, prefix: &str, after: Revision, follower: &mut dyn Follower) {
    let pauses = ExponentialBuilder::new().with_min_delay(FIRST_PAUSE).with_max_delay(LONGEST_PAUSE).with_jitter();
    let pauses = pauses.without_max_times();
    let mut position = Position { revision: after, compacted: false };
    let mut waits = pauses.build();
    loop {
        let before = position.revision;
        let error = match watch(store, prefix, &mut position, follower).await {
            Ok(()) | Err(StoreError::Closed) => return,
            Err(StoreError::Compacted(_)) if !position.compacted => {
                tracing::info!(prefix, "the metadata store has forgotten what came meanwhile: all is read again");
                position.compacted = true;
                continue;
            }
            Err(error) => error,
        };
        if position.revision != before {
            waits = pauses.build();
        }
        let pause = waits.next().unwrap_or(LONGEST_PAUSE);
        tracing::warn!(prefix, %error, ?pause, "following the metadata store is tried again");
        clock::sleep(pause).await;
    }
}

/// How far a follower has come.
struct Position {
    revision: Revision,
    /// What came after `revision` is no longer kept.
    compacted: bool,
}

async fn watch(
    store: &dyn MetaStore,
    prefix: &str,
    position: &mut Position,
    follower: &mut dyn Follower,
) -> Result<(), StoreError> {
    if position.compacted {
        let listing = store.list(prefix).await?;
        let revision = listing.revision;
        follower.listed(listing).await?;
        *position = Position { revision, compacted: false };
    }
    let mut watcher = store.watch(prefix, position.revision).await?;
    while let Some(changes) = watcher.next().await {
        let changes = changes?;
        let revision = changes.revision;
        follower.changed(changes).await?;
        position.revision = revision;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use bytes::Bytes;
    use parking_lot::Mutex;

    use super::super::{Change, Condition, Entry, LeaseId, StoreOutage, Watcher, Write};
    use super::*;

    type Script = Vec<Result<Changes, StoreError>>;

    /// A store whose watches yield what the test wrote down for them, and which notes from where they began.
    #[derive(Default)]
    struct Scripted {
        watches: Mutex<VecDeque<Result<Script, StoreError>>>,
        begun: Mutex<Vec<Revision>>,
    }

    #[tonic::async_trait]
    impl MetaStore for Scripted {
        async fn get(&self, _: &str) -> Result<Option<Entry>, StoreError> {
            Ok(None)
        }
        async fn list(&self, _: &str) -> Result<Listing, StoreError> {
            Ok(Listing { entries: Vec::new(), revision: 50 })
        }
        async fn transact(&self, _: &[Condition], _: Vec<Write>) -> Result<Option<Revision>, StoreError> {
            Ok(None)
        }
        async fn watch(&self, _: &str, after: Revision) -> Result<Watcher, StoreError> {
            self.begun.lock().push(after);
            let script = self.watches.lock().pop_front().unwrap_or(Err(StoreError::Closed))?;
            Ok(futures::stream::iter(script).boxed())
        }
        async fn grant_lease(&self, _: Duration) -> Result<LeaseId, StoreError> {
            Ok(1)
        }
        async fn keep_alive(&self, _: LeaseId) -> Result<(), StoreError> {
            Ok(())
        }
        async fn revoke_lease(&self, _: LeaseId) -> Result<(), StoreError> {
            Ok(())
        }
        fn outage(&self) -> Option<StoreOutage> {
            None
        }
        async fn close(&self) -> Result<(), StoreError> {
            Ok(())
        }
    }

    #[derive(Default)]
    struct Seen {
        revisions: Vec<Revision>,
        listings: usize,
        fail_once: bool,
    }

    #[tonic::async_trait]
    impl Follower for Seen {
        async fn changed(&mut self, changes: Changes) -> Result<(), StoreError> {
            if std::mem::take(&mut self.fail_once) {
                return Err(StoreError::Unavailable("busy".to_owned()));
            }
            self.revisions.push(changes.revision);
            Ok(())
        }
        async fn listed(&mut self, _: Listing) -> Result<(), StoreError> {
            self.listings += 1;
            Ok(())
        }
    }

    fn change(revision: Revision) -> Result<Changes, StoreError> {
        let entry = Entry { key: "k".to_owned(), value: Bytes::new(), revision };
        Ok(Changes { revision, changes: vec![Change::Put(entry)] })
    }

    #[tokio::test]
    async fn no_error_ends_it_and_nothing_is_missed() {
        let unavailable = || StoreError::Unavailable("away".to_owned());
        let store = Scripted::default();
        *store.watches.lock() = VecDeque::from([
            Ok(vec![change(4), Err(unavailable())]),
            Err(unavailable()),
            Err(StoreError::Failed("odd".to_owned())),
            Ok(vec![change(6), Err(StoreError::Compacted(6))]),
            Ok(vec![change(51)]),
        ]);
        let mut seen = Seen::default();
        follow(&store, "k", 3, &mut seen).await;
        assert_eq!(*store.begun.lock(), [3, 4, 4, 4, 50]);
        assert_eq!((seen.revisions, seen.listings), (vec![4, 6, 51], 1));
    }

    #[tokio::test]
    async fn what_was_not_taken_in_comes_again() {
        let store = Scripted::default();
        *store.watches.lock() = VecDeque::from([Ok(vec![change(4)]), Ok(vec![change(4), change(5)])]);
        let mut seen = Seen { fail_once: true, ..Seen::default() };
        follow(&store, "k", 3, &mut seen).await;
        assert_eq!((store.begun.lock().clone(), seen.revisions), (vec![3, 3], vec![4, 5]));
    }
}
