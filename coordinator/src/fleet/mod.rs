//! The Fleet service: what clients ask about functions and executors.

mod ask;
mod logs;
mod page;
mod register;
mod service;

pub use register::resume;
pub use service::{FleetContext, FleetService};
