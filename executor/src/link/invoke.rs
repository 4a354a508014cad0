//! One call: its batch is written into a region, its result is received in one part or several.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::Fuse;
use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_FRAME_BYTES;
use udfleet_proto::v1::{Cancel, Done, Invoke, Reply, Resume, Slice, command, reply};

use super::call::{CallFailure, Caller, Input, KillReason};
use super::connection::{CallResult, Connection, RetainedState, shared_memory};
use super::interpreter::Interpreter;
use super::process::kill_group;
use super::region::Region;
use super::verify::verify;

/// Bodies in shared memory start at a multiple of this.
const ALIGNMENT: usize = 64;
/// What has to be sent with a batch because the interpreter does not have it.
#[derive(Debug, Clone, Copy)]
struct Attachments {
    schema: bool,
    stage: bool,
}

/// Where the pieces of a command lie in its region.
struct Layout {
    schema: usize,
    stage: usize,
    header_at: usize,
    body_at: usize,
    end: usize,
}

impl Layout {
    fn of(input: &Input, along: Attachments) -> Self {
        let schema = if along.schema { input.schema.len() } else { 0 };
        let stage = if along.stage { input.stage.len() } else { 0 };
        let header_at = (schema + stage).next_multiple_of(8);
        let body_at = (header_at + input.header.len()).next_multiple_of(ALIGNMENT);
        Self { schema, stage, header_at, body_at, end: body_at + input.body.len() }
    }

    fn invoke(&self, input: &Input) -> Invoke {
        let slice = |offset: usize, length: usize| Slice { offset: offset as u64, length: length as u64 };
        let batch = |slice: Slice| if input.end { None } else { Some(slice) };
        Invoke {
            function: input.function,
            schema_id: input.schema_id,
            schema: (self.schema > 0).then(|| slice(0, self.schema)),
            header: batch(slice(self.header_at, input.header.len())),
            body: batch(slice(self.body_at, input.body.len())),
            output_offset: self.end.next_multiple_of(ALIGNMENT) as u64,
            output_limit: MAX_FRAME_BYTES as u64,
            stage: (self.stage > 0).then(|| slice(self.schema, self.stage)),
            session: input.session,
            end: input.end,
            on_error: input.on_error as i32,
            keyed: input.keyed,
        }
    }
}

fn failed(error: io::Error) -> CallFailure {
    CallFailure::answered(shared_memory(error))
}

impl Connection {
    fn along(&self, input: &Input) -> Attachments {
        Attachments {
            schema: !input.end && !self.schemas.lock().contains(&input.schema_id),
            stage: !input.stage.is_empty() && !self.stages.lock().contains(&u64::from(input.function)),
        }
    }

    fn remember(&self, input: &Input, along: Attachments) {
        if along.schema {
            self.schemas.lock().remember(input.schema_id);
        }
        if along.stage {
            self.stages.lock().remember(u64::from(input.function));
        }
    }

    /// Writes a batch into a region (schema, stage, header, body) and runs it.
    async fn send_invoke<F: Future<Output = ()>>(
        &self,
        input: &Input,
        along: Attachments,
        caller: Caller<Pin<&mut Fuse<F>>>,
    ) -> CallResult {
        let layout = Layout::of(input, along);
        // Most results are about as large as the input: make room at once.
        let mut region = self.regions.take(2 * layout.end).map_err(failed)?;
        if along.schema {
            region.write(0, &input.schema).map_err(failed)?;
        }
        if along.stage {
            region.write(layout.schema, &input.stage).map_err(failed)?;
        }
        region.write(layout.header_at, &input.header).map_err(failed)?;
        region.write(layout.body_at, &input.body).map_err(failed)?;
        let invoke = layout.invoke(input);
        let timeout = Duration::from_millis(input.timeout_ms);
        self.call_for(command::Kind::Invoke(invoke), region, timeout, caller).await
    }

    /// The output that a reply describes. `call`: the command that further parts belong to.
    async fn output(self: &Arc<Self>, reply: Reply, region: Region, of: CallOutput) -> Result<Output, CallFailure> {
        let outcome = match reply.kind {
            Some(reply::Kind::Done(done)) => Ok(copied(&region, &done).map_err(failed)).map(|bytes| (bytes, done)),
            Some(reply::Kind::Failed(slice)) => Err(self.read_error(&region, &slice)),
            _ => Err(Error::internal("the interpreter answered a call with another message")),
        };
        if reply.region_retained {
            self.regions.abandon(region)
        } else {
            self.regions.give_back(region)
        }
        let (bytes, done) = outcome.map_err(CallFailure::answered)?;
        let (header, body) = bytes?;
        let whole = of.results.as_ref().filter(|_| done.header.is_some());
        if let Some(Err(how)) = whole.map(|results| verify(results, &done, &header, &body)) {
            return Err(self.breach(how).await);
        }
        let mut rest = done.more.then(|| Rest::new(self, &of));
        if let Some(rest) = &mut rest {
            rest.size = header.len() + body.len();
        }
        Ok(Output { header, body, done, rest })
    }

