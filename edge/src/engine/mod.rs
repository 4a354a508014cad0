//! The endpoint for data engines: PATH streams, as the remote-function clients of RisingWave (arrow-udf) and Databend,
//! and plain Flight clients, send them. The same on the coordinator and on executors.
//!
//! Within udfleet the batches of every stream are numbered, and errors are in-band. A [`Gateway`] translates between
//! that and the caller's protocol.

mod answers;
mod arrivals;
mod builtin;
mod caller;
mod calls;
mod columns;
mod connection;
mod decimal_text;
mod gateway;
mod incoming;
mod info;
mod recent;
mod shape;
#[cfg(test)]
mod tests;

pub use answers::{AnswerStream, answers};
pub use arrivals::Arrivals;
pub use builtin::{Builtin, RESERVED_PREFIX};
pub use caller::{Caller, DIALECT_HEADER, Engine, PROGRESS_HEADER};
pub use calls::Engines;
pub use columns::{DECIMAL_TEXT, EXTENSION};
pub(crate) use connection::CallOfConnection;
pub use connection::Connection;
pub use gateway::Gateway;
pub use incoming::{Incoming, broken_input};
pub use info::{describe, with_ticket};
