//! Errors of stores.

use std::fmt;
use std::time::SystemTime;

use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::{LeaseId, Revision};

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// For now: the medium can't be reached, or is full. The same may work later. A write may have happened.
    #[error("the metadata store is unavailable: {0}")]
    Unavailable(String),
    /// For good: the medium is damaged, or holds what can't be read.
    #[error("the metadata store failed: {0}")]
    Failed(String),
    /// The transaction breaks a rule of the store: an error of the program.
    #[error("the metadata store refuses the transaction: {0}")]
    Invalid(String),
    /// The lease has expired or never was.
    #[error("lease {0} does not exist (expired?)")]
    NoLease(LeaseId),
    /// The watcher asked for changes that are no longer kept, or fell behind: list and watch again.
    #[error("changes since revision {0} are no longer kept")]
    Compacted(Revision),
    /// The process that has the store is stopping.
    #[error("the coordinator is stopping: its metadata store is closed")]
    Closed,
}

/// Since when a store has been unavailable, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOutage {
    /// When it was first noticed.
    pub since: SystemTime,
    /// What the store says.
    pub reason: String,
}

impl StoreOutage {
    /// How long it has lasted.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.since.elapsed().unwrap_or_default().as_secs()
    }
}

impl fmt::Display for StoreOutage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (for {} s)", self.reason, self.seconds())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let (code, hint) = match error {
            StoreError::Closed => (ErrorCode::NoCapacity, "try again when it is back"),
            StoreError::Unavailable(_) => (
                ErrorCode::NoCapacity,
                "try again later; what runs goes on meanwhile; `udfleet status` and /readyz say when the store is back",
            ),
            StoreError::Failed(_) | StoreError::Invalid(_) | StoreError::NoLease(_) | StoreError::Compacted(_) => {
                (ErrorCode::Internal, "see the coordinator's log and its metadata store")
            }
        };
        Self::new(code, error.to_string()).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_retryable() {
        let retryable = |error: StoreError| Error::from(error).code().retryable();
        assert!(retryable(StoreError::Unavailable("no space left".to_owned())));
        assert!(retryable(StoreError::Closed));
        assert!(!retryable(StoreError::Failed("damaged".to_owned())));
        assert!(!retryable(StoreError::Invalid("a key twice".to_owned())));
    }
}
