//! The Fleet service: functions and executors, for clients.

mod ask;
mod backup;
mod later;
mod logs;
mod page;
mod register;
mod service;

pub use register::resume;
pub use service::{FleetContext, FleetService};
