//! One batch through an interpreter, with retries, to the first part of its result.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use udfleet_proto::error::Error;
use udfleet_proto::v1::BatchTiming;

use super::busy;
use super::client_stream::{BatchIdentity, Begun, GiveBack};
use super::input::Batch;
use super::merge::{self, MergedShare};
use super::parts::{self, PartReader};
use super::tally::Tally;
use super::target::Call;
use crate::capsules::FailedBatch;
use crate::link::{CallFailure, Caller, Credit, Demand, Input, Interpreter, Output, Rest, RetainedState};

/// A result, or a part of one, with its timing.
pub(super) struct ResultPart {
    pub(super) header: Bytes,
    pub(super) body: Bytes,
    /// Rows in it.
    pub(super) rows: u64,
    pub(super) timing: BatchTiming,
    /// Nothing follows.
    pub(super) last: bool,
    /// Some rows failed, and a second column says why.
    pub(super) errors_column: bool,
}

/// A result.
pub(super) enum BatchAnswer {
    /// In one part.
    Whole(ResultPart),
    /// In several, as they come.
    Parts(PartReader),
}

/// The output of an interpreter.
pub(super) struct InterpreterOutput {
    pub(super) output: Output,
    pub(super) timing: BatchTiming,
    pub(super) at: Interpreter,
    /// Where it keeps groups: counted from before the call gives its place back.
    pub(super) groups: Option<RetainedState>,
}

/// A batch that is being run.
pub(super) struct BatchRun {
    pub(super) call: Call,
    pub(super) input: Input,
    batch: BatchIdentity,
    /// Attempts on this executor, except those that only waited.
    attempt: u64,
    /// Any of them may have run.
    ran: bool,
    /// From the first of them on.
    begun: Option<Begun>,
    tally: Tally,
    /// Cancelled when the stream ends.
    pub(super) ended: CancellationToken,
}

impl BatchRun {
    pub(super) fn new(call: &Call, input: Input, batch: BatchIdentity, rows: u64, ended: &CancellationToken) -> Self {
        Self {
            tally: Tally::begin(&call.target, rows, input.body.len()),
            call: call.clone(),
            input,
            batch,
            attempt: 1,
            ran: false,
            begun: None,
            ended: ended.clone(),
        }
    }

    /// Runs the batch from its start. When its interpreter is lost, it is tried on another one, within the retry policy; a
    /// batch that was only queued behind the call that broke it is moved, which does not count as an attempt.
    pub(super) async fn begin(&mut self) -> Result<InterpreterOutput, Error> {
        loop {
            let target = Arc::clone(&self.call.target);
            let demand = Demand { keeps: self.input.session != 0, ..target.demand.clone() };
            let waiting = Instant::now();
            let credit = self.turn(target.pool.acquire(&demand), self.give_back()).await??;
            self.tally.waited(waiting.elapsed());
            if let Some(received) = self.attempt(credit).await? {
                return Ok(received);
            }
        }
    }

    /// The first attempt. A small batch that would have to wait for an interpreter is merged with others.
    async fn first(&mut self, rows: u64) -> Result<InterpreterOutput, Error> {
        let target = Arc::clone(&self.call.target);
        let Some(merger) = target.merger.as_ref().filter(|_| merge::is_small(&self.input, rows)) else {
            return self.begin().await;
        };
        let received = match target.pool.try_acquire(&target.demand) {
            Some(credit) => self.attempt(credit).await?,
            None => self.with_others(rows).await?,
        };
        let received = match received {
            Some(received) => received,
            None => self.begin().await?,
        };
        merger.answered(&received.output.done);
        Ok(received)
    }

    /// `None`: it has to be run alone.
    async fn with_others(&mut self, rows: u64) -> Result<Option<InterpreterOutput>, Error> {
        let joined = Instant::now();
        let (client, place) = (Arc::clone(&self.call.client), self.batch.place);
        let share = merge::join(&self.call.target, &self.input, rows, move || client.begin(place));
        let share = self.turn(share, self.give_back()).await?.ok().flatten();
        let MergedShare { output, at, began, shared, begun } = match share {
            Some(Ok(share)) => share,
            Some(Err(failure)) => return self.may_retry(failure).map(|()| None),
            None => {
                self.tally.waited(joined.elapsed());
                return Ok(None);
            }
        };
        self.tally.waited(began.duration_since(joined));
        self.tally.merged(shared);
        self.begun = Some(begun);
        self.ran = true;
        let timing = self.tally.record_output(&output, began.elapsed());
        Ok(Some(InterpreterOutput { output, timing, at, groups: None }))
    }

    /// The stream as the caller. `holds`: states of the stream that the interpreter keeps already.
    fn caller(&self, holds: usize) -> Caller<impl Future<Output = ()> + use<>> {
        Caller { gone: self.ended.clone().cancelled_owned(), holds }
    }

    /// `None`: to be retried.
    async fn attempt(&mut self, mut credit: Credit) -> Result<Option<InterpreterOutput>, Error> {
        self.begun = Some(self.call.client.begin(self.batch.place)?);
        let calling = Instant::now();
        match credit.invoke(&self.input, self.caller(0)).await {
            Ok(output) => Ok(Some(self.received(output, calling, &credit))),
            Err(failure) => self.may_retry(failure).map(|()| None),
        }
    }

    /// When a batch that has not begun goes back to its client, where other executors may be free.
    fn give_back(&self) -> Option<GiveBack> {
        self.call.client.give_back.filter(|_| !self.input.end)
    }

