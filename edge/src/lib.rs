//! What the edges of udfleet's processes share: who may come in, how ports are served, what Flight clients and data
//! engines are told. Coordinator and executors behave alike there because it is this code in both.
//!
//! Which module may use which: `address`, `clock`, `config`, `identity`, `private`, `secret` and `tracked` use no other of this crate; `tls` uses these;
//! `objects` uses `config` and `tls`; `tenant` uses `config`; `engine` uses `identity` and `tenant`; `auth` uses `secret`, `identity`, `tenant` and `engine`'s connections; `http` uses `auth`; `flight` and `metrics`
//! use `auth`, `engine` and `tls`; `process` uses `config`; `server` uses these; `channel` uses `server`.

pub mod address;
pub mod auth;
pub mod channel;
pub mod clock;
pub mod config;
pub mod engine;
pub mod flight;
pub mod http;
pub mod identity;
pub mod metrics;
pub mod objects;
pub mod private;
pub mod process;
pub mod secret;
pub mod server;
pub mod tenant;
pub mod tls;
pub mod tracked;
