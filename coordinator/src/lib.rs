//! The coordinator: control plane and front door of a fleet. It runs no user code and unpickles nothing.
//!
//! Who may know whom: `config`, `store`, `scheduler` and `artifact` know nothing else of this crate; `registry` stands on
//! `store` and `scheduler`; `routes` on `registry`; `membership` on these; `router` on `registry` and `routes`; `fleet` on
//! `artifact`, `registry` and `membership`; `http` on `membership` and `router`; `server` starts all.

pub mod artifact;
pub mod auth;
pub mod config;
pub mod fleet;
pub mod http;
pub mod membership;
pub mod plan;
pub mod process;
pub mod registry;
pub mod router;
pub mod routes;
pub mod scheduler;
pub mod server;
pub mod store;
