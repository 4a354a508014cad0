//! What has come in on a stream, as far as its answers need to know.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_flight::FlightData;
use arrow_ipc::MessageHeader;
use bytes::Bytes;
use parking_lot::Mutex;

use super::recent::{Repeated, hash};
use super::{Caller, Engine, Engines};
use crate::error::Error;
use crate::flight::bare_header;

/// What is of interest about the batches of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interest {
    None,
    /// How many rows they have: all of them get an answer, whatever fails.
    Rows,
    /// Whether they have failed a moment ago.
    Repeats,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the first batch in the queues below.
    first: u64,
    rows: VecDeque<u64>,
    batches: VecDeque<(Bytes, Bytes)>,
    schema: Bytes,
    /// A batch means something only together with its dictionaries: such streams are not remembered.
    dictionaries: bool,
    /// The batch that has failed before, which ends the stream, and why.
    repeated: Option<(u64, Error)>,
}

/// See the module. Written by who reads the client, read by who answers it.
#[derive(Debug)]
pub struct Arrivals {
    engines: Arc<Engines>,
    interest: Interest,
    engine: Engine,
    query: String,
    function: String,
    state: Mutex<State>,
}

impl Arrivals {
    pub(super) fn new(engines: Arc<Engines>, interest: Interest, caller: &Caller, function: &str) -> Self {
        let query = if caller.query.is_empty() { caller.engine.name() } else { &caller.query };
        let (query, function) = (query.to_owned(), function.to_owned());
        Self { engines, interest, engine: caller.engine, query, function, state: Mutex::default() }
    }

    /// Looks at a message. False where the stream is to end before it.
    pub(super) fn note(&self, data: &FlightData) -> bool {
        if self.interest == Interest::None || data.data_header.is_empty() {
            return true;
        }
        let header = bare_header(&data.data_header);
        // What is malformed is refused by who reads the batches.
        let Ok(message) = arrow_ipc::root_as_message(&header) else { return true };
        let mut state = self.state.lock();
        match message.header_type() {
            MessageHeader::Schema => state.schema = header,
            MessageHeader::DictionaryBatch => state.dictionaries = true,
            MessageHeader::RecordBatch if self.interest == Interest::Rows => {
                let rows = message.header_as_record_batch().map_or(0, |batch| batch.length());
                state.rows.push_back(u64::try_from(rows).unwrap_or(0));
            }
            MessageHeader::RecordBatch => {
                let number = state.first + state.batches.len() as u64;
                if let Some(error) = self.repeated(&state, &header, &data.data_body) {
                    state.repeated = Some((number, error));
                    return false;
                }
                state.batches.push_back((header.clone(), data.data_body.clone()));
            }
            _ => {}
        }
        true
    }

    fn repeated(&self, state: &State, header: &[u8], body: &[u8]) -> Option<Error> {
        if state.dictionaries || !self.engines.may_repeat(&self.function) {
            return None;
        }
        self.engines.repeated(self.engine, &self.call(state, header, body))
    }

    fn call(&self, state: &State, header: &[u8], body: &[u8]) -> Repeated {
        let hash = hash([&state.schema, header, body]);
        Repeated { query: self.query.clone(), function: self.function.clone(), hash }
    }

    /// Everything up to a batch has been answered.
    pub(super) fn answered(&self, sequence: u64) {
        if self.interest == Interest::None {
            return;
        }
        let mut state = self.state.lock();
        while state.first <= sequence && !(state.rows.is_empty() && state.batches.is_empty()) {
            state.rows.pop_front();
            state.batches.pop_front();
            state.first += 1;
        }
    }

    /// A batch has failed, and will again.
    pub(super) fn failed(&self, sequence: u64, error: &Error) {
        let state = self.state.lock();
        let position = sequence.checked_sub(state.first).and_then(|position| usize::try_from(position).ok());
        let Some((header, body)) = position.and_then(|position| state.batches.get(position)) else { return };
        if !state.dictionaries {
            self.engines.failed(self.call(&state, header, body), error.clone());
        }
    }

    /// Rows of batches that have come and have not been answered.
    pub(super) fn unanswered_rows(&self) -> u64 {
        self.state.lock().rows.iter().sum()
    }

    /// Why the stream ends early, where it does, and at which batch.
    pub(super) fn take_repeated(&self) -> Option<(u64, Error)> {
        self.state.lock().repeated.take()
    }
}
