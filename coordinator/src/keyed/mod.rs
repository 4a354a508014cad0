//! Streams through functions with keyed state: this coordinator is their client's side of `udfleet-state`'s protocol.
//!
//! Which executor owns a partition, and under which epoch, lies in the metadata store (`owners.rs`), as do the
//! streams that there are (`registry.rs`). Nothing here has to outlive a stream.

mod access;
mod administration;
mod cut;
mod entry;
mod merge;
mod message;
mod owners;
mod partition;
mod process;
mod registry;
mod retained;
mod service;

pub use access::StateAccess;
pub use owners::Owners;
pub use registry::StreamRegistry;
pub use service::StreamsService;
