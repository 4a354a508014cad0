//! Whole fleets of real processes with raw clients, in use and in failure.

// clippy.toml frees test functions only; here every helper is a test's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod abuse;
mod access;
mod addresses;
mod aggregations;
mod backup;
mod batch_layouts;
mod clickhouse;
mod coordinators;
mod engines;
mod etcd_away;
mod executor_ids;
mod executor_loss;
mod expansion;
mod fencing;
mod flight_info;
mod framing;
mod fuzz;
mod large_definitions;
mod logs;
mod malformed;
mod memory;
mod merged;
mod metrics_and_bundles;
mod plain_tls_clients;
mod port_limits;
mod reach;
mod restart;
mod roles;
mod routing;
mod same_answers;
mod settings;
mod slow_functions;
mod stages;
mod table_functions;
mod tenants;
