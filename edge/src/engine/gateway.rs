//! Translates between numbered answers with errors in-band and an engine's protocol. Sans-I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_flight::FlightData;
use prost::Message as _;
use tonic::{Code, Status};

use super::arrivals::{Arrivals, Interest};
use super::columns::is_scalar;
use super::shape::Shape;
use super::{Caller, Engine, Engines};
use udfleet_proto::error::{Error, Fault, truncate};
use udfleet_proto::ipc;
use udfleet_proto::v1::{BatchResult, ErrorCode, ExchangeRequest, FunctionDefinition, OnError, StreamProgress};

/// Answers that are held until it is known whether any row has failed, bytes.
const MOST_HELD: usize = 64 << 20;
/// Rows of a message that only says why they have failed.
const FAILED_ROWS: u64 = 4096;
/// The longest message about a row, bytes.
const MOST_MESSAGE: usize = 512;

/// How errors of rows go out.
#[derive(Debug)]
enum Errors {
    /// Not at all: the first one ends the stream as a status.
    Status,
    /// In a column of their own, which is there only where any row has failed. So the schema waits.
    Undecided { held: Vec<FlightData>, bytes: usize },
    /// In a column of their own.
    Column,
    /// All rows from here on have failed.
    Failing(String),
}

/// See the module.
#[derive(Debug)]
pub struct Gateway {
    caller: Caller,
    /// `add@3`
    function: String,
    /// What has failed will fail again.
    deterministic: bool,
    shape: Shape,
    errors: Errors,
    arrivals: Arc<Arrivals>,
    out: VecDeque<Result<FlightData, Status>>,
    /// Rows that are still to be answered, at the end of the input.
    failed_rows: u64,
    sent: bool,
    over: bool,
}

impl Gateway {
    /// For a stream of calls; `function`: `add@3`.
    #[must_use]
    pub fn new(engines: &Arc<Engines>, caller: Caller, definition: &FunctionDefinition, function: &str) -> Self {
        engines.called(&caller);
        let shape = Shape::of(definition, caller.engine);
        let (errors, interest) = match caller.engine {
            Engine::ArrowUdf if is_scalar(definition) => {
                (Errors::Undecided { held: Vec::new(), bytes: 0 }, Interest::Rows)
            }
            Engine::ArrowUdf | Engine::Databend if definition.deterministic => (Errors::Status, Interest::Repeats),
            Engine::ArrowUdf => (Errors::Status, Interest::Rows),
            // A person who tries again wants another try.
            Engine::Databend | Engine::Other => (Errors::Status, Interest::None),
        };
        let out = match &errors {
            Errors::Undecided { .. } => VecDeque::new(),
            _ => VecDeque::from([Ok(ipc::schema_message(shape.schema(false)))]),
        };
        Self {
            arrivals: Arc::new(Arrivals::new(Arc::clone(engines), interest, &caller, function)),
            deterministic: definition.deterministic,
            function: function.to_owned(),
            caller,
            shape,
            errors,
            out,
            failed_rows: 0,
            sent: false,
            over: false,
        }
    }

    /// What executors are asked for: what becomes of rows that fail, and signs of life for a client that wants them.
    #[must_use]
    pub fn request(&self) -> ExchangeRequest {
        let (on_error, progress_every_ms) = match self.errors {
            Errors::Status => (OnError::Unspecified, self.caller.progress_every_ms),
            _ => (OnError::Column, 0),
        };
        ExchangeRequest { on_error: on_error as i32, progress_every_ms, ..ExchangeRequest::default() }
    }

    /// What notes the client's messages.
    #[must_use]
    pub fn arrivals(&self) -> Arc<Arrivals> {
        Arc::clone(&self.arrivals)
    }

    /// The next message for the client.
    pub fn pop(&mut self) -> Option<Result<FlightData, Status>> {
        if self.out.is_empty() && self.failed_rows > 0 {
            self.more_failed();
        }
        self.out.pop_front()
    }

    /// True where nothing more is to be passed in.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Takes a numbered message.
    pub fn take(&mut self, message: FlightData) {
        if self.over || message.app_metadata.is_empty() {
            // The schema, which goes out as this caller wants it.
            return;
        }
        let result = match BatchResult::decode(message.app_metadata) {
            Ok(result) => result,
            Err(error) => return self.end_with(Error::internal(format!("an answer's metadata: {error}"))),
        };
        match result.error {
            Some(info) => return self.failed(result.sequence, info.into()),
            None if result.bundle.is_some() || matches!(self.errors, Errors::Failing(_)) => return,
            None if result.progress.is_some() => return self.tell_progress(result.progress),
            None => {}
        }
        if !message.data_header.is_empty() {
            let bare = FlightData { app_metadata: bytes::Bytes::new(), flight_descriptor: None, ..message };
            match self.errors {
                Errors::Status => self.put(bare, result.sequence),
                _ => self.row_by_row(bare, result.errors_column),
            }
        }
        if result.last {
            self.arrivals.answered(result.sequence);
        }
    }

