//! One batch through an interpreter, with retries, to the first part of its result.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use udfleet_proto::error::Error;
use udfleet_proto::v1::BatchTiming;

use super::client_stream::BatchIdentity;
use super::input::Batch;
use super::merge::{self, Share};
use super::parts::{self, Parts};
use super::tally::Tally;
use super::target::Call;
use crate::link::{CallFailure, Caller, Credit, Demand, Held, Input, Interpreter, Output, Rest};

/// A result, or a part of one, and where its time went.
pub(super) struct Part {
    pub(super) header: Bytes,
    pub(super) body: Bytes,
    /// Rows in it.
    pub(super) rows: u64,
    pub(super) timing: BatchTiming,
    /// Nothing follows.
    pub(super) last: bool,
    /// Rows have failed, and a second column says why.
    pub(super) errors_column: bool,
}

/// A result.
pub(super) enum Answer {
    /// In one part.
    Whole(Part),
    /// In several, as they come.
    Parts(Parts),
}

/// What an interpreter has given, and which one.
pub(super) struct Came {
    pub(super) output: Output,
    pub(super) timing: BatchTiming,
    pub(super) at: Interpreter,
    /// Where it keeps groups: counted from before the call gives its place back.
    pub(super) groups: Option<Held>,
}

/// A batch on its way.
pub(super) struct Run {
    pub(super) call: Call,
    pub(super) input: Input,
    batch: BatchIdentity,
    /// Tries on this executor, without those that only waited.
    attempt: u64,
    /// Any of them has run.
    ran: bool,
    tally: Tally,
    /// The stream's end: nobody waits any more.
    pub(super) ended: CancellationToken,
}

impl Run {
    pub(super) fn new(call: &Call, input: Input, batch: BatchIdentity, rows: u64, ended: &CancellationToken) -> Self {
        Self {
            tally: Tally::begin(&call.target, rows, input.body.len()),
            call: call.clone(),
            input,
            batch,
            attempt: 1,
            ran: false,
            ended: ended.clone(),
        }
    }

    /// Has the batch run from its start. When an interpreter is lost under it, another one is tried, within the retry
    /// policy; a batch that only waited behind the one that broke it is moved without counting as a try.
    pub(super) async fn begin(&mut self) -> Result<Came, Error> {
        loop {
            let target = Arc::clone(&self.call.target);
            let demand = Demand { keeps: self.input.session != 0, ..target.demand.clone() };
            let credit = self.credit(target.pool.acquire(&demand)).await?;
            if let Some(came) = self.attempt(credit).await? {
                return Ok(came);
            }
        }
    }

    /// The first try. A small batch that would have to wait for an interpreter goes there with others.
    async fn first(&mut self, rows: u64) -> Result<Came, Error> {
        let target = Arc::clone(&self.call.target);
        let Some(merger) = target.merger.as_ref().filter(|_| merge::is_small(&self.input, rows)) else {
            return self.begin().await;
        };
        let came = match target.pool.try_acquire(&target.demand) {
            Some(credit) => self.attempt(credit).await?,
            None => self.with_others(rows).await?,
        };
        let came = match came {
            Some(came) => came,
            None => self.begin().await?,
        };
        merger.answered(&came.output.done);
        Ok(came)
    }

    /// `None`: to be run alone.
    async fn with_others(&mut self, rows: u64) -> Result<Option<Came>, Error> {
        let joined = Instant::now();
        let share = merge::join(&self.call.target, &self.input, rows);
        let share = tokio::select! {
            biased;
            () = self.ended.cancelled() => return Err(Error::internal("the stream has ended")),
            share = share => share.ok().flatten(),
        };
        let Share { output, at, began, shared } = match share {
            Some(Ok(share)) => share,
            Some(Err(failure)) => return self.may_retry(failure).map(|()| None),
            None => {
                self.tally.waited(joined.elapsed());
                return Ok(None);
            }
        };
        self.tally.waited(began.duration_since(joined));
        self.tally.merged(shared);
        // Only now is it known to have begun: in line it may still be refused. What goes together is deterministic, so that
        // one that began unnoticed may run again.
        let _ = self.call.client.begin(self.batch.place);
        self.ran = true;
        let timing = self.tally.came(&output, began.elapsed());
        Ok(Some(Came { output, timing, at, groups: None }))
    }

