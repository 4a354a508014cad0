//! Where the coordinator's metadata lives, behind one narrow trait: keys, values and revisions, as etcd has them.

pub mod embedded;
mod error;
pub mod etcd;
mod follow;
mod open;
mod transaction;
mod unanswered;

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod silent;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;

pub use error::{StoreError, StoreOutage};
pub use follow::{Follower, follow};
pub use open::open;
pub use transaction::{Condition, Expected, MAX_OPERATIONS, Write};
pub use unanswered::UnansweredWrites;

/// A store that several parts of the process share.
pub type SharedStore = Arc<dyn MetaStore>;

/// Counts the transactions that changed something; an entry carries the revision of its last change.
pub type Revision = u64;

/// Names a lease.
pub type LeaseId = u64;

/// Changes under a prefix as they happen; ends when the store is closed. After an error it yields nothing more: watch
/// again from the last revision, or after [`StoreError::Compacted`] from a new listing.
pub type Watcher = BoxStream<'static, Result<Changes, StoreError>>;

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path-like: `functions/add/3`.
    pub key: String,
    /// What was put.
    pub value: Bytes,
    /// Of its last change.
    pub revision: Revision,
}

/// All entries under a prefix, as of one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// In order of their keys.
    pub entries: Vec<Entry>,
    /// Watch from here to miss nothing.
    pub revision: Revision,
}

/// One changed key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Written.
    Put(Entry),
    /// Deleted, by a transaction or with its lease.
    Deleted(String),
}

impl Change {
    /// The key that changed.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Deleted(key) => key,
        }
    }
}

/// All that one transaction changed under a watched prefix: at least one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// Watch from here to go on.
    pub revision: Revision,
    /// One per key.
    pub changes: Vec<Change>,
}

/// The store. Every method may wait on I/O.
#[tonic::async_trait]
pub trait MetaStore: Send + Sync + 'static {
    /// The entry, if there is one.
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;

    /// Everything whose key starts with `prefix`.
    async fn list(&self, prefix: &str) -> Result<Listing, StoreError>;

    /// Does all of `writes` at one revision if all of `conditions` hold, else nothing: then `None`. Durable when it
    /// returns. At most [`MAX_OPERATIONS`] conditions and as many writes, each key written once.
    ///
    /// After [`StoreError::Unavailable`] nobody knows whether it happened: ask with a condition before writing again.
    async fn transact(&self, conditions: &[Condition], writes: Vec<Write>) -> Result<Option<Revision>, StoreError>;

    /// All changes under `prefix` after revision `after`, in order.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watcher, StoreError>;

    /// A lease that ends `ttl` after it was last kept alive, or somewhat later: etcd counts whole seconds, and none
    /// shorter than its own elections take.
    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, StoreError>;

    /// Starts the lease's time anew.
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Ends the lease and deletes its entries.
    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Since when the store has been unavailable; none while it answers. Never waits.
    fn outage(&self) -> Option<StoreOutage>;

    /// Lets go of the medium, whoever still holds the store: what is under way ends first, watchers end, and every later
    /// call is answered with [`StoreError::Closed`].
    async fn close(&self) -> Result<(), StoreError>;
}
