//! What a stream has received, as far as its answers depend on it.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_flight::FlightData;
use arrow_ipc::MessageHeader;
use bytes::Bytes;
use parking_lot::Mutex;

use super::recent::{Repeated, hash};
use super::{Caller, Engine, Engines};
use udfleet_proto::error::Error;
use udfleet_proto::flight::bare_header;
use udfleet_proto::limits::MAX_BATCH_ROWS;

/// What is of interest about the batches of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interest {
    None,
    /// How many rows they have: all of them get an answer, whatever fails.
    Rows,
    /// That, and whether they have failed a moment ago.
    Repeats,
}

#[derive(Debug)]
struct Batch {
    rows: u64,
    /// Header and body, where it may have to be known again.
    message: Option<(Bytes, Bytes)>,
}

#[derive(Debug, Default)]
struct ArrivalState {
    /// Batches that have been answered, and their rows.
    answered: u64,
    answered_rows: u64,
    /// The others.
    batches: VecDeque<Batch>,
    schema: Bytes,
    /// A batch means something only together with its dictionaries: such streams are not remembered.
    dictionaries: bool,
    /// Why the next batch, which has failed before, ends the stream.
    repeated: Option<Error>,
}

impl ArrivalState {
    /// Of a batch among those that have not been answered.
    fn position(&self, sequence: u64) -> usize {
        usize::try_from(sequence.saturating_sub(self.answered)).unwrap_or(usize::MAX)
    }
}

/// See the module. Written by who reads the client, read by who answers it.
#[derive(Debug)]
pub struct Arrivals {
    engines: Arc<Engines>,
    interest: Interest,
    engine: Engine,
    query: String,
    function: String,
    state: Mutex<ArrivalState>,
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
            MessageHeader::RecordBatch => {
                let rows = message.header_as_record_batch().map_or(0, |batch| batch.length());
                let keep = self.interest == Interest::Repeats;
                if keep && let Some(error) = self.repeated(&state, &header, &data.data_body) {
                    state.repeated = Some(error);
                    return false;
                }
                // More than a batch may have is refused by who reads it, and no row of it is answered.
                let rows = u64::try_from(rows).ok().filter(|rows| *rows <= MAX_BATCH_ROWS as u64).unwrap_or(0);
                let message = keep.then(|| (header.clone(), data.data_body.clone()));
                state.batches.push_back(Batch { rows, message });
            }
            _ => {}
        }
        true
    }

    fn repeated(&self, state: &ArrivalState, header: &[u8], body: &[u8]) -> Option<Error> {
        if state.dictionaries || !self.engines.may_repeat(&self.function) {
            return None;
        }
        self.engines.repeated(self.engine, &self.call(state, header, body))
    }

    fn call(&self, state: &ArrivalState, header: &[u8], body: &[u8]) -> Repeated {
        let hash = hash([&state.schema, header, body]);
        Repeated { query: self.query.clone(), function: self.function.clone(), hash }
    }

    /// Everything up to a batch has been answered.
    pub(super) fn answered(&self, sequence: u64) {
        if self.interest == Interest::None {
            return;
        }
        let mut state = self.state.lock();
        while state.answered <= sequence
            && let Some(batch) = state.batches.pop_front()
        {
            state.answered += 1;
            state.answered_rows += batch.rows;
        }
    }

    /// A batch has failed, and will again.
    pub(super) fn failed(&self, sequence: u64, error: &Error) {
        let state = self.state.lock();
        let batch = state.batches.get(state.position(sequence));
        if let Some((header, body)) = batch.and_then(|batch| batch.message.as_ref())
            && !state.dictionaries
        {
            self.engines.failed(self.call(&state, header, body), error.clone());
        }
    }

    /// Rows of batches that have come and have not been answered.
    pub(super) fn unanswered_rows(&self) -> u64 {
        self.state.lock().batches.iter().map(|batch| batch.rows).sum()
    }

    /// Rows of the batches before this one.
    pub(super) fn rows_before(&self, sequence: u64) -> u64 {
        let state = self.state.lock();
        let before = state.batches.iter().take(state.position(sequence));
        state.answered_rows + before.map(|batch| batch.rows).sum::<u64>()
    }

    /// Why the stream ends early, where it does.
    pub(super) fn take_repeated(&self) -> Option<Error> {
        self.state.lock().repeated.take()
    }
}
