//! One DoExchange stream: batches in, results out in order, a bounded number in flight.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arrow_flight::FlightData;
use async_stream::stream;
use futures::{Stream, StreamExt};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use udfleet_edge::engine::{Incoming, broken_input};
use udfleet_proto::error::Error;
use udfleet_proto::limits::STREAM_WINDOW;
use udfleet_proto::v1::BatchResult;

use super::aggregation::StreamAggregation;
use super::batch::{BatchAnswer, ResultPart, run};
use super::bundle::Intake;
use super::client_stream::{BatchIdentity, InFlight};
use super::input::{Batch, InputReader};
use super::parts::PartReader;
use super::progress::ProgressTicks;
use super::served::StreamSlot;
use super::target::{Call, Target};
use super::watch::Watch;

/// Input bytes of one stream that may be in flight at once, in KiB; a larger batch is in flight alone.
const BUDGET_KIB: usize = 64 << 10;

/// Serves a stream: numbered answers, with errors in-band.
pub(super) fn serve(
    call: Call,
    slot: StreamSlot,
    first: Option<FlightData>,
    input: Incoming,
) -> impl Stream<Item = Result<FlightData, Status>> + Send {
    let schema = FlightData { data_header: call.target.result_schema.clone(), ..FlightData::default() };
    let batches = batches(Arc::clone(&call.target), first, input);
    let failed = Arc::new(AtomicBool::new(false));
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    let (mut watch, mut ticks) = (Watch::new(&call), ProgressTicks::of(&call));
    let mut answers = answers(call, batches, Arc::clone(&failed), ended);
    stream! {
        let _slot = slot;
        let _guard = guard;
        yield Ok(schema);
        loop {
            let event = match ticks.or(next(&mut answers, &watch)).await {
                Ok(event) => event,
                Err(progress) => {
                    yield Ok(progress);
                    continue;
                }
            };
            let AnsweredBatch { sequence, attempt, intake, outcome, _permit, _in_flight } = match event {
                StreamEvent::Answer(Some(answered)) => answered,
                StreamEvent::Answer(None) => break,
                StreamEvent::Tick => {
                    if let Some(message) = watch.due() {
                        yield Ok(message);
                    }
                    continue;
                }
            };
            let (mut outcome, mut parts) = match outcome {
                Ok(BatchAnswer::Whole(part)) => (Ok(part), None),
                Ok(BatchAnswer::Parts(mut parts)) => (next_part(&mut parts).await, Some(parts)),
                Err(error) => (Err(error), None),
            };
            loop {
                match outcome {
                    Ok(part) => {
                        let last = part.last;
                        watch.part(&part, intake.as_ref());
                        yield Ok(data(part, sequence, attempt));
                        if let Some(message) = watch.due() {
                            yield Ok(message);
                        }
                        if last {
                            break;
                        }
                    }
                    Err(error) => {
                        yield Ok(failure(error, sequence));
                        // A client that still writes must get this answer: if the stream ended during its write, gRPC
                        // would drop it. So further input is read and discarded until the client ends the stream.
                        failed.store(true, Ordering::Relaxed);
                        while answers.next().await.is_some() {}
                        return;
                    }
                }
                outcome = loop {
                    let Some(parts) = &mut parts else { break Err(unfinished()) };
                    match ticks.or(next_part(parts)).await {
                        Ok(part) => break part,
                        Err(progress) => yield Ok(progress),
                    }
                };
            }
        }
        if let Some(message) = watch.end() {
            yield Ok(message);
        }
    }
}

/// What a stream waited for.
enum StreamEvent {
    Answer(Option<AnsweredBatch>),
    /// A message about a bundle is due.
    Tick,
}

async fn next(answers: &mut AnsweredBatches, watch: &Watch) -> StreamEvent {
    let Some(at) = watch.next_due() else { return StreamEvent::Answer(answers.next().await) };
    tokio::select! {
        biased;
        answered = answers.next() => StreamEvent::Answer(answered),
        () = tokio::time::sleep_until(at.into()) => StreamEvent::Tick,
    }
}

async fn next_part(parts: &mut PartReader) -> Result<ResultPart, Error> {
    parts.next().await.unwrap_or_else(|| Err(unfinished()))
}

fn unfinished() -> Error {
    Error::internal("a batch's result ended before its last part")
}

/// The outcome of a batch. It holds its share of the stream's budget until the answer has been handed over.
struct AnsweredBatch {
    sequence: u64,
    /// Of the batch's header.
    attempt: u32,
    /// The batch that it answers; none for results at the end of the input.
    intake: Option<Intake>,
    outcome: Result<BatchAnswer, Error>,
    _permit: Option<OwnedSemaphorePermit>,
    /// Likewise.
    _in_flight: Option<InFlight>,
}

impl AnsweredBatch {
    fn refused(sequence: u64, error: Error) -> Self {
        Self { sequence, attempt: 0, intake: None, outcome: Err(error), _permit: None, _in_flight: None }
    }
}

