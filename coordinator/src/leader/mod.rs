//! Coordinators among each other: each holds a lease in the store, announces itself under it, and one of them leads. They
//! say nothing to each other but through the store.

mod election;
mod keys;
mod peers;
mod session;

#[cfg(test)]
mod simulation;

pub use election::{Role, Timing};
pub use keys::{Announcement, LEADER};
pub use peers::Peers;
pub use session::{Session, Standing};
