//! Stages, table functions and aggregates in real interpreters, driven through the link alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod aggregates;
mod asynchronous;
mod control_exceptions;
mod error_paths;
mod forks;
mod inputs;
mod misbehaving;
mod profiles;
mod row_errors;
mod scalars;
mod support;
mod tables;
