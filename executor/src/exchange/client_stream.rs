//! The identity of a stream's client, and which of its batches may have run.

use std::sync::atomic::{AtomicU64, Ordering};

use udfleet_proto::error::Error;
use udfleet_proto::v1::ExchangeRequest;

/// A stream, as its client has named it.
#[derive(Debug)]
pub(super) struct ClientStream {
    pub(super) producer: String,
    pub(super) job: String,
    /// The place of the latest batch that has begun to run.
    begun: AtomicU64,
    /// The place of the first batch that was refused: none after it begins.
    refused: AtomicU64,
}

/// A batch of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchIdentity {
    /// The producer's number of it.
    pub(super) sequence: u64,
    /// Counts from 1 over all executors.
    pub(super) attempt: u32,
    /// Counts from 1 on this stream.
    pub(super) place: u64,
}

impl ClientStream {
    pub(super) fn of(request: &ExchangeRequest) -> Self {
        Self {
            producer: request.producer.clone(),
            job: request.job.clone(),
            begun: AtomicU64::new(0),
            refused: AtomicU64::new(u64::MAX),
        }
    }

    /// The batch is about to run.
    ///
    /// # Errors
    /// When one before it was refused: its client takes none after that one for run.
    pub(super) fn begin(&self, place: u64) -> Result<(), Error> {
        self.begun.fetch_max(place, Ordering::SeqCst);
        if self.refused.load(Ordering::SeqCst) < place {
            return Err(Error::internal("a batch before it was refused"));
        }
        Ok(())
    }

    /// The batch was not run, and those after it will not be: true where none of them has begun.
    pub(super) fn refuse(&self, place: u64) -> bool {
        self.refused.fetch_min(place, Ordering::SeqCst);
        self.begun.load(Ordering::SeqCst) <= place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_whether_a_later_batch_may_have_run() {
        let stream = || ClientStream::of(&ExchangeRequest::default());
        let in_order = stream();
        in_order.begin(1).unwrap();
        assert!(in_order.refuse(2), "only one before has run");
        assert!(in_order.begin(3).is_err(), "and none after it does");
        in_order.begin(1).unwrap();

        let overtaken = stream();
        overtaken.begin(3).unwrap();
        assert!(!overtaken.refuse(2));
    }
}