    /// There is no message any more.
    pub fn end(&mut self) {
        if self.over {
            return;
        }
        if let Some(error) = self.arrivals.take_repeated() {
            return self.end_with(error);
        }
        match &mut self.errors {
            Errors::Undecided { held, .. } => {
                let held = std::mem::take(held);
                self.out.push_back(Ok(ipc::schema_message(self.shape.schema(false))));
                held.into_iter().for_each(|data| self.pass(|shape| shape.whole(data, 0)));
            }
            Errors::Failing(_) => self.failed_rows = self.arrivals.unanswered_rows(),
            Errors::Column => {}
            // Databend takes a reply without batches for a broken one.
            Errors::Status if self.caller.engine == Engine::Databend && !self.sent => {
                self.out.push_back(self.shape.empty().map_err(Status::from));
            }
            Errors::Status => {}
        }
        self.over = true;
    }

    /// Nobody else is told: others know no messages without a batch.
    fn tell_progress(&mut self, progress: Option<StreamProgress>) {
        if self.request().progress_every_ms > 0 {
            let told = BatchResult { progress, ..BatchResult::default() };
            self.out.push_back(Ok(FlightData { app_metadata: told.encode_to_vec().into(), ..FlightData::default() }));
        }
    }

    /// Rows of one call count through all its batches: arrow-rs cuts large chunks before it sends them.
    fn put(&mut self, data: FlightData, sequence: u64) {
        let first_row = if self.caller.engine == Engine::ArrowUdf { self.arrivals.rows_before(sequence) } else { 0 };
        self.sent = true;
        self.pass(|shape| shape.whole(data, first_row));
    }

    fn row_by_row(&mut self, data: FlightData, has: bool) {
        match &mut self.errors {
            Errors::Undecided { held, bytes } if !has && *bytes < MOST_HELD => {
                *bytes += data.data_header.len() + data.data_body.len();
                held.push(data);
            }
            Errors::Undecided { .. } => {
                self.commit();
                self.pass(|shape| shape.with_errors(data, has));
            }
            Errors::Column => self.pass(|shape| shape.with_errors(data, has)),
            Errors::Failing(_) | Errors::Status => {}
        }
    }

    fn pass(&mut self, convert: impl FnOnce(&Shape) -> Result<FlightData, Error>) {
        if self.over {
            return;
        }
        match convert(&self.shape) {
            Ok(data) => self.out.push_back(Ok(data)),
            Err(error) => self.end_with(error),
        }
    }

    /// Some row has failed, or too much is held: what comes has a column of messages.
    fn commit(&mut self) {
        if let Errors::Undecided { held, .. } = std::mem::replace(&mut self.errors, Errors::Column) {
            self.out.push_back(Ok(ipc::schema_message(self.shape.schema(true))));
            held.into_iter().for_each(|data| self.pass(|shape| shape.with_errors(data, false)));
        }
    }

    fn failed(&mut self, sequence: u64, error: Error) {
        let by_row = !matches!(self.errors, Errors::Status) && is_of_rows(&error);
        if !by_row {
            if self.deterministic && error.code().fault() == Fault::User {
                self.arrivals.failed(sequence, &error);
            }
            return self.end_with(error);
        }
        self.warn(&error);
        self.commit();
        let mut message = error.to_string();
        truncate(&mut message, MOST_MESSAGE);
        self.errors = Errors::Failing(message);
    }

    fn end_with(&mut self, error: Error) {
        self.warn(&error);
        self.over = true;
        let is_of_user = error.code().fault() == Fault::User;
        let status = Status::from(error);
        // What looks like a broken network is tried again for ever.
        let databend = self.caller.engine == Engine::Databend && is_of_user;
        self.out.push_back(Err(if databend { with_code(&status, Code::InvalidArgument) } else { status }));
    }

    fn more_failed(&mut self) {
        let Errors::Failing(message) = &self.errors else { return };
        let rows = self.failed_rows.min(FAILED_ROWS);
        self.failed_rows -= rows;
        let answer = self.shape.failed(usize::try_from(rows).unwrap_or(0), message);
        self.out.push_back(answer.map_err(Status::from));
    }

    fn warn(&self, error: &Error) {
        let Caller { engine, tenant, query, function, .. } = &self.caller;
        if *engine != Engine::Other {
            let engine = engine.name();
            tracing::warn!(engine, tenant, query, engine_function = function, function = self.function, %error, "an engine's call failed");
        }
    }
}

/// True for what happens to a batch while it runs, and is its own or its function's doing.
fn is_of_rows(error: &Error) -> bool {
    match error.code() {
        ErrorCode::UserCode
        | ErrorCode::ResultType
        | ErrorCode::CallTimeout
        | ErrorCode::InterpreterCrashed
        | ErrorCode::MemoryExceeded => true,
        // Of a value; without a row it is about the columns, which no row can do anything about.
        ErrorCode::InvalidInput => error.info().row.is_some(),
        _ => false,
    }
}

fn with_code(status: &Status, code: Code) -> Status {
    Status::with_details(code, status.message(), bytes::Bytes::copy_from_slice(status.details()))
}
