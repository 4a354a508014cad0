//! One batch through an interpreter, with retries.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use udfleet_proto::error::Error;
use udfleet_proto::v1::BatchTiming;

use super::input::Batch;
use super::served::ServedFunction;
use crate::link::{CallFailure, Input, Output};
use crate::metrics::BatchRecord;

/// A result and where its time went.
pub struct Answer {
    pub output: Output,
    pub timing: BatchTiming,
}

/// Runs a batch. When an interpreter is lost under it, another one is tried, within the function's retry policy; a
/// batch that only waited behind the one that broke it is moved without counting as a try. Nobody waits for it any more
/// once its stream has `ended`: then it takes no interpreter.
pub async fn run(function: &Arc<ServedFunction>, batch: &Batch, ended: &CancellationToken) -> Result<Answer, Error> {
    let arrived = Instant::now();
    let in_flight = function.stats.arrived();
    let input = Input {
        function: function.number,
        schema_id: batch.schema_id,
        schema: batch.schema.clone(),
        header: batch.ipc_header.clone(),
        body: batch.body.clone(),
        timeout_ms: function.timeout_ms,
        ..Input::default()
    };
    let mut attempt = 1;
    let (mut queue_ns, mut call_ns) = (0, 0);
    let outcome = loop {
        let waiting = Instant::now();
        let credit = tokio::select! {
            biased;
            () = ended.cancelled() => return Err(Error::internal("the stream has ended")),
            credit = function.pool.acquire(&function.functions) => match credit {
                Ok(credit) => credit,
                Err(error) => break Err(error),
            },
        };
        let calling = Instant::now();
        queue_ns += (calling - waiting).as_nanos() as u64;
        match credit.interpreter().invoke(&input).await {
            Ok(output) => {
                call_ns += calling.elapsed().as_nanos() as u64;
                break Ok(output);
            }
            Err(failure) if failure.retryable() && (!failure.ran || attempt < function.max_attempts) => {
                attempt += u64::from(failure.ran);
                tracing::warn!(function = %function.name, attempt, error = %failure.error, "batch is tried on another interpreter");
            }
            Err(CallFailure { error, .. }) => break Err(error),
        }
    };
    drop(in_flight);
    let mut record = BatchRecord {
        rows: batch.rows,
        bytes_in: batch.body.len() as u64,
        queue_ns,
        retries: attempt - 1,
        failed: outcome.is_err(),
        total_ns: arrived.elapsed().as_nanos() as u64,
        ..BatchRecord::default()
    };
    if let Ok(output) = &outcome {
        record.bytes_out = output.body.len() as u64;
        record.convert_ns = output.done.convert_ns;
        record.run_ns = output.done.run_ns;
        record.cpu_ns = output.done.cpu_ns;
        record.transfer_ns = call_ns.saturating_sub(record.convert_ns + record.run_ns);
    }
    if function.metrics {
        function.stats.answered(&record);
    }
    let timing =
        BatchTiming { queue: queue_ns, transfer: record.transfer_ns, convert: record.convert_ns, run: record.run_ns };
    outcome.map(|output| Answer { output, timing }).map_err(|error| {
        error.function(&function.name).with(|info| {
            info.attempt = attempt as u32;
            info.executor = function.executor.clone();
        })
    })
}
