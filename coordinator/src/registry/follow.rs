//! Follows registrations and drops of other coordinators.

use std::sync::Arc;

use super::Registry;
use super::entries::{FUNCTIONS, decode, function_key, parse};
use crate::store::{self, Changes, Follower, Listing, Revision, StoreError};

struct CatalogFollower<'r, F> {
    registry: &'r Registry,
    /// Called after each change.
    changed: F,
}

impl Registry {
    /// Follows the store from `after` on, and calls `changed` after each change; returns when the store is closed.
    pub async fn follow(&self, after: Revision, changed: impl Fn() + Send + Sync) {
        store::follow(&*self.store, FUNCTIONS, after, &mut CatalogFollower { registry: self, changed }).await;
    }

    /// True where the change was news.
    pub(super) async fn take_in(&self, key: &str) -> Result<bool, StoreError> {
        let _one = self.changes.lock().await;
        let catalog = self.catalog();
        let Some((name, version)) = parse(key, FUNCTIONS) else { return Ok(false) };
        let known = catalog.get(name, version);
        // Only what the store holds now counts: this change may be older than one made here.
        let now = self.store.get(&function_key(name, version)).await?.and_then(|entry| decode(&entry));
        let next = match (known, now) {
            (Some(known), Some(now)) if known.hash == now.hash && known.unreadable == now.unreadable => {
                return Ok(false);
            }
            (_, Some(now)) => {
                self.arrivals.note(&now.name);
                catalog.with(Arc::new(now))
            }
            (Some(_), None) => catalog.without(name, version),
            (None, None) => return Ok(false),
        };
        self.catalog.store(Arc::new(next));
        Ok(true)
    }
}

#[tonic::async_trait]
impl<F: Fn() + Send + Sync> Follower for CatalogFollower<'_, F> {
    async fn changed(&mut self, changes: Changes) -> Result<(), StoreError> {
        let mut news = false;
        for change in &changes.changes {
            news |= self.registry.take_in(change.key()).await?;
        }
        self.registry.marks.heard(changes.revision);
        if news {
            (self.changed)();
        }
        Ok(())
    }

    async fn listed(&mut self, _: Listing) -> Result<(), StoreError> {
        // Listed once more while nothing changes here: what was registered meanwhile shall not vanish for a moment.
        self.registry.reload().await?;
        (self.changed)();
        Ok(())
    }
}
