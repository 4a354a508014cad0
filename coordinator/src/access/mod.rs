//! Tokens with roles, join tokens and credentials of executors: kept in the metadata store, so that all coordinators know
//! them, and checked against a copy in memory.

mod change;
mod follow;
mod record;
mod session_key;
mod table;
#[cfg(test)]
mod tests;

pub use change::NewToken;
pub use record::{kind_of, validate};
pub use session_key::session_key;
pub use table::AccessTable;
