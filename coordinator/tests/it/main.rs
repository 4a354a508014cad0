//! The real coordinator over loopback, with executors that speak the real protocols and echo their batches.

// clippy.toml frees test functions only; here every helper is a test's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod client;
mod exchange;
mod executor;
mod executor_loss;
mod many_functions;
mod partial_answers;
mod plans;
mod registration;
mod several;
mod support;
