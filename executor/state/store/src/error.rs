//! What can be wrong with a store.

use std::error::Error;
use std::io::ErrorKind as IoErrorKind;

use thiserror::Error;
use udfleet_state::RecordError;

/// Why something could not be read or written. After an error of a commit its outcome is unknown.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The partition has another owner.
    #[error("the partition's state at {place} has another owner: this one was fenced")]
    Fenced {
        /// Where the state lies.
        place: String,
    },
    /// The partition has seen this epoch or a newer one.
    #[error(
        "the partition's state at {place} has been opened under epoch {newest}: it takes a higher one than {epoch}"
    )]
    StaleEpoch {
        /// Where the state lies.
        place: String,
        /// The epoch that was given.
        epoch: u64,
        /// The newest one that the partition has seen.
        newest: u64,
    },
    /// No answer in time.
    #[error("the store of {place} did not answer within {seconds} s: its disk or object store is slow")]
    Slow {
        /// Where the state lies.
        place: String,
        /// How long was waited.
        seconds: u64,
    },
    /// No space.
    #[error("the store of {place} is full: free space there, or move it. {source}")]
    Full {
        /// Where the state lies.
        place: String,
        /// What the store says.
        source: slatedb::Error,
    },
    /// The store can't be reached, or fails.
    #[error("the store of {place} can't be reached: {source}")]
    Unreachable {
        /// Where the state lies.
        place: String,
        /// What the store says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// What the store holds is damaged, or of another version.
    #[error("the state at {place} is damaged: restore it from a copy, or drop it. {source}")]
    Damaged {
        /// Where the state lies.
        place: String,
        /// What does not fit.
        source: Box<dyn Error + Send + Sync>,
    },
    /// It was closed, or a write has failed before, whose outcome is unknown: the partition has to be opened again.
    #[error("the store of {place} is closed: open it again")]
    Closed {
        /// Where the state lies.
        place: String,
    },
    /// A request that makes no sense, or a defect.
    #[error("the store of {place} refuses this: {source}")]
    Invalid {
        /// Where the state lies.
        place: String,
        /// What SlateDB says.
        source: slatedb::Error,
    },
}

impl StoreError {
    /// The error of SlateDB, as what it means for the state at `place`.
    pub(crate) fn of(place: &str, error: slatedb::Error) -> Self {
        let place = place.to_owned();
        if io_kind(&error).is_some_and(is_full) {
            return Self::Full { place, source: error };
        }
        match error.kind() {
            slatedb::ErrorKind::Closed(slatedb::CloseReason::Fenced) => Self::Fenced { place },
            slatedb::ErrorKind::Closed(slatedb::CloseReason::Clean) => Self::Closed { place },
            slatedb::ErrorKind::Data => Self::Damaged { place, source: Box::new(error) },
            slatedb::ErrorKind::Unavailable | slatedb::ErrorKind::Closed(_) => {
                Self::Unreachable { place, source: Box::new(error) }
            }
            _ => Self::Invalid { place, source: error },
        }
    }

    pub(crate) fn of_objects(place: &str, error: object_store::Error) -> Self {
        Self::Unreachable { place: place.to_owned(), source: Box::new(error) }
    }

    pub(crate) fn of_record(place: &str, error: RecordError) -> Self {
        Self::Damaged { place: place.to_owned(), source: Box::new(error) }
    }
}

fn is_full(kind: IoErrorKind) -> bool {
    matches!(kind, IoErrorKind::StorageFull | IoErrorKind::QuotaExceeded | IoErrorKind::FileTooLarge)
}

/// The first error of the operating system among the causes. SlateDB shares its causes in `Arc`s, which hide theirs.
fn io_kind(error: &slatedb::Error) -> Option<IoErrorKind> {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        cause = match error.downcast_ref::<std::sync::Arc<object_store::Error>>() {
            Some(shared) => shared.source(),
            None => error.source(),
        };
    }
    None
}
