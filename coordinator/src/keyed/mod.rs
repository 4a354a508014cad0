//! Streams through functions with keyed state: this coordinator is their client's side of `udfleet-state`'s protocol.
//!
//! Which executor owns a partition, and under which epoch, lies in the metadata store (`owners.rs`), as do the sessions of
//! streams (`sessions.rs`). Nothing here has to outlive a stream.

mod cut;
mod merge;
mod message;
mod owners;
mod partition;
mod process;
mod service;
mod sessions;

pub use owners::Owners;
pub use service::StreamsService;
