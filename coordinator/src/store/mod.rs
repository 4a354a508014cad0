//! Where the coordinator's metadata lives, behind one narrow trait: keys, values and revisions, as etcd has them.

pub mod embedded;
mod watch;

#[cfg(test)]
mod conformance;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

pub use watch::Watcher;

/// A store that several parts of the process share.
pub type SharedStore = Arc<dyn MetaStore>;

/// Counts every change of the store; an entry carries the revision of its last change.
pub type Revision = u64;

/// Names a lease.
pub type LeaseId = u64;

/// What a store answers when it can't.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The medium failed; the text says how.
    #[error("the metadata store failed: {0}")]
    Failed(String),
    /// The lease has expired or never was.
    #[error("lease {0} does not exist (expired?)")]
    NoLease(LeaseId),
    /// The watcher asked for changes that are no longer kept, or fell behind: list and watch again.
    #[error("changes since revision {0} are no longer kept")]
    Compacted(Revision),
    /// The process that has the store is stopping.
    #[error("the coordinator is stopping: its metadata store is closed")]
    Closed,
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed => Self::new(ErrorCode::NoCapacity, error.to_string()).hint("try again when it is back"),
            _ => {
                Self::new(ErrorCode::Internal, error.to_string()).hint("see the coordinator's log and its data folder")
            }
        }
    }
}

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

/// What must hold for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing is stored under the key.
    Absent,
    /// The entry was last changed at this revision.
    Revision(Revision),
}

/// One change under a watched prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Written.
    Put(Entry),
    /// Deleted, by somebody or with its lease.
    Deleted {
        /// Which.
        key: String,
        /// When.
        revision: Revision,
    },
}

impl Change {
    /// The key that changed.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Deleted { key, .. } => key,
        }
    }

    /// When it changed.
    #[must_use]
    pub fn revision(&self) -> Revision {
        match self {
            Self::Put(entry) => entry.revision,
            Self::Deleted { revision, .. } => *revision,
        }
    }
}

/// The store. Writes are durable when they return. Every method may wait on I/O.
#[tonic::async_trait]
pub trait MetaStore: Send + Sync + 'static {
    /// The entry, if there is one.
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;

    /// Writes whatever was there. With a lease the entry vanishes when the lease ends.
    async fn put(&self, key: &str, value: Bytes, lease: Option<LeaseId>) -> Result<Revision, StoreError>;

    /// Writes only if `expected` holds; `None` where it does not.
    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Expected,
        value: Bytes,
        lease: Option<LeaseId>,
    ) -> Result<Option<Revision>, StoreError>;

    /// Deletes the entry, given a revision only where it is still that; true where it did.
    async fn delete(&self, key: &str, expected: Option<Revision>) -> Result<bool, StoreError>;

    /// Everything whose key starts with `prefix`.
    async fn list(&self, prefix: &str) -> Result<Listing, StoreError>;

    /// All changes under `prefix` after revision `after`, in order.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watcher, StoreError>;

    /// A lease that ends `ttl` after it was last kept alive.
    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, StoreError>;

    /// Starts the lease's time anew.
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Ends the lease and deletes its entries.
    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), StoreError>;

    /// Lets go of the medium, whoever still holds the store: what is under way ends first, watchers end, and every later
    /// call is answered with [`StoreError::Closed`].
    async fn close(&self) -> Result<(), StoreError>;
}
