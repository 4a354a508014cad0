//! The Fleet service: functions and executors, for clients.

mod adopt;
mod ask;
mod backup;
mod capsules;
mod later;
mod logs;
mod lookup;
mod page;
mod profiles;
mod register;
mod registrar;
mod service;
mod tenants;
mod tokens;

pub use adopt::{adopt, resume};
pub use capsules::Capsules;
pub use lookup::StoreLookup;
pub use profiles::Profiler;
pub use registrar::{Events, Registrar};
pub use service::{FleetContext, FleetService};
