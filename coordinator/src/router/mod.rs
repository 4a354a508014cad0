//! The Flight front door: streams go to executors and back without their batches being decoded.

mod dictionary;
mod dispatch;
mod exchange;
mod failure;
mod info;
mod message;
mod pending;
mod pick;
mod reorder;
mod retry;
mod service;
mod upstream;

pub use service::{Router, Stats};