    /// The stream as who waits for a call. `holds`: what of it the interpreter keeps already.
    fn caller(&self, holds: usize) -> Caller<impl Future<Output = ()> + use<>> {
        Caller { gone: self.ended.clone().cancelled_owned(), holds }
    }

    /// `None`: to be tried again.
    async fn attempt(&mut self, mut credit: Credit) -> Result<Option<Came>, Error> {
        self.call.client.begin(self.batch.place)?;
        let calling = Instant::now();
        match credit.invoke(&self.input, self.caller(0)).await {
            Ok(output) => Ok(Some(self.came(output, calling, &credit))),
            Err(failure) => self.may_retry(failure).map(|()| None),
        }
    }

    /// Waits for a credit, no longer than anybody waits for the answer.
    async fn credit(&mut self, credit: impl Future<Output = Result<Credit, Error>>) -> Result<Credit, Error> {
        let waiting = Instant::now();
        let credit = tokio::select! {
            biased;
            () = self.ended.cancelled() => return Err(Error::internal("the stream has ended")),
            credit = credit => credit?,
        };
        self.tally.waited(waiting.elapsed());
        Ok(credit)
    }

    fn came(&mut self, output: Output, asked: Instant, credit: &Credit) -> Came {
        self.ran = true;
        let timing = self.tally.came(&output, asked.elapsed());
        let at = credit.interpreter().clone();
        let groups = (self.input.session != 0 && !self.input.end).then(|| at.hold());
        Came { output, timing, at, groups }
    }

    /// The batch, only at this interpreter, and once.
    pub(super) async fn once(&mut self, at: &Interpreter) -> Result<Came, CallFailure> {
        let target = Arc::clone(&self.call.target);
        let mut credit =
            self.credit(target.pool.acquire_at(&target.demand, at)).await.map_err(CallFailure::answered)?;
        let calling = Instant::now();
        let output = credit.invoke(&self.input, self.caller(1)).await?;
        Ok(self.came(output, calling, &credit))
    }

    /// The next part.
    pub(super) async fn next(&mut self, rest: Rest, at: &Interpreter) -> Result<Came, CallFailure> {
        let target = Arc::clone(&self.call.target);
        // What has begun goes on, whatever becomes of the functions.
        let demand = Demand { functions: Arc::default(), ..target.demand.clone() };
        let mut credit = self.credit(target.pool.acquire_at(&demand, at)).await.map_err(CallFailure::answered)?;
        let calling = Instant::now();
        let output = credit.resume(rest, self.caller(1)).await?;
        Ok(self.came(output, calling, &credit))
    }

    /// Counts a failure. Its error where the batch is not to be tried again.
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

    /// The batch has failed: its error as the caller shall see it.
    pub(super) fn failed(self, error: Error) -> Error {
        self.tally.end(self.attempt - 1, Some(&error));
        self.call.explain(error, self.batch, self.attempt as u32, self.ran)
    }

    /// The result, whose first part has come; further ones are fetched as room allows.
    pub(super) fn answer(self, came: Came) -> Answer {
        let Came { output: Output { header, body, done, rest }, timing, at, .. } = came;
        let (last, errors_column) = (rest.is_none(), done.errors_column);
        let part = Part { header, body, rows: done.rows, timing, last, errors_column };
        match rest {
            Some(rest) => Answer::Parts(parts::fetch(self, part, rest, at)),
            None => {
                self.done();
                Answer::Whole(part)
            }
        }
    }
}

/// Runs a batch. Nobody waits for it any more once its stream has `ended`: then it takes no interpreter.
pub(super) async fn run(call: &Call, batch: &Batch, ended: &CancellationToken) -> Result<Answer, Error> {
    let mut run = Run::new(call, input(call, batch), batch.identity, batch.rows, ended);
    match run.first(batch.rows).await {
        Ok(came) => Ok(run.answer(came)),
        // Nobody hears it.
        Err(error) if ended.is_cancelled() => Err(error),
        Err(error) => Err(run.failed(error)),
    }
}

/// A batch as interpreters take it.
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
        ..Input::default()
    }
}
