//! The Flight front door: streams go to executors and back without their batches being decoded.

mod connection;
mod core;
mod exchange;
mod gate;
mod info;
mod input;
mod routed_stage;
mod service;
mod stages;
mod status;

pub use service::{Router, Stats};
