//! The Flight service: streams go to executors and back. Only aggregations that are spread by key, and what is sent
//! again in mid-answer, have their batches decoded.

mod arrival;
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
