//! Batches that failed, of functions that were registered with `udfleet.capsules`: a bounded sample, in memory only.

mod batch;
mod rule;
mod store;

pub use rule::CapsuleRule;
pub use store::{CapsuleStore, FailedBatch};
