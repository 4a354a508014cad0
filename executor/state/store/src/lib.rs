//! The store of one partition's keyed state: a SlateDB on an object store.
//!
//! * One owner at a time. Each opening has an epoch that somebody gives it (a compare-and-swap in the metadata store), and is
//!   refused where the partition has seen that epoch, or a newer one. SlateDB fences the owners before.
//! * A commit is one write: the changes of a bundle and the stream's position record. It is durable when
//!   [`PartitionStore::commit`] returns. Where that fails, the outcome is unknown, so the store closes: whoever opens it next
//!   reads what has happened.
//! * What is read is durable.
//!
//! State belongs to a stream: keys of two streams never meet, and [`PartitionStore::drop_stream`] leaves none.

mod cache;
mod claim;
mod error;
mod layout;
mod options;
mod partition;
mod place;
mod snapshot;

pub use cache::BlockCache;
pub use error::StoreError;
pub use options::StoreOptions;
pub use partition::{Commit, PartitionStore, StateChange, StatePage};
pub use place::{StatePlace, local_object_store};
pub use snapshot::StreamSnapshot;
