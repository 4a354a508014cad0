//! Batches taken from the client and not yet answered: kept whole, because an executor may be lost under them.

use std::collections::{BTreeMap, BTreeSet};

use arrow_flight::FlightData;
use udfleet_proto::error::Error;

use super::retry::is_refusal;

/// Messages of one answer on their way together.
pub(super) type Parts = Vec<FlightData>;

/// What a batch is to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    /// The client's own number for it.
    pub sequence: u64,
    /// It is the last of those that an earlier stage has made of one batch of the client.
    pub closes: bool,
}

/// One batch.
pub(super) struct Pending {
    /// Header and body, nothing else.
    pub message: FlightData,
    pub tag: Tag,
    pub attempts: u32,
    /// Messages of its answer that have not been passed on yet.
    pub parts: Parts,
    /// Rows of its answer that the client has, and whether it has any message of it.
    pub passed_rows: u64,
    pub passed: bool,
    /// Rows of another try's answer that the client has from an earlier one.
    pub skip: u64,
    pub last_error: Option<Error>,
}

/// All of a stream's batches by their number on it.
#[derive(Default)]
pub(super) struct Batches {
    pending: BTreeMap<u64, Pending>,
    unsent: BTreeSet<u64>,
    bytes: usize,
}

fn size(message: &FlightData) -> usize {
    message.data_header.len() + message.data_body.len()
}

impl Batches {
    pub fn accept(&mut self, sequence: u64, tag: Tag, message: FlightData) {
        self.bytes += size(&message);
        let pending = Pending {
            message,
            tag,
            attempts: 0,
            parts: Vec::new(),
            passed_rows: 0,
            passed: false,
            skip: 0,
            last_error: None,
        };
        self.pending.insert(sequence, pending);
        self.unsent.insert(sequence);
    }

    /// The next batch to send.
    pub fn first_unsent(&self) -> Option<u64> {
        self.unsent.first().copied()
    }

    /// Counts an attempt; the message and the attempt's number, from 1.
    pub fn send(&mut self, sequence: u64) -> Option<(FlightData, u32)> {
        self.unsent.remove(&sequence);
        let pending = self.pending.get_mut(&sequence)?;
        pending.attempts += 1;
        Some((pending.message.clone(), pending.attempts))
    }

    pub fn get_mut(&mut self, sequence: u64) -> Option<&mut Pending> {
        self.pending.get_mut(&sequence)
    }

    /// Answered, or given up.
    pub fn take(&mut self, sequence: u64) -> Option<Pending> {
        self.unsent.remove(&sequence);
        let pending = self.pending.remove(&sequence)?;
        self.bytes -= size(&pending.message);
        Some(pending)
    }

    /// It came back unanswered: to be sent again. One that was only refused was not attempted. The attempts so far.
    pub fn returned(&mut self, sequence: u64, error: &Error) -> u32 {
        let Some(pending) = self.pending.get_mut(&sequence) else { return 0 };
        if is_refusal(error.code()) {
            pending.attempts = pending.attempts.saturating_sub(1);
        }
        pending.parts.clear();
        pending.skip = pending.passed_rows;
        pending.last_error = Some(error.clone());
        self.unsent.insert(sequence);
        pending.attempts
    }

    /// Gives up everything after `sequence`: its answer ends the stream.
    pub fn cut(&mut self, sequence: u64) {
        let after: Vec<u64> = self.pending.range(sequence + 1..).map(|(s, _)| *s).collect();
        for sequence in after {
            self.take(sequence);
        }
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

    #[test]
    fn returned_batches_are_sent_again_and_bytes_add_up() {
        let mut batches = Batches::default();
        (0..3).for_each(|s| batches.accept(s, Tag { sequence: s + 100, closes: true }, body(10)));
        for sequence in 0..3 {
            assert_eq!(batches.first_unsent(), Some(sequence));
            assert_eq!(batches.send(sequence).unwrap().1, 1);
        }
        assert_eq!(batches.first_unsent(), None);
        assert_eq!(batches.returned(1, &Error::internal("x")), 1);
        assert_eq!(batches.first_unsent(), Some(1));
        assert_eq!(batches.send(1).unwrap().1, 2);
        for _ in 0..5 {
            assert_eq!(batches.returned(1, &Error::new(ErrorCode::NoCapacity, "draining")), 1, "the one that counts");
            assert_eq!(batches.first_unsent(), Some(1));
            assert_eq!(batches.send(1).unwrap().1, 2);
        }
        assert_eq!(batches.take(1).unwrap().tag.sequence, 101);
        assert_eq!(batches.bytes(), 20);
        batches.cut(0);
        assert_eq!((batches.bytes(), batches.is_empty()), (10, false));
    }
}
