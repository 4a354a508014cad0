//! Functions with keyed state: partitions that this executor owns, and the streams through them. The protocol is
//! `udfleet-state`'s; what is durable lies in `udfleet-state-store`.
//!
//! An executor becomes the owner of a partition when a coordinator asks it under an epoch that it does not have yet: that
//! epoch was made in the metadata store for this executor, and opening the partition's store under it fences the owner before.

mod budget;
mod bundle;
mod message;
mod overlay;
mod partitions;
mod scan;
mod service;
mod stream;

pub use partitions::{Partitions, StateSettings};
pub use service::PartitionsService;
