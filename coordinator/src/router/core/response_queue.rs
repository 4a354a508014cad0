//! Answers to the client: in the order of their batches, with the client's numbers.

use std::collections::VecDeque;

use arrow_flight::FlightData;
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{BatchResult, StreamProgress};

use super::batches::{AnswerParts, Label, size};
use super::reorder::Reorder;
use super::{Candidate, Effect, ExchangeCore, MAX_HELD_BYTES};

/// The answer to one batch, or what is left of it.
pub(super) enum Response {
    Data {
        label: Label,
        parts: AnswerParts,
    },
    /// Of the stage before.
    Passed(FlightData),
    Failed {
        sequence: u64,
        error: Error,
    },
}

/// See the module.
pub(super) struct ResponseQueue {
    order: Reorder<Response>,
    ready: VecDeque<FlightData>,
    /// Of answers that are not ready yet.
    early_bytes: usize,
    /// Early answers fill their room: only the upstream whose answer is due is read.
    holds_back: bool,
    /// An error has gone out: it is the last message.
    finished: bool,
}

impl ResponseQueue {
    pub fn beginning_with(schema: FlightData) -> Self {
        Self {
            order: Reorder::default(),
            ready: VecDeque::from([schema]),
            early_bytes: 0,
            holds_back: false,
            finished: false,
        }
    }

    /// Keeps an answer until its turn.
    pub fn push(&mut self, position: u64, response: Response) {
        self.order.push(position, response);
    }

    /// A message that waits for no turn.
    pub fn push_ready(&mut self, message: FlightData) {
        self.ready.push_back(message);
    }

    /// Says how the stream stands, unless there is something else to say.
    pub fn tell(&mut self, progress: StreamProgress) {
        if self.ready.is_empty() && !self.finished {
            let result = BatchResult { progress: Some(progress), ..BatchResult::default() };
            self.push_ready(FlightData::new().with_app_metadata(result.encode_to_vec()));
        }
    }

    pub fn pop(&mut self) -> Option<FlightData> {
        self.ready.pop_front()
    }

    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The position whose answer is due.
    pub fn next_position(&self) -> u64 {
        self.order.next()
    }

    pub fn early_bytes(&self) -> usize {
        self.early_bytes
    }

    pub fn holds_back(&self) -> bool {
        self.holds_back
    }

    /// A part has come.
    pub fn hold(&mut self, part: &FlightData) {
        self.early_bytes += size(part);
    }

    /// Parts have gone out, or are given up.
    pub fn release(&mut self, parts: &[FlightData]) {
        self.early_bytes -= parts.iter().map(size).sum::<usize>();
    }
}

impl<S: Candidate> ExchangeCore<S> {
    /// Keeps what is left of a complete answer until its turn.
    pub(super) fn complete(&mut self, position: u64) {
        if let Some(pending) = self.batches.take(position) {
            self.responses.push(position, Response::Data { label: pending.label, parts: pending.parts });
        }
    }

    /// Moves what is due to the client's side: also of an answer that has not ended, when it is its turn. True where an
    /// answer was completed.
    pub(super) fn respond(&mut self) -> bool {
        let begun = self.responses.order.next();
        let mut turn = begun;
        while let Some(response) = self.responses.order.pop() {
            match response {
                Response::Data { label, parts } => self.put_out(turn, &label, parts),
                Response::Passed(part) => self.responses.push_ready(part),
                Response::Failed { sequence, error } => {
                    self.responses.push_ready(in_band(sequence, error));
                    self.responses.finished = true;
                    return false;
                }
            }
            turn = self.responses.order.next();
        }
        if let Some(pending) = self.batches.get_mut(turn)
            && !pending.parts.is_empty()
        {
            let (label, parts) = (pending.label.clone(), std::mem::take(&mut pending.parts));
            pending.delivered = true;
            pending.delivered_rows += parts.iter().map(rows).sum::<u64>();
            self.put_out(turn, &label, parts);
        }
        self.hold_back(turn);
        turn > begun
    }

    fn put_out(&mut self, position: u64, label: &Label, parts: AnswerParts) {
        self.responses.release(&parts);
        for part in parts {
            if let Some(message) = self.numbered(position, part, label) {
                self.responses.push_ready(message);
            }
        }
    }

    /// Where early answers fill their room, only the upstream whose answer is due is read on.
    fn hold_back(&mut self, turn: u64) {
        let full = self.responses.early_bytes >= MAX_HELD_BYTES;
        if full || self.responses.holds_back {
            for (upstream, on) in self.upstreams.set_reading(|upstream| !full || upstream.oldest() == Some(turn)) {
                self.effects.push_back(Effect::Read { upstream, on });
            }
            self.responses.holds_back = full;
        }
    }

    /// As the client numbers it. `None` for what only executors have to say.
    fn numbered(&self, position: u64, mut part: FlightData, label: &Label) -> Option<FlightData> {
        let empty = part.data_header.is_empty();
        // Of what one batch has become, and of several ends of the input, only the last says that all is done. What an
        // aggregation before has given is no batch of the client.
        let of_aggregation = self.spec.after_aggregation && !self.input.is_end(position);
        let internal = self.spec.aggregates && (of_aggregation || !label.closes);
        if empty && internal {
            return None;
        }
        part.flight_descriptor = None;
        let result = BatchResult::decode(std::mem::take(&mut part.app_metadata)).unwrap_or_default();
        let last = result.last && label.closes;
        part.app_metadata = BatchResult { sequence: label.sequence, last, ..result }.encode_to_vec().into();
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
