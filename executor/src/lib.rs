//! A node of a udfleet: it builds Python environments, keeps interpreters that run functions, and serves them over Arrow
//! Flight.

pub mod artifact;
pub mod attach;
pub mod auth;
pub mod config;
pub mod environment;
pub mod exchange;
pub mod http;
pub mod link;
pub mod logs;
pub mod metrics;
pub mod node;
pub mod node_service;
pub mod parent;
pub mod run;
pub mod server;
pub mod work_dir;
