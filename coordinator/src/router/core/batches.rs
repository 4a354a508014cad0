//! Batches taken from the client and not yet answered: kept whole, because their executor may be lost.

use std::collections::{BTreeMap, BTreeSet};

use arrow_flight::FlightData;
use udfleet_proto::error::Error;
use udfleet_proto::v1::BatchHeader;

use super::by_key::KeyShare;

/// Messages of one answer on their way together.
pub(super) type AnswerParts = Vec<FlightData>;

/// What a batch is to the client and to executors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    /// Under which the client hears of it.
    pub sequence: u64,
    /// It is the last of those that an earlier stage has made of one batch of the client.
    pub closes: bool,
    /// What executors are told: the sequence, and the attempt with which it came here.
    pub identity: BatchHeader,
}

/// One batch.
pub(super) struct PendingBatch {
    /// Header and body, nothing else.
    pub message: FlightData,
    pub label: Label,
    /// Where it is a piece of a batch that is cut by keys.
    pub share: Option<KeyShare>,
    /// How often it was sent, without refusals.
    pub attempts: u32,
    /// Messages of its answer that have not been passed on yet.
    pub parts: AnswerParts,
    /// Rows of its answer that the client has, and whether it has any message of it.
    pub delivered_rows: u64,
    pub delivered: bool,
    /// Rows of another try's answer that the client has from an earlier one.
    pub skip: u64,
    pub last_error: Option<Error>,
}

impl PendingBatch {
    /// The row of the client's batch that is this row here.
    pub fn row_of_client(&self, row: u64) -> u64 {
        let rows = self.share.as_ref().and_then(|share| share.rows.as_ref());
        let here = usize::try_from(row).unwrap_or(usize::MAX);
        rows.and_then(|rows| rows.get(here)).map_or(row, |row| u64::from(*row))
    }
}

/// All of a stream's batches by their position.
#[derive(Default)]
pub(super) struct PendingBatches {
    pending: BTreeMap<u64, PendingBatch>,
    unsent: BTreeSet<u64>,
    bytes: usize,
}

/// Bytes of a message that count.
pub(super) fn size(message: &FlightData) -> usize {
    message.data_header.len() + message.data_body.len()
}

impl PendingBatches {
    pub fn accept(&mut self, position: u64, label: Label, message: FlightData, share: Option<KeyShare>) {
        self.bytes += size(&message);
        let pending = PendingBatch {
            message,
            label,
            share,
            attempts: 0,
            parts: Vec::new(),
            delivered_rows: 0,
            delivered: false,
            skip: 0,
            last_error: None,
        };
        self.pending.insert(position, pending);
        self.unsent.insert(position);
    }

    /// The next batch to send.
    pub fn first_unsent(&self) -> Option<u64> {
        self.unsent.first().copied()
    }

    /// Counts an attempt; returns the message with its sequence and attempt.
    pub fn send(&mut self, position: u64) -> Option<(FlightData, BatchHeader)> {
        self.unsent.remove(&position);
        let pending = self.pending.get_mut(&position)?;
        pending.attempts += 1;
        let BatchHeader { sequence, attempt } = pending.label.identity;
        let header = BatchHeader { sequence, attempt: attempt.saturating_add(pending.attempts - 1) };
        Some((pending.message.clone(), header))
    }

    pub fn get(&self, position: u64) -> Option<&PendingBatch> {
        self.pending.get(&position)
    }

    pub fn get_mut(&mut self, position: u64) -> Option<&mut PendingBatch> {
        self.pending.get_mut(&position)
    }

    /// Answered, or given up.
    pub fn take(&mut self, position: u64) -> Option<PendingBatch> {
        self.unsent.remove(&position);
        let pending = self.pending.remove(&position)?;
        self.bytes -= size(&pending.message);
        Some(pending)
    }

    /// It came back unanswered: to be sent again. One that was only refused was not attempted. The attempts so far.
    pub fn returned(&mut self, position: u64, error: &Error) -> u32 {
        let Some(pending) = self.pending.get_mut(&position) else { return 0 };
        if error.has_no_side_effects() {
            pending.attempts = pending.attempts.saturating_sub(1);
        }
        pending.parts.clear();
        pending.skip = pending.delivered_rows;
        pending.last_error = Some(error.clone());
        self.unsent.insert(position);
        pending.attempts
    }

    /// Gives up everything after `position`: its answer ends the stream.
    pub fn cut(&mut self, position: u64) {
        let after: Vec<u64> = self.pending.range(position + 1..).map(|(position, _)| *position).collect();
        for position in after {
            self.take(position);
        }
    }

    pub fn len(&self) -> usize {
        self.pending.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Bytes of input that is held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::ErrorCode;

    use super::*;

    fn body(bytes: usize) -> FlightData {
        FlightData::new().with_data_body(vec![0; bytes])
    }

    fn label(sequence: u64, attempt: u32) -> Label {
        Label { sequence, closes: true, identity: BatchHeader { sequence, attempt } }
    }

    #[test]
    fn returned_batches_are_sent_again_and_bytes_add_up() {
        let mut batches = PendingBatches::default();
        (0..3).for_each(|position| batches.accept(position, label(position + 100, 1), body(10), None));
        for position in 0..3 {
            assert_eq!(batches.first_unsent(), Some(position));
            assert_eq!(batches.send(position).unwrap().1, BatchHeader { sequence: position + 100, attempt: 1 });
        }
        assert_eq!(batches.first_unsent(), None);
        assert_eq!(batches.returned(1, &Error::internal("x")), 1);
        assert_eq!(batches.first_unsent(), Some(1));
        assert_eq!(batches.send(1).unwrap().1, BatchHeader { sequence: 101, attempt: 2 });
        for _ in 0..5 {
            assert_eq!(batches.returned(1, &Error::new(ErrorCode::NoCapacity, "draining")), 1, "the one that counts");
            assert_eq!(batches.first_unsent(), Some(1));
            assert_eq!(batches.send(1).unwrap().1.attempt, 2);
        }
        assert_eq!(batches.take(1).unwrap().label.sequence, 101);
        assert_eq!(batches.bytes(), 20);
        batches.cut(0);
        assert_eq!((batches.bytes(), batches.is_empty()), (10, false));
    }

    #[test]
    fn attempts_go_on_from_what_the_client_has_counted() {
        let mut batches = PendingBatches::default();
        batches.accept(0, label(7, 3), body(1), None);
        assert_eq!(batches.send(0).unwrap().1, BatchHeader { sequence: 7, attempt: 3 });
        assert_eq!(batches.returned(0, &Error::new(ErrorCode::ExecutorLost, "gone")), 1, "the stream's own count");
        assert_eq!(batches.send(0).unwrap().1, BatchHeader { sequence: 7, attempt: 4 });
    }
}
