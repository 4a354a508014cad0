//! The contract between udfleet's processes: generated messages and services, and the plain rules that more than one
//! process must agree on (names, types, error codes, config keys, limits).

pub mod batch_rows;
pub mod config;
pub mod environment;
pub mod error;
pub mod error_groups;
mod executor_state;
pub mod expanded;
pub mod flight;
pub mod flight_info;
pub mod frame;
pub mod histogram;
pub mod ipc;
pub mod key;
pub mod limits;
pub mod name;
pub mod network;
mod operator;
pub mod runs;
mod sandbox_level;
pub mod secrets;
pub mod sketch;
pub mod types;
pub mod user_metrics;
pub mod user_series;

/// Generated from `proto/udfleet/v1/*.proto`.
#[allow(missing_docs, clippy::all, clippy::large_futures)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/udfleet.v1.rs"));
}

/// udfleet's version: one number for all crates and the SDK.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version, and the commit where it is known: what programs say of themselves.
pub const BUILD: &str = env!("UDFLEET_BUILD");

/// True where two udfleet versions may work together: same major and minor number.
///
/// ```
/// assert!(udfleet_proto::compatible("0.1.0", "0.1.7"));
/// assert!(!udfleet_proto::compatible("0.1.0", "0.2.0"));
/// ```
#[must_use]
pub fn compatible(a: &str, b: &str) -> bool {
    fn line(version: &str) -> (Option<&str>, Option<&str>) {
        let mut parts = version.split('.');
        (parts.next(), parts.next())
    }
    line(a) == line(b)
}
