//! What the edges of udfleet's processes share: who may come in, how ports are served, what Flight clients and data
//! engines are told. Coordinator and executors behave alike there because it is this code in both.
//!
//! Which module may use which: `secret` and `engine` use no other of this crate; `auth` uses `secret`; `flight` uses
//! `engine`.

pub mod auth;
pub mod engine;
pub mod flight;
pub mod secret;
