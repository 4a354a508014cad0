//! Aggregations: one interpreter keeps the accumulators of a stream. Batches go in one after the other, and results come
//! when the input has ended.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::batch::{BatchAnswer, BatchRun, InterpreterOutput, ResultPart, bare_input, input};
use super::client_stream::BatchIdentity;
use super::input::Batch;
use super::target::Call;
use crate::link::{CallFailure, Input, Interpreter, RetainedState};

/// The aggregation of a stream. Each call runs in a task of its own: a client that does not read must not hold an
/// interpreter.
pub(super) struct StreamAggregation(Option<AggregationSession>);

impl StreamAggregation {
    /// For one stream.
    pub(super) fn new(call: &Call, ended: &CancellationToken) -> Self {
        Self(Some(AggregationSession::new(call, ended)))
    }

    /// Feeds a batch. The answer has no rows.
    pub(super) async fn feed(&mut self, batch: Batch) -> Result<BatchAnswer, Error> {
        let mut session = self.0.take().ok_or_else(|| Error::internal("the stream's groups are gone"))?;
        let task = tokio::spawn(async move {
            let fed = session.feed(&batch).await;
            (session, fed)
        });
        let (session, fed) = task.await.map_err(|e| Error::internal(format!("a batch's task did not end: {e}")))?;
        self.0 = Some(session);
        fed.map(BatchAnswer::Whole)
    }

    /// The input has ended: the results, up to their first part.
    pub(super) async fn finish(mut self) -> Result<BatchAnswer, Error> {
        let session = self.0.take().ok_or_else(|| Error::internal("the stream's groups are gone"))?;
        let task = tokio::spawn(session.finish());
        task.await.unwrap_or_else(|e| Err(Error::internal(format!("the results' task did not end: {e}"))))
    }
}

/// The state between calls.
struct AggregationSession {
    call: Call,
    number: u64,
    /// The latest batch.
    latest: Option<BatchIdentity>,
    /// The interpreter that keeps the groups; none before the first batch.
    at: Option<(Interpreter, RetainedState)>,
    ended: CancellationToken,
}

impl Drop for AggregationSession {
    fn drop(&mut self) {
        if let Some((at, _)) = &self.at {
            at.cancel_session(self.number);
        }
    }
}

impl AggregationSession {
    fn new(call: &Call, ended: &CancellationToken) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Self { call: call.clone(), number, latest: None, at: None, ended: ended.clone() }
    }

    async fn feed(&mut self, batch: &Batch) -> Result<ResultPart, Error> {
        let input = Input { session: self.number, ..input(&self.call, batch) };
        let (run, received) = self.call(input, batch.identity, batch.rows).await?;
        if let (None, Some(groups)) = (&self.at, received.groups) {
            self.at = Some((received.at, groups));
        }
        run.done();
        let (header, body) = Default::default();
        Ok(ResultPart { header, body, rows: 0, timing: received.timing, last: true, errors_column: false })
    }

    async fn finish(mut self) -> Result<BatchAnswer, Error> {
        let end = match self.latest {
            Some(last) => {
                BatchIdentity { sequence: last.sequence.saturating_add(1), attempt: 1, place: last.place + 1 }
            }
            None => BatchIdentity { sequence: 0, attempt: 1, place: 1 },
        };
        let input = Input { session: self.number, end: true, ..bare_input(&self.call) };
        let (run, received) = self.call(input, end, 0).await?;
        // The groups have become a result, which is released by its own handle.
        self.at = None;
        Ok(run.answer(received))
    }

    /// The first call may go to any interpreter, and to another if that one is lost; the others must follow it.
    async fn call(
        &mut self,
        input: Input,
        batch: BatchIdentity,
        rows: u64,
    ) -> Result<(BatchRun, InterpreterOutput), Error> {
        self.latest = Some(batch);
        let mut run = BatchRun::new(&self.call, input, batch, rows, &self.ended);
        let received = match &self.at {
            None => run.begin().await,
            Some((at, _)) => run.once(at).await.map_err(lost_groups),
        };
        match received {
            Ok(received) => Ok((run, received)),
            Err(error) if self.ended.is_cancelled() => Err(error),
            Err(error) => Err(run.failed(error)),
        }
    }
}

/// The groups are lost with their interpreter, for whatever reason it ended.
fn lost_groups(failure: CallFailure) -> Error {
    if !failure.lost || failure.ran {
        return failure.error;
    }
    failure.error.with(|info| {
        info.code = ErrorCode::InterpreterCrashed as i32;
        info.message = format!("the interpreter that held the stream's groups is gone: {}", info.message);
        info.hint = "send the whole input again".to_owned();
    })
}
