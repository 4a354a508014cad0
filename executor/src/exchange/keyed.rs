//! Bundles of keyed functions: one interpreter keeps the instance of the function that a stream has at a partition, with its
//! caches, from one bundle to the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_ipc::convert::try_schema_from_flatbuffer_bytes;
use arrow_ipc::root_as_message;
use arrow_schema::Schema;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use udfleet_proto::error::Error;
use udfleet_proto::flight::bare_header;
use udfleet_proto::frame;
use udfleet_proto::key::ROW_KIND;
use udfleet_proto::limits::MAX_FRAME_BYTES;
use udfleet_proto::v1::{ErrorCode, ExchangeRequest, KeyedBundle};

use super::batch::{BatchAnswer, BatchRun, ResultPart, bare_input};
use super::client_stream::BatchIdentity;
use super::input::schema_id;
use super::schema::check;
use super::served::ServedFunction;
use super::target::Call;
use crate::link::{Input, Interpreter, RetainedState};

/// The most bytes of a bundle's results: all of them are held until the bundle is committed.
const MAX_RESULTS: usize = MAX_FRAME_BYTES;

/// The rows of a bundle at one partition.
#[derive(Debug)]
pub struct BundleRows {
    /// The schema's IPC message: key columns, then arguments.
    pub schema: Bytes,
    /// The batch's IPC message, and its body.
    pub header: Bytes,
    /// See `header`.
    pub body: Bytes,
}

/// The function of a stream at a partition, in one interpreter. Dropped, its state in memory is forgotten.
pub struct KeyedInstance {
    call: Call,
    number: u64,
    /// None before the first bundle.
    at: Option<(Interpreter, RetainedState)>,
    ended: CancellationToken,
}

impl Drop for KeyedInstance {
    fn drop(&mut self) {
        self.ended.cancel();
        if let Some((at, _)) = &self.at {
            at.cancel_session(self.number);
        }
    }
}

impl KeyedInstance {
    /// Of a function; nothing is asked of an interpreter yet.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for a function without keyed state.
    pub fn new(function: &ServedFunction, producer: String) -> Result<Self, Error> {
        static LAST: AtomicU64 = AtomicU64::new(1 << 63);
        let request = ExchangeRequest { producer, ..ExchangeRequest::default() };
        let call = Call::keyed(Arc::clone(&function.target), &request)?;
        // Sessions of aggregations are numbered from the other end.
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Self { call, number, at: None, ended: CancellationToken::new() })
    }

    /// Whether it is one of this function, and not of another version.
    pub fn is_of(&self, function: &ServedFunction) -> bool {
        Arc::ptr_eq(&self.call.target, &function.target)
    }

    /// Runs a bundle, and holds all of its results: batches of the row that each is for, and the function's columns. After an
    /// error the instance is of no more use.
    ///
    /// # Errors
    /// What the function raised, or how its interpreter ended.
    pub async fn run(
        &mut self,
        bundle: KeyedBundle,
        rows: &BundleRows,
        attempt: u32,
    ) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let count = self.checked(&bundle, rows)?;
        let schema = bare_header(&rows.schema);
        let identity = BatchIdentity { sequence: bundle.bundle, attempt, place: bundle.bundle };
        let input = Input {
            session: self.number,
            schema_id: schema_id(&schema),
            schema,
            header: bare_header(&rows.header),
            body: rows.body.clone(),
            keyed: Some(bundle),
            ..bare_input(&self.call)
        };
        let mut run = BatchRun::new(&self.call, input, identity, count, &self.ended);
        let received = match &self.at {
            None => run.begin().await,
            Some((at, _)) => run.once(at).await.map_err(|failure| failure.error),
        };
        let mut received = match received {
            Ok(received) => received,
            Err(error) => return Err(run.failed(error)),
        };
        if let (None, Some(kept)) = (&self.at, received.groups.take()) {
            self.at = Some((received.at.clone(), kept));
        }
        collected(run.answer(received)).await
    }

    /// Checks the rows as those of any stream are checked; how many there are.
    fn checked(&self, bundle: &KeyedBundle, rows: &BundleRows) -> Result<u64, Error> {
        let invalid = |what: &str| Error::new(ErrorCode::InvalidInput, format!("a bundle's {what} is malformed"));
        let schema = try_schema_from_flatbuffer_bytes(&bare_header(&rows.schema)).map_err(|_| invalid("schema"))?;
        let arguments = schema.fields().get(bundle.key_columns as usize..).ok_or_else(|| invalid("schema"))?;
        let arguments = match arguments.split_last() {
            Some((last, others)) if last.name() == ROW_KIND => others,
            _ => arguments,
        };
        check(&self.call.target, &Schema::new(arguments.to_vec()))?;
        let header = bare_header(&rows.header);
        let message = root_as_message(&header).map_err(|_| invalid("header"))?;
        let batch = message.header_as_record_batch().ok_or_else(|| invalid("header"))?;
        frame::check(&batch, &rows.body)?;
        u64::try_from(batch.length()).map_err(|_| invalid("header"))
    }
}

async fn collected(answer: BatchAnswer) -> Result<Vec<(Bytes, Bytes)>, Error> {
    let mut parts = Vec::new();
    let mut bytes = 0;
    let mut take = |part: ResultPart| {
        bytes += part.body.len();
        parts.push((part.header, part.body));
        if bytes > MAX_RESULTS { Err(too_large()) } else { Ok(()) }
    };
    match answer {
        BatchAnswer::Whole(part) => take(part)?,
        BatchAnswer::Parts(mut reader) => {
            while let Some(part) = reader.next().await {
                take(part?)?;
            }
        }
    }
    Ok(parts)
}

fn too_large() -> Error {
    let message = format!("a bundle's results in one partition have more than {} MiB", MAX_RESULTS >> 20);
    Error::new(ErrorCode::LimitExceeded, message).hint("make bundles smaller: python.fn-execution.bundle.size")
}