    /// Waits for its turn at an interpreter, until the stream ends. Where long calls are in the way, the client gets the
    /// batch back if it may.
    async fn turn<T>(&self, turn: impl Future<Output = T>, give_back: Option<GiveBack>) -> Result<T, Error> {
        let mut turn = std::pin::pin!(turn);
        loop {
            let look = async {
                match give_back {
                    Some(give_back) => tokio::time::sleep(give_back.after).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.ended.cancelled() => return Err(Error::internal("the stream has ended")),
                turn = &mut turn => return Ok(turn),
                () = look => {}
            }
            let busy = give_back.and_then(|rule| busy::in_the_way(&self.call.target, rule));
            if let Some(busy) = busy.filter(|_| self.call.client.give_back(self.batch.place)) {
                return Err(busy);
            }
        }
    }

    /// Waits for a credit of a result that has begun, until the stream ends.
    async fn credit(&mut self, credit: impl Future<Output = Result<Credit, Error>>) -> Result<Credit, Error> {
        let waiting = Instant::now();
        let credit = self.turn(credit, None).await??;
        self.tally.waited(waiting.elapsed());
        Ok(credit)
    }

    fn received(&mut self, output: Output, sent: Instant, credit: &Credit) -> InterpreterOutput {
        self.ran = true;
        let timing = self.tally.record_output(&output, sent.elapsed());
        let at = credit.interpreter().clone();
        let groups = (self.input.session != 0 && !self.input.end).then(|| at.hold());
        InterpreterOutput { output, timing, at, groups }
    }

    /// Runs the batch once, only on this interpreter.
    pub(super) async fn once(&mut self, at: &Interpreter) -> Result<InterpreterOutput, CallFailure> {
        let target = Arc::clone(&self.call.target);
        let mut credit =
            self.credit(target.pool.acquire_at(&target.demand, at)).await.map_err(CallFailure::answered)?;
        let calling = Instant::now();
        let output = credit.invoke(&self.input, self.caller(1)).await?;
        Ok(self.received(output, calling, &credit))
    }

    /// The next part.
    pub(super) async fn next(&mut self, rest: Rest, at: &Interpreter) -> Result<InterpreterOutput, CallFailure> {
        let target = Arc::clone(&self.call.target);
        // A result that has begun continues, even if its functions are dropped.
        let demand = Demand { functions: Arc::default(), ..target.demand.clone() };
        let mut credit = self.credit(target.pool.acquire_at(&demand, at)).await.map_err(CallFailure::answered)?;
        let calling = Instant::now();
        let output = credit.resume(rest, self.caller(1)).await?;
        Ok(self.received(output, calling, &credit))
    }

    /// Counts a failure; returns its error if the batch must not be retried.
    pub(super) fn may_retry(&mut self, failure: CallFailure) -> Result<(), Error> {
        self.ran |= failure.ran;
        let target = &self.call.target;
        if !failure.retryable() || (failure.ran && self.attempt >= target.max_attempts) {
            return Err(failure.error);
        }
        self.attempt += u64::from(failure.ran);
        let (function, attempt, error) = (&target.name, self.attempt, &failure.error);
        let (job, producer, sequence) = (&self.call.client.job, &self.call.client.producer, self.batch.sequence);
        tracing::warn!(function, job, producer, sequence, attempt, %error, "batch is tried on another interpreter");
        Ok(())
    }

    /// The batch has been answered.
    pub(super) fn done(self) {
        self.tally.end(self.attempt - 1, None);
    }

    /// The batch has failed: the error for the caller.
    pub(super) fn failed(self, error: Error) -> Error {
        let busy = error.info().busy;
        let rows = self.tally.rows();
        if !busy {
            self.tally.end(self.attempt - 1, Some(&error));
        }
        let error = self.call.explain(error, self.batch, self.attempt as u32, self.ran);
        if let (Some(rule), Some(function)) = (&self.call.target.capsules, self.call.target.functions.first())
            && self.ran
            && !busy
            && !self.input.end
        {
            let Input { schema, header, body, on_error, .. } = &self.input;
            let batch = FailedBatch { schema, header, body, rows, error: error.info(), on_error: *on_error as i32 };
            function.stats.capsules().failed(rule, &batch);
        }
        error
    }

    /// The result, whose first part was received; further ones are fetched as the reader takes them.
    pub(super) fn answer(self, received: InterpreterOutput) -> BatchAnswer {
        let InterpreterOutput { output: Output { header, body, done, rest }, timing, at, .. } = received;
        let (last, errors_column) = (rest.is_none(), done.errors_column);
        let part = ResultPart { header, body, rows: done.rows, timing, last, errors_column };
        match rest {
            Some(rest) => BatchAnswer::Parts(parts::fetch(self, part, rest, at)),
            None => {
                self.done();
                BatchAnswer::Whole(part)
            }
        }
    }
}

/// Runs a batch, unless its stream has `ended`.
pub(super) async fn run(call: &Call, batch: &Batch, ended: &CancellationToken) -> Result<BatchAnswer, Error> {
    let mut run = BatchRun::new(call, input(call, batch), batch.identity, batch.rows, ended);
    match run.first(batch.rows).await {
        Ok(received) => Ok(run.answer(received)),
        // Nobody receives it.
        Err(error) if ended.is_cancelled() => Err(error),
        Err(error) => Err(run.failed(error)),
    }
}

/// A batch as input of an interpreter.
pub(super) fn input(call: &Call, batch: &Batch) -> Input {
    Input {
        schema_id: batch.schema_id,
        schema: batch.schema.clone(),
        header: batch.ipc_header.clone(),
        body: batch.body.clone(),
        ..bare_input(call)
    }
}

/// A call without a batch.
pub(super) fn bare_input(call: &Call) -> Input {
    Input {
        function: call.target.number,
        stage: call.target.stage.clone(),
        timeout_ms: call.target.timeout_ms,
        on_error: call.on_error,
        results: Some(Arc::clone(&call.target.results)),
        ..Input::default()
    }
}
