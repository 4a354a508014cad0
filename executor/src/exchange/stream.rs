//! One DoExchange stream: batches in, results out in order, a bounded number in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_flight::FlightData;
use async_stream::stream;
use futures::{Stream, StreamExt};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use udfleet_proto::error::Error;
use udfleet_proto::limits::{MAX_FRAME_BYTES, STREAM_WINDOW};
use udfleet_proto::v1::{BatchResult, ErrorCode};

use super::batch::{Answer, run};
use super::input::{Batch, InputReader};
use super::served::{ServedFunction, StreamSlot};

/// Input bytes of one stream that may be in flight at once, in KiB; a larger batch travels alone.
const BUDGET_KIB: usize = 64 << 10;

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PATH descriptor: plain Flight; an error ends the stream as a status.
    Plain,
    /// CMD descriptor: numbered batches, errors in-band.
    Numbered,
}

/// The answers to a stream.
pub fn serve(
    function: Arc<ServedFunction>,
    dialect: Dialect,
    slot: StreamSlot,
    first: Option<FlightData>,
    input: Streaming<FlightData>,
) -> impl Stream<Item = Result<FlightData, Status>> + Send {
    let schema = FlightData { data_header: function.result_schema.clone(), ..FlightData::default() };
    let batches = batches(Arc::clone(&function), first, input);
    let failed = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&failed);
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    let answers =
        batches.map(move |item| start(&function, item, gone.load(Ordering::Relaxed), &ended)).buffered(STREAM_WINDOW);
    stream! {
        let _slot = slot;
        let _guard = guard;
        yield Ok(schema);
        futures::pin_mut!(answers);
        while let Some(Answered { sequence, rows, outcome, _permit }) = answers.next().await {
            match (outcome, dialect) {
                (Ok(answer), _) => yield Ok(data(answer, sequence, rows, dialect)),
                (Err(error), Dialect::Numbered) => {
                    yield Ok(failure(error, sequence));
                    // A client that still writes must read this answer: ending the stream under its write would make
                    // gRPC drop it. So what still comes is read, and thrown away, until the client ends the stream.
                    failed.store(true, Ordering::Relaxed);
                    while answers.next().await.is_some() {}
                    return;
                }
                (Err(error), Dialect::Plain) => {
                    yield Err(error.into());
                    return;
                }
            }
        }
    }
}

/// What became of a batch. Its share of the stream's budget is held until the answer has been handed over.
struct Answered {
    sequence: u64,
    rows: u64,
    outcome: Result<Answer, Error>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Runs a batch in a task of its own. Nobody polls the stream of a client that does not read: were its batches run
/// there, one that an interpreter has answered would go on holding its place at it. When the stream ends, batches that
/// wait are given up; one that is at an interpreter keeps its place there until the interpreter is done with it.
fn start(
    function: &Arc<ServedFunction>,
    item: Item,
    failed: bool,
    ended: &CancellationToken,
) -> impl Future<Output = Answered> + Send + use<> {
    let refused = |sequence, error| Answered { sequence, rows: 0, outcome: Err(error), _permit: None };
    let task = match item {
        Ok((batch, _)) if failed => Err((batch.header.sequence, Error::internal("the stream has failed before"))),
        Ok((batch, permit)) => {
            let (function, ended, sequence) = (Arc::clone(function), ended.clone(), batch.header.sequence);
            let run = async move {
                let outcome = run(&function, &batch, &ended).await;
                Answered { sequence, rows: batch.rows, outcome, _permit: permit }
            };
            Ok((sequence, tokio::spawn(run)))
        }
        Err(broken) => Err(broken),
    };
    async move {
        match task {
            Ok((sequence, task)) => task
                .await
                .unwrap_or_else(|e| refused(sequence, Error::internal(format!("the batch's task did not end: {e}")))),
            Err((sequence, error)) => refused(sequence, error),
        }
    }
}

type Item = Result<(Batch, Option<OwnedSemaphorePermit>), (u64, Error)>;

/// Reads batches no faster than the stream's budget allows.
fn batches(
    function: Arc<ServedFunction>,
    first: Option<FlightData>,
    mut input: Streaming<FlightData>,
) -> impl Stream<Item = Item> + Send {
    let budget = Arc::new(Semaphore::new(BUDGET_KIB));
    stream! {
        let mut reader = InputReader::new(function);
        let mut next = first;
        loop {
            let data = match next.take() {
                Some(data) => data,
                None => match input.message().await {
                    Ok(Some(data)) => data,
                    Ok(None) => return,
                    Err(status) => {
                        yield Err((reader.next_sequence(), broken(&status)));
                        return;
                    }
                },
            };
            match reader.read(data) {
                Ok(None) => {}
                Ok(Some(batch)) => {
                    let cost = (batch.body.len() >> 10).clamp(1, BUDGET_KIB) as u32;
                    // The semaphore is never closed.
                    let permit = Arc::clone(&budget).acquire_many_owned(cost).await.ok();
                    yield Ok((batch, permit));
                }
                Err(error) => {
                    yield Err((reader.next_sequence(), error));
                    while let Ok(Some(_)) = input.message().await {}
                    return;
                }
            }
        }
    }
}

/// What ended the client's side of the stream early.
fn broken(status: &Status) -> Error {
    match status.code() {
        tonic::Code::OutOfRange | tonic::Code::ResourceExhausted => {
            let message =
                format!("a message exceeds the frame limit of {MAX_FRAME_BYTES} bytes ({})", status.message());
            Error::new(ErrorCode::LimitExceeded, message).hint("send smaller batches")
        }
        _ => Error::new(ErrorCode::InvalidInput, format!("the client's stream broke: {}", status.message())),
    }
}

fn data(answer: Answer, sequence: u64, rows: u64, dialect: Dialect) -> FlightData {
    let app_metadata = match dialect {
        Dialect::Plain => bytes::Bytes::new(),
        Dialect::Numbered => {
            BatchResult { sequence, last: true, rows, timing: Some(answer.timing), error: None }.encode_to_vec().into()
        }
    };
    FlightData {
        flight_descriptor: None,
        data_header: answer.output.header,
        app_metadata,
        data_body: answer.output.body,
    }
}

fn failure(error: Error, sequence: u64) -> FlightData {
    let result = BatchResult { sequence, last: true, error: Some(error.into_info()), ..BatchResult::default() };
    FlightData { app_metadata: result.encode_to_vec().into(), ..FlightData::default() }
}
