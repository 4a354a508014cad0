//! The node: a supervision tree of environments and their interpreters that follows the coordinator's desired state.
//!
//! Actors make decisions and keep order; long operations run in tasks that report back as messages.

mod actor;
mod backoff;
pub mod board;
mod context;
pub mod desired;
pub mod devices;
mod disk_share;
mod environment;
mod fetch;
mod folders;
pub mod holding;
mod interpreter;
mod load;
pub mod memory;
mod observer;
mod process_tree;
pub mod reconcile;
mod roster;
pub mod scaling;
mod shares;
mod variables;

pub use actor::{NodeActor, NodeMessage};
pub use board::{Board, View};
pub use context::{Context, Programs};
pub use desired::{Desired, DesiredFeed};
pub use environment::RestartWish;
pub use memory::MemoryWatch;
