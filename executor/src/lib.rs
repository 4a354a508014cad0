//! A node of a udfleet: it builds Python environments, keeps interpreters that run functions, and serves them over Arrow
//! Flight.
//!
//! Who may know whom: `capsules`, `config`, `coordinators`, `disk`, `logs`, `oom`, `orphans`, `sandbox` and `secrets`
//! know nothing else of this crate; `artifact`, `credential` and `definition` stand on `coordinators`; `environment`
//! on `artifact`, `orphans` and `sandbox`; `link` on `logs`, `oom`, `orphans` and `secrets`; `metrics` on `capsules`;
//! `exchange` on `link` and `metrics`; `node` on these; `attach` and `http` on `node`; `run` starts all.

pub mod artifact;
pub mod attach;
pub mod capsules;
pub mod config;
pub mod coordinators;
pub mod credential;
pub mod definition;
mod disk;
pub mod environment;
pub mod exchange;
pub mod http;
pub mod keyed;
pub mod link;
pub mod logs;
pub mod metrics;
pub mod node;
pub mod node_service;
pub mod oom;
pub mod orphans;
mod own_users;
pub mod run;
pub mod sandbox;
pub mod secrets;
pub mod work_dir;
