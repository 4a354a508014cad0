//! The Flight front door: streams go to executors and back without their batches being decoded.

mod bundle;
mod dictionary;
mod dispatch;
mod exchange;
mod failure;
mod gate;
mod info;
mod input;
mod intake;
mod message;
mod output;
mod pending;
mod pick;
mod reorder;
mod retry;
mod service;
mod slice;
mod stages;
mod upstream;
mod work;

pub use service::{Router, Stats};