type AnsweredBatches = Pin<Box<dyn Stream<Item = AnsweredBatch> + Send>>;

/// The outcomes of batches, in their order.
fn answers(
    call: Call,
    batches: impl Stream<Item = InputItem> + Send + 'static,
    failed: Arc<AtomicBool>,
    ended: CancellationToken,
) -> AnsweredBatches {
    if call.target.pipeline_breaker {
        return Box::pin(aggregated(call, batches, ended));
    }
    let start = move |item| start(&call, item, failed.load(Ordering::Relaxed), &ended);
    Box::pin(batches.map(start).buffered(STREAM_WINDOW))
}

/// Runs a batch in a task of its own. The stream of a client that does not read is not polled: if its batches ran there,
/// one that an interpreter has answered would go on holding a credit. When the stream ends, batches that wait are
/// cancelled; one that runs keeps its credit until the interpreter is done with it.
fn start(
    call: &Call,
    item: InputItem,
    failed: bool,
    ended: &CancellationToken,
) -> impl Future<Output = AnsweredBatch> + Send + use<> {
    let task = match item {
        Ok((batch, _)) if failed => Err((batch.identity.sequence, Error::internal("the stream has failed before"))),
        Ok((batch, permit)) => {
            let (call, ended) = (call.clone(), ended.clone());
            let BatchIdentity { sequence, attempt, .. } = batch.identity;
            let (intake, in_flight) = (Some(intake(&batch)), Some(call.client.arrived()));
            let run = async move {
                let outcome = run(&call, &batch, &ended).await;
                AnsweredBatch { sequence, attempt, intake, outcome, _permit: permit, _in_flight: in_flight }
            };
            Ok((sequence, tokio::spawn(run)))
        }
        Err(broken) => Err(broken),
    };
    async move {
        match task {
            Ok((sequence, task)) => task.await.unwrap_or_else(|e| {
                AnsweredBatch::refused(sequence, Error::internal(format!("the batch's task did not end: {e}")))
            }),
            Err((sequence, error)) => AnsweredBatch::refused(sequence, error),
        }
    }
}

fn intake(batch: &Batch) -> Intake {
    Intake { rows: batch.rows, bytes: batch.body.len() as u64, arrived: Instant::now() }
}

/// Feeds one batch after the other into the stream's aggregation; gives the results when the client has ended its side.
fn aggregated(
    call: Call,
    batches: impl Stream<Item = InputItem> + Send,
    ended: CancellationToken,
) -> impl Stream<Item = AnsweredBatch> + Send {
    stream! {
        let mut aggregation = StreamAggregation::new(&call, &ended);
        let mut end = 0;
        futures::pin_mut!(batches);
        while let Some(item) = batches.next().await {
            let answered = match item {
                Ok((batch, permit)) => {
                    let BatchIdentity { sequence, attempt, .. } = batch.identity;
                    end = sequence.saturating_add(1);
                    let (intake, in_flight) = (Some(intake(&batch)), Some(call.client.arrived()));
                    let outcome = aggregation.feed(batch).await;
                    AnsweredBatch { sequence, attempt, intake, outcome, _permit: permit, _in_flight: in_flight }
                }
                Err((sequence, error)) => AnsweredBatch::refused(sequence, error),
            };
            let failed = answered.outcome.is_err();
            yield answered;
            if failed {
                while batches.next().await.is_some() {}
                return;
            }
        }
        let in_flight = Some(call.client.arrived());
        let outcome = aggregation.finish().await;
        yield AnsweredBatch { sequence: end, attempt: 1, intake: None, outcome, _permit: None, _in_flight: in_flight };
    }
}

type InputItem = Result<(Batch, Option<OwnedSemaphorePermit>), (u64, Error)>;

/// Reads batches no faster than the stream's budget allows.
fn batches(
    target: Arc<Target>,
    first: Option<FlightData>,
    mut input: Incoming,
) -> impl Stream<Item = InputItem> + Send {
    let budget = Arc::new(Semaphore::new(BUDGET_KIB));
    stream! {
        let mut reader = InputReader::new(target);
        let mut next = first;
        loop {
            let data = match next.take() {
                Some(data) => data,
                None => match input.message().await {
                    Ok(Some(data)) => data,
                    Ok(None) => return,
                    Err(status) => {
                        yield Err((reader.next_sequence(), broken_input(&status)));
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

/// A part as a message.
fn data(part: ResultPart, sequence: u64, attempt: u32) -> FlightData {
    let ResultPart { header, body, rows, timing, last, errors_column } = part;
    let timing = Some(timing);
    let result = BatchResult { sequence, attempt, last, rows, timing, errors_column, ..BatchResult::default() };
    let app_metadata = result.encode_to_vec().into();
    FlightData { flight_descriptor: None, data_header: header, app_metadata, data_body: body }
}

fn failure(error: Error, sequence: u64) -> FlightData {
    let result = BatchResult { sequence, last: true, error: Some(error.into_info()), ..BatchResult::default() };
    FlightData { app_metadata: result.encode_to_vec().into(), ..FlightData::default() }
}
