//! The fleet as its clients and its operators meet it: real processes, raw clients, and bad luck.

// clippy.toml frees test functions only; here every helper is a test's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod addresses;
mod batch_layouts;
mod clickhouse;
mod engines;
mod framing;
mod groups;
mod identity;
mod info;
mod large;
mod logs;
mod loss;
mod malformed;
mod memory;
mod metrics_and_bundles;
mod restart;
mod routing;
mod settings;
mod slow_functions;
mod stages;
mod tables;
