//! Tenants: whose use a caller counts as, how much of the fleet each may use, and how much it uses.
//!
//! A tenant is a text that tokens carry. Streams and rows are counted by each process ([`Tenants`]); what is registered is
//! counted by coordinators, from their catalog. The limits are settings of coordinators, which executors learn from tickets.

mod limits;
mod rows;
mod streams;

pub use limits::{LimitName, TenantLimitFlag, TenantLimits, TenantLimitsTable};
pub use streams::{TenantCounts, TenantStream, Tenants};