    /// Ends the interpreter for what it has sent.
    async fn breach(&self, how: String) -> CallFailure {
        tracing::warn!(pid = self.pid, how, "an interpreter is ended for what it sent");
        self.set_reason(KillReason::Breach(how));
        kill_group(self.pid);
        CallFailure { error: self.exit_error().await, lost: true, ran: true }
    }
}

/// What a call's output belongs to.
#[derive(Debug, Clone)]
struct CallOutput {
    call: u64,
    timeout: Duration,
    results: Option<SchemaRef>,
}

/// Header and body of a result, in memory that no interpreter can write to.
fn copied(region: &Region, done: &Done) -> io::Result<(Bytes, Bytes)> {
    let copy = |slice: Option<Slice>| region.read(&slice.unwrap_or_default()).map(Bytes::copy_from_slice);
    Ok((copy(done.header)?, copy(done.body)?))
}

impl Interpreter {
    /// Runs one batch and returns the first part of its result.
    ///
    /// # Errors
    /// What the function raised, or how the interpreter ended.
    pub async fn invoke(&self, input: &Input) -> Result<Output, CallFailure> {
        self.invoke_for(input, Caller::patient()).await
    }

    /// The same; a batch that runs for long although its caller has gone is ended, and the interpreter with it.
    ///
    /// # Errors
    /// What the function raised, or how the interpreter ended.
    pub async fn invoke_for<F: Future<Output = ()>>(
        &self,
        input: &Input,
        caller: Caller<F>,
    ) -> Result<Output, CallFailure> {
        let connection = &self.connection;
        let mut along = connection.along(input);
        let (mut gone, holds) = (std::pin::pin!(caller.gone.fuse()), caller.holds);
        loop {
            let (reply, region) = connection.send_invoke(input, along, Caller { gone: gone.as_mut(), holds }).await?;
            match reply.kind {
                Some(reply::Kind::SchemaUnknown(_)) if !along.schema => along.schema = true,
                Some(reply::Kind::StageUnknown(_)) if !along.stage => along.stage = true,
                _ => {
                    connection.remember(input, along);
                    let (timeout, results) = (Duration::from_millis(input.timeout_ms), input.results.clone());
                    let of = CallOutput { call: reply.id, timeout, results };
                    return connection.output(reply, region, of).await;
                }
            }
            connection.regions.give_back(region);
        }
    }
}

/// The result or a part of it.
#[derive(Debug)]
pub struct Output {
    /// Record batch message.
    pub header: Bytes,
    /// Body.
    pub body: Bytes,
    /// Rows and times as the interpreter measured them.
    pub done: Done,
    /// Where there are more parts.
    pub rest: Option<Rest>,
}

/// The remaining parts of a result. Dropping it cancels them.
pub struct Rest {
    connection: Arc<Connection>,
    of: CallOutput,
    /// Size of the previous part, bytes: the next one is about as large.
    size: usize,
    _held: RetainedState,
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rest").field("pid", &self.connection.pid).field("call", &self.of.call).finish()
    }
}

impl Rest {
    fn new(connection: &Arc<Connection>, of: &CallOutput) -> Self {
        Self { connection: Arc::clone(connection), of: of.clone(), size: 0, _held: connection.note_held() }
    }

    /// The next part, for a caller that may go.
    ///
    /// # Errors
    /// What the function raised, or how the interpreter ended.
    pub async fn next<F: Future<Output = ()>>(self, caller: Caller<F>) -> Result<Output, CallFailure> {
        let region = self.connection.regions.take(self.size).map_err(failed)?;
        let resume = Resume { call: self.of.call, output_limit: MAX_FRAME_BYTES as u64 };
        let gone = std::pin::pin!(caller.gone.fuse());
        let caller = Caller { gone, holds: caller.holds };
        let resume = command::Kind::Resume(resume);
        let (reply, region) = self.connection.call_for(resume, region, self.of.timeout, caller).await?;
        let output = self.connection.output(reply, region, self.of.clone()).await;
        // The interpreter has let go of it, or the output goes on with it.
        self.release();
        output
    }

    fn release(mut self) {
        self.of.call = 0;
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if self.of.call != 0 {
            self.connection.cancel(Cancel { call: self.of.call, session: 0 });
        }
    }
}
