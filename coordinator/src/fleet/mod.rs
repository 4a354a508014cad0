//! The Fleet service: functions and executors, for clients.

mod ask;
mod logs;
mod page;
mod register;
mod service;

pub use register::resume;
pub use service::{FleetContext, FleetService};
