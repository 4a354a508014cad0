//! A node of a udfleet: it builds Python environments, keeps interpreters that run functions, and serves them over Arrow
//! Flight.

pub mod artifact;
pub mod auth;
pub mod config;
pub mod environment;
pub mod logs;
pub mod exchange;
pub mod link;
pub mod metrics;
