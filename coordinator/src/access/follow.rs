//! Follows changes of tokens by other coordinators.

use super::record::ACCESS;
use super::table::AccessTable;
use crate::store::{self, Changes, Follower, Listing, Revision, StoreError};

struct AccessFollower<'t>(&'t AccessTable);

#[tonic::async_trait]
impl Follower for AccessFollower<'_> {
    async fn changed(&mut self, changes: Changes) -> Result<(), StoreError> {
        self.0.take_changes(&changes.changes);
        Ok(())
    }

    async fn listed(&mut self, listing: Listing) -> Result<(), StoreError> {
        self.0.take_listing(&listing);
        Ok(())
    }
}

impl AccessTable {
    /// Follows the store from `after` on; returns when the store is closed.
    pub async fn follow(&self, after: Revision) {
        store::follow(&*self.store, ACCESS, after, &mut AccessFollower(self)).await;
    }
}
