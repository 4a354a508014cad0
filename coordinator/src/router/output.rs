//! What goes out: answers in the order of their batches, numbered as the client does.

use arrow_flight::FlightData;
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::v1::BatchResult;

use super::exchange::{BYTES, Exchange};
use super::pending::{Parts, Tag};

/// The answer to one batch, or what is left of it.
pub(super) enum Answer {
    Data {
        tag: Tag,
        parts: Parts,
    },
    /// Of the stage before.
    Passed(FlightData),
    Failed {
        sequence: u64,
        error: Error,
    },
}

pub(super) fn size(part: &FlightData) -> usize {
    part.data_header.len() + part.data_body.len()
}

impl Exchange {
    /// Keeps what is left of a complete answer until its turn.
    pub(super) fn answered(&mut self, sequence: u64) {
        if let Some(pending) = self.batches.take(sequence) {
            self.reorder.push(sequence, Answer::Data { tag: pending.tag, parts: pending.parts });
        }
    }

    /// The stream ends with this error, once everything before batch `sequence` has been answered.
    pub(super) fn fail(&mut self, sequence: u64, error: Error) {
        let number = self.batches.take(sequence).map_or(sequence, |pending| pending.tag.sequence);
        self.batches.cut(sequence);
        self.reject();
        self.next = self.next.max(sequence + 1);
        let error = if self.work.function().is_empty() { error } else { error.function(self.work.function()) };
        self.reorder.push(sequence, Answer::Failed { sequence: number, error });
    }

    /// Nothing that still comes in is looked at.
    pub(super) fn reject(&mut self) {
        self.rejected = self.input.take().or(self.rejected.take());
        self.failed = true;
    }

    /// Moves what is due to the client's side: also of an answer that has not ended, when it is its turn.
    pub(super) fn emit(&mut self) {
        let mut turn = self.reorder.next();
        while let Some(answer) = self.reorder.pop() {
            match answer {
                Answer::Data { tag, parts } => self.put_out(turn, tag, parts),
                Answer::Passed(part) => self.out.push_back(part),
                Answer::Failed { sequence, error } => {
                    self.out.push_back(in_band(sequence, error));
                    self.finished = true;
                    return;
                }
            }
            turn = self.reorder.next();
        }
        if let Some(pending) = self.batches.get_mut(turn)
            && !pending.parts.is_empty()
        {
            let (tag, parts) = (pending.tag, std::mem::take(&mut pending.parts));
            pending.passed = true;
            pending.passed_rows += parts.iter().map(rows).sum::<u64>();
            self.put_out(turn, tag, parts);
        }
        self.hold_back(turn);
    }

    fn put_out(&mut self, sequence: u64, tag: Tag, parts: Parts) {
        for part in parts {
            self.early_bytes = self.early_bytes.saturating_sub(size(&part));
            self.out.extend(self.renumber(sequence, part, tag));
        }
    }

    /// Where early answers fill their room, only the upstream whose answer is due is read on.
    fn hold_back(&mut self, turn: u64) {
        let full = self.early_bytes >= BYTES;
        if full || self.gated {
            for upstream in self.upstreams.values() {
                upstream.gate.set(!full || upstream.oldest() == Some(turn));
            }
            self.gated = full;
        }
    }

    /// As the client numbers it. `None` for what only executors have to say.
    fn renumber(&self, sequence: u64, mut part: FlightData, tag: Tag) -> Option<FlightData> {
        let empty = part.data_header.is_empty();
        // Of the parts that one batch has become only the last says that it has been gathered, and those of a gathering
        // before are no batches of the client.
        let internal = self.work.gathers && (self.work.behind || !tag.closes) && Some(sequence) != self.tail;
        if empty && internal {
            return None;
        }
        part.flight_descriptor = None;
        let result = BatchResult::decode(std::mem::take(&mut part.app_metadata)).unwrap_or_default();
        let last = result.last && tag.closes;
        part.app_metadata = BatchResult { sequence: tag.sequence, last, ..result }.encode_to_vec().into();
        Some(part)
    }
}

fn rows(part: &FlightData) -> u64 {
    BatchResult::decode(part.app_metadata.clone()).map_or(0, |result| result.rows)
}

fn in_band(sequence: u64, error: Error) -> FlightData {
    let result = BatchResult { sequence, last: true, error: Some(error.into_info()), ..BatchResult::default() };
    FlightData::new().with_app_metadata(result.encode_to_vec())
}
