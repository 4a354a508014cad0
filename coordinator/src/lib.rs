//! The coordinator: control plane of a fleet, and what routes streams to its executors. It runs no user code and unpickles nothing.
//!
//! Who may know whom: `certs`, `config`, `logs` and `scheduler` know nothing else of this crate; `store` stands
//! on `config`; `registry` on `store` and `scheduler`; `artifact` on `config` and `registry`; `leader` and `plan` on `registry`; `routes` on `registry` and `plan`;
//! `snapshot` on `registry`; `membership` on
//! these; `monitor` on `snapshot` and `membership`; `router` on `registry`, `plan` and `routes`; `fleet` on all but `router`; `http` on `leader`, `logs`, `snapshot`,
//! `membership`, `monitor` and `router`; `server` starts all.

pub mod access;
pub mod artifact;
pub mod audit;
pub mod certs;
pub mod config;
mod cut;
pub mod fleet;
pub mod http;
pub mod keyed;
pub mod leader;
pub mod logs;
pub mod membership;
pub mod monitor;
pub mod plan;
pub mod registry;
pub mod router;
pub mod routes;
pub mod scheduler;
pub mod server;
pub mod snapshot;
pub mod store;
