//! A fleet of real processes for tests: start, stop, kill and measure it, and speak to it as raw clients do.
//!
//! Every helper panics where something is not as it should be: callers are tests. What waits, waits for a condition
//! and gives up after [`wait::PATIENCE`].

// clippy.toml frees test functions only; this whole crate is a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod batches;
pub mod binaries;
pub mod bridge;
pub mod certificates;
pub mod cluster;
pub mod control;
pub mod coordinators;
pub mod engine;
pub mod etcd;
pub mod function;
pub mod gate;
pub mod http;
pub mod http2;
pub mod memory;
pub mod messages;
pub mod process;
pub mod proxy;
pub mod stream;
pub mod wait;
