//! Remote-function clients of data engines at the door: PATH streams, as RisingWave (arrow-udf), Databend and plain
//! Flight clients speak them. The same on the coordinator and on executors.
//!
//! Inside udfleet every stream is numbered and its errors come in-band. At the door a [`Gateway`] stands between that
//! and what the caller understands.

mod answers;
mod arrivals;
mod builtin;
mod caller;
mod calls;
mod columns;
mod connection;
mod gateway;
mod incoming;
mod recent;
mod shape;
#[cfg(test)]
mod tests;

pub use answers::{Answers, answers};
pub use arrivals::Arrivals;
pub use builtin::{Builtin, RESERVED_PREFIX};
pub use caller::{Caller, DIALECT_HEADER, Engine};
pub use calls::Engines;
pub use columns::{DECIMAL_TEXT, EXTENSION, described_inputs, described_outputs};
pub use connection::{Accepted, Connection, accepted};
pub use gateway::Gateway;
pub use incoming::Incoming;
