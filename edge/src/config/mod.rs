//! Settings of a process: defaults < file < environment < flags, the same for every program.

mod advertise;
mod check;
mod human;
mod sources;

pub use advertise::Advertise;
pub use check::Listeners;
pub use human::{HumanDuration, Size};
pub use sources::{CommandLine, Sources, TOKEN_ELSEWHERE, TOKEN_IN_ARGUMENTS, read};

use serde::Serialize;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// Settings in force as TOML; secrets print themselves redacted.
///
/// # Errors
/// [`ErrorCode::Internal`] when they can't be written as TOML.
pub fn dump(settings: &impl Serialize) -> Result<String, Error> {
    toml::to_string(settings).map_err(|e| Error::internal(format!("can't write the settings as TOML: {e}")))
}

/// A setting that can't be used.
#[must_use]
pub fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidConfig, message)
}
