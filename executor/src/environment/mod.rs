//! Python environments: which Pythons this node has, and building, keeping and collecting environments on its disk.

pub mod build;
mod bytecode;
mod diagnose;
mod layout;
mod lease;
mod marker;
mod packages;
pub mod paths;
mod python_link;
pub mod pythons;
mod sdk;
pub mod store;
pub mod unpack;
mod uv;

pub use build::BuildLog;
pub use marker::Built;
pub use pythons::{Python, Pythons};
pub use store::EnvironmentStore;

#[cfg(test)]
mod tests;
