//! One interpreter: a process, its control socket and its regions behind a handle that is cheap to clone.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prost::Message;
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::{Notify, oneshot, watch};
use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_FRAME_BYTES;
use udfleet_proto::v1::{
    Command, Done, ErrorCode, ErrorInfo, Invoke, Load, LoadSpec, ProcessExit, Reply, Shutdown, Slice, Unload, command,
    reply,
};

use super::call::{CallFailure, Input, KillReason, Output, exit_error};
use super::output::{Names, Tail, drain};
use super::process::{kill_group, spawn, watch_exit};
use super::region::{Region, RegionPool, hold};
use super::socket::Socket;
use super::watchdog::Running;
use crate::logs::{LogStore, Stream};

/// How long an interpreter may take until it says that it is ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long loading a function may take: imports of large packages from a cold disk.
const LOAD_TIMEOUT: Duration = Duration::from_secs(300);
/// How long an interpreter that has closed its socket may take to end: modules clean up at exit.
const EXIT_GRACE: Duration = Duration::from_secs(10);
/// How long the output of a process that has ended may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Bodies in shared memory start at a multiple of this.
const ALIGNMENT: usize = 64;
/// A schema is remembered as sent for this many schemas; the interpreter remembers as many.
const MAX_SCHEMAS: usize = 1000;

/// What to start.
#[derive(Debug, Clone)]
pub struct InterpreterSpec {
    /// The `udfleet-interpreter` binary.
    pub host: PathBuf,
    /// `libudfleet_interpreter.so`.
    pub module: PathBuf,
    /// `bin/python` of the environment.
    pub python: PathBuf,
    /// Its shared library; `None`: the Python executable itself is the host.
    pub libpython: Option<PathBuf>,
    /// Put in front of `sys.path`, in this order.
    pub sys_path: Vec<PathBuf>,
    /// Where it runs.
    pub working_dir: PathBuf,
    /// The whole environment of the process.
    pub env: Vec<(String, String)>,
    /// The executor's id, for errors.
    pub executor: String,
    /// Calls that may lie at the interpreter at once: one runs, the others wait in its socket.
    pub max_in_flight: usize,
}

/// An answer with the region that it used.
type Answer = Result<(Reply, Region), CallFailure>;

struct Pending {
    answer: oneshot::Sender<Answer>,
    region: Region,
}

/// What the process holds.
#[derive(Default)]
struct Functions {
    /// Whose output is whose. Kept after an unload: what it printed last may still be in the pipe.
    names: HashMap<u32, String>,
    /// Those that can be called.
    loaded: HashSet<u32>,
    /// A load is under way: a call would wait behind it.
    loading: bool,
}

struct Inner {
    pid: u32,
    spec: InterpreterSpec,
    socket: Socket,
    regions: Arc<RegionPool>,
    pending: Mutex<HashMap<u64, Pending>>,
    running: Mutex<Running>,
    /// Wakes the watchdog when a deadline comes before the one it sleeps for.
    nearer_deadline: Notify,
    /// What the watchdog sleeps for: milliseconds since `started`; `u64::MAX` when it sleeps for nothing.
    armed_ms: AtomicU64,
    started: Instant,
    next_id: AtomicU64,
    schemas: Mutex<HashSet<u64>>,
    functions: Mutex<Functions>,
    reason: Mutex<Option<KillReason>>,
    exit: watch::Receiver<Option<ProcessExit>>,
    tail: Tail,
    /// True once stderr has been read to its end.
    drained: watch::Receiver<bool>,
}

/// A handle. The process lives until it is told to stop, killed, or the executor ends.
#[derive(Clone)]
pub struct Interpreter(Arc<Inner>);

impl std::fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interpreter").field("pid", &self.0.pid).finish()
    }
}

fn start_failed(what: &str, error: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::EnvironmentFailed, format!("can't start an interpreter: {what}: {error}"))
}

impl Interpreter {
    /// Starts a process and waits until it is ready.
    ///
    /// # Errors
    /// [`ErrorCode::EnvironmentFailed`] with how the process ended and its last stderr.
    pub async fn start(spec: InterpreterSpec, logs: Arc<LogStore>) -> Result<Self, Error> {
        let (socket, theirs) = Socket::pair().map_err(|e| start_failed("socket", e))?;
        let mut started = spawn(&spec, &theirs).map_err(|e| start_failed(&spec.host.display().to_string(), e))?;
        drop(theirs);
        let (pid, tail) = (started.pid, Tail::default());
        let pipes = (started.child.stdout.take(), started.child.stderr.take());
        let exit = watch_exit(pid, started.child).map_err(|e| start_failed("thread", e))?;
        let (told, drained) = watch::channel(false);
        let inner = Arc::new(Inner {
            pid,
            spec,
            socket,
            regions: Arc::default(),
            pending: Mutex::default(),
            running: Mutex::default(),
            nearer_deadline: Notify::new(),
            armed_ms: AtomicU64::new(u64::MAX),
            started: Instant::now(),
            next_id: AtomicU64::new(1),
            schemas: Mutex::default(),
            functions: Mutex::default(),
            reason: Mutex::default(),
            exit,
            tail: tail.clone(),
            drained,
        });
        let weak = Arc::downgrade(&inner);
        let names: Names =
            Arc::new(move |number| weak.upgrade().and_then(|inner| inner.functions.lock().names.get(&number).cloned()));
        if let (Some(stdout), Some(stderr)) = pipes {
            let stdout = ChildStdout::from_std(stdout).map_err(|e| start_failed("pipe", e))?;
            let stderr = ChildStderr::from_std(stderr).map_err(|e| start_failed("pipe", e))?;
            tokio::spawn(drain(stdout, Stream::Stdout, pid, Arc::clone(&logs), Arc::clone(&names), tail.clone()));
            tokio::spawn(async move {
                drain(stderr, Stream::Stderr, pid, logs, names, tail).await;
                told.send_replace(true);
            });
        }
        let interpreter = Self(inner);
        interpreter.wait_ready().await?;
        tokio::spawn(receive(Arc::clone(&interpreter.0)));
        tokio::spawn(watch_deadlines(Arc::clone(&interpreter.0)));
        Ok(interpreter)
    }

    async fn wait_ready(&self) -> Result<(), Error> {
        match tokio::time::timeout(START_TIMEOUT, self.0.socket.receive()).await {
            Ok(Ok(Some(Reply { kind: Some(reply::Kind::Ready(ready)), .. }))) => {
                tracing::debug!(pid = self.0.pid, python = %ready.python_version, prefix = %ready.prefix, "interpreter ready");
                Ok(())
            }
            Ok(Ok(Some(_))) => Err(start_failed("protocol", "its first message is not Ready")),
            Ok(Ok(None)) | Ok(Err(_)) => {
                let error = self.0.exit_error().await;
                Err(error.with(|info| {
                    info.code = ErrorCode::EnvironmentFailed as i32;
                    let stderr = info.exit.as_ref().map(|exit| exit.last_stderr.clone()).unwrap_or_default();
                    info.message =
                        format!("an interpreter did not start: {}; it said: {}", info.message, stderr.trim());
                }))
            }
            Err(_) => {
                self.kill();
                Err(start_failed("timeout", format!("not ready within {} s", START_TIMEOUT.as_secs())))
            }
        }
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// Calls that may lie at it at once.
    #[must_use]
    pub fn max_in_flight(&self) -> usize {
        self.0.spec.max_in_flight.max(1)
    }

    /// Bytes of shared memory that carry batches to and from it.
    #[must_use]
    pub fn shared_bytes(&self) -> u64 {
        self.0.regions.bytes() as u64
    }

    /// True where a call of the function runs without waiting for a load.
    #[must_use]
    pub fn serves(&self, function: u32) -> bool {
        let functions = self.0.functions.lock();
        !functions.loading && functions.loaded.contains(&function)
    }

    /// Loads a function: unpickles it and calls its `open`.
    ///
    /// # Errors
    /// [`ErrorCode::LoadFailed`] with the exception, or how the process ended.
    pub async fn load(&self, spec: LoadSpec) -> Result<(), Error> {
        let number = spec.function;
        let definition = spec.definition.as_ref();
        let name = definition.map(|d| udfleet_proto::name::versioned(&d.name, d.version)).unwrap_or_default();
        {
            let mut functions = self.0.functions.lock();
            functions.names.insert(number, name.clone());
            functions.loading = true;
        }
        let result = self.send_load(&spec).await.map_err(|e| e.function(name));
        let mut functions = self.0.functions.lock();
        functions.loading = false;
        if result.is_ok() {
            functions.loaded.insert(number);
        }
        result
    }

    async fn send_load(&self, spec: &LoadSpec) -> Result<(), Error> {
        let bytes = spec.encode_to_vec();
        let mut region = self.0.regions.take(bytes.len()).map_err(shared_memory)?;
        region.write(0, &bytes).map_err(shared_memory)?;
        let load = Load { spec: Some(Slice { offset: 0, length: bytes.len() as u64 }) };
        let (reply, region) =
            self.0.call(command::Kind::Load(load), region, LOAD_TIMEOUT).await.map_err(|f| f.error)?;
        let outcome = match reply.kind {
            Some(reply::Kind::Loaded(_)) => Ok(()),
            Some(reply::Kind::Failed(slice)) => Err(self.0.read_error(&region, &slice)),
            _ => Err(Error::internal("the interpreter answered Load with another message")),
        };
        self.0.regions.give_back(region);
        outcome
    }

    /// Closes and forgets a function.
    ///
    /// # Errors
    /// How the process ended, should it.
    pub async fn unload(&self, function: u32) -> Result<(), Error> {
        self.0.functions.lock().loaded.remove(&function);
        let region = self.0.regions.take(1).map_err(shared_memory)?;
        let unload = command::Kind::Unload(Unload { function });
        let (_, region) = self.0.call(unload, region, LOAD_TIMEOUT).await.map_err(|f| f.error)?;
        self.0.regions.give_back(region);
        Ok(())
    }

    /// Closes all functions and ends the process; kills it after `grace`.
    pub async fn shutdown(&self, grace: Duration) {
        self.0.set_reason(KillReason::Stop);
        let orderly = async {
            let region = self.0.regions.take(1).map_err(shared_memory)?;
            let stop = command::Kind::Shutdown(Shutdown {});
            self.0.call(stop, region, grace).await.map(|_| ()).map_err(|f| f.error)?;
            Ok::<(), Error>(())
        };
        let whole = async {
            // A process that is gone already needs no word.
            let _ = orderly.await;
            self.exited().await
        };
        if tokio::time::timeout(grace, whole).await.is_err() {
            self.kill();
            self.exited().await;
        }
    }

    /// Kills the process and all that it started.
    pub fn kill(&self) {
        if self.0.exit.borrow().is_none() {
            kill_group(self.0.pid);
        }
    }

    /// Kills it because it took `peak` bytes where `limit` are allowed.
    pub fn kill_for_memory(&self, peak: u64, limit: u64) {
        self.0.set_reason(KillReason::Memory { peak, limit });
        self.kill();
    }

    /// Resolves when the process has ended.
    pub async fn exited(&self) -> ProcessExit {
        wait_exit(self.0.exit.clone()).await
    }

    /// True until the process has ended.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.0.exit.borrow().is_none()
    }

    /// Runs one batch.
    ///
    /// # Errors
    /// What the function raised, or how the interpreter ended.
    pub async fn invoke(&self, input: &Input) -> Result<Output, CallFailure> {
        let known = self.0.schemas.lock().contains(&input.schema_id);
        let (reply, region) = self.0.send_invoke(input, !known).await?;
        if !matches!(reply.kind, Some(reply::Kind::SchemaUnknown(_))) {
            if !known {
                self.0.remember_schema(input.schema_id);
            }
            return self.0.output(reply, region);
        }
        self.0.regions.give_back(region);
        let (reply, region) = self.0.send_invoke(input, true).await?;
        self.0.output(reply, region)
    }
}

fn shared_memory(error: io::Error) -> Error {
    Error::internal(format!("shared memory with an interpreter: {error}"))
}

async fn wait_exit(mut exit: watch::Receiver<Option<ProcessExit>>) -> ProcessExit {
    match exit.wait_for(Option::is_some).await {
        Ok(value) => value.clone().unwrap_or_default(),
        Err(_) => ProcessExit { status: -1, ..ProcessExit::default() },
    }
}

impl Inner {
    /// Lays a batch out in a region (schema, header, body) and has it run.
    async fn send_invoke(&self, input: &Input, with_schema: bool) -> Answer {
        let fail = |e: io::Error| CallFailure::answered(shared_memory(e));
        let schema_length = if with_schema { input.schema.len() } else { 0 };
        let header_at = schema_length.next_multiple_of(8);
        let body_at = (header_at + input.header.len()).next_multiple_of(ALIGNMENT);
        let end = body_at + input.body.len();
        // Most results are about as large as the input: make room at once.
        let mut region = self.regions.take(2 * end).map_err(fail)?;
        if with_schema {
            region.write(0, &input.schema).map_err(fail)?;
        }
        region.write(header_at, &input.header).map_err(fail)?;
        region.write(body_at, &input.body).map_err(fail)?;
        let slice = |offset: usize, length: usize| Some(Slice { offset: offset as u64, length: length as u64 });
        let invoke = Invoke {
            function: input.function,
            schema_id: input.schema_id,
            schema: if with_schema { slice(0, schema_length) } else { None },
            header: slice(header_at, input.header.len()),
            body: slice(body_at, input.body.len()),
            output_offset: end.next_multiple_of(ALIGNMENT) as u64,
            output_limit: MAX_FRAME_BYTES as u64,
        };
        self.call(command::Kind::Invoke(invoke), region, Duration::from_millis(input.timeout_ms)).await
    }

    /// Sends a command and waits for its answer. Dropping the future is safe: the region stays with the command until
    /// the interpreter is done with it.
    async fn call(&self, kind: command::Kind, mut region: Region, timeout: Duration) -> Answer {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let attached = region.descriptor_to_send().map(|descriptor| descriptor.try_clone_to_owned());
        let descriptor = attached.transpose().map_err(|e| CallFailure::answered(shared_memory(e)))?;
        let message = Command {
            id,
            region: region.number(),
            region_size: region.size() as u64,
            region_attached: descriptor.is_some(),
            kind: Some(kind),
        };
        let (answer, answered) = oneshot::channel();
        self.pending.lock().insert(id, Pending { answer, region });
        self.note_running(id, timeout);
        self.forget_regions().await;
        let sent = self.socket.send(&message, descriptor.as_ref().map(std::os::fd::AsFd::as_fd)).await;
        // A send fails when the process is gone: the receiving task learns of it too and answers all.
        if sent.is_err() && self.exit.borrow().is_some() && self.pending.lock().remove(&id).is_some() {
            return Err(CallFailure { error: self.exit_error().await, lost: true, ran: false });
        }
        answered
            .await
            .unwrap_or_else(|_| Err(CallFailure { error: Error::internal("no answer"), lost: true, ran: false }))
    }

    fn note_running(&self, id: u64, timeout: Duration) {
        let now = Instant::now();
        let deadline = {
            let mut running = self.running.lock();
            running.push(id, timeout, now);
            running.deadline()
        };
        let armed = self.armed_ms.load(Ordering::Relaxed);
        if deadline.is_some_and(|(deadline, _)| self.since_start_ms(deadline) < armed) {
            self.nearer_deadline.notify_one();
        }
    }

    fn since_start_ms(&self, at: Instant) -> u64 {
        at.duration_since(self.started).as_millis() as u64
    }

    async fn forget_regions(&self) {
        for region in self.regions.take_forgotten() {
            let kind = Some(command::Kind::Forget(udfleet_proto::v1::ForgetRegion {}));
            // The process may be gone, and its regions with it.
            let _ = self.socket.send(&Command { region, kind, ..Command::default() }, None).await;
        }
    }

    fn remember_schema(&self, id: u64) {
        let mut schemas = self.schemas.lock();
        if schemas.len() >= MAX_SCHEMAS {
            schemas.clear();
        }
        schemas.insert(id);
    }

    fn output(&self, reply: Reply, region: Region) -> Result<Output, CallFailure> {
        match reply.kind {
            Some(reply::Kind::Done(done)) => {
                let result = self.hold(&done, region, reply.region_retained);
                result
                    .map(|(header, body)| Output { header, body, done })
                    .map_err(|e| CallFailure::answered(shared_memory(e)))
            }
            Some(reply::Kind::Failed(slice)) => {
                let error = self.read_error(&region, &slice);
                if reply.region_retained {
                    self.regions.abandon(region)
                } else {
                    self.regions.give_back(region)
                }
                Err(CallFailure::answered(error))
            }
            _ => Err(CallFailure::answered(Error::internal("the interpreter answered a call with another message"))),
        }
    }

    fn hold(&self, done: &Done, region: Region, retained: bool) -> io::Result<(bytes::Bytes, bytes::Bytes)> {
        let (header, body) = (done.header.unwrap_or_default(), done.body.unwrap_or_default());
        let length = header.length.saturating_add(body.length);
        let all = hold(region, header.offset, length, retained, &self.regions)?;
        Ok((all.slice(..header.length as usize), all.slice(header.length as usize..)))
    }

    fn read_error(&self, region: &Region, slice: &Slice) -> Error {
        let info = region.read(slice).ok().and_then(|bytes| ErrorInfo::decode(bytes).ok());
        let error = info
            .filter(|info| info.code != 0)
            .map_or_else(|| Error::internal("an interpreter failed without detail"), Error::from);
        error.with(|info| info.executor = self.spec.executor.clone())
    }

    /// Why it is about to be ended; no reason for one that has ended by itself.
    fn set_reason(&self, reason: KillReason) {
        if self.exit.borrow().is_none() {
            self.reason.lock().get_or_insert(reason);
        }
    }

    /// How the process ended, as a typed error.
    async fn exit_error(&self) -> Error {
        let mut exit = wait_exit(self.exit.clone()).await;
        let reason = self.reason.lock().clone();
        // The process is gone; its last words may still lie in the pipe.
        let _ = tokio::time::timeout(LAST_WORDS, self.drained.clone().wait_for(|drained| *drained)).await;
        exit.last_stderr = self.tail.text();
        if let Some(KillReason::Memory { peak, limit }) = reason {
            exit.memory_limit_bytes = limit;
            exit.peak_rss_bytes = exit.peak_rss_bytes.max(peak);
        }
        exit_error(&exit, reason.as_ref()).with(|info| info.executor = self.spec.executor.clone())
    }

    fn take_pending(&self, id: u64) -> Option<Pending> {
        self.running.lock().remove(id, Instant::now());
        self.pending.lock().remove(&id)
    }

    /// Hands an answer to its caller; where the caller is gone, the region is free again.
    fn deliver(&self, reply: Reply) {
        let Some(Pending { answer, mut region }) = self.take_pending(reply.id) else { return };
        let size = usize::try_from(reply.region_size).unwrap_or(0).max(region.size());
        let outcome = match region.remap(size) {
            Ok(()) => Ok((reply, region)),
            Err(error) => Err(CallFailure::answered(shared_memory(error))),
        };
        if let Err(Ok((reply, region))) = answer.send(outcome) {
            if reply.region_retained { self.regions.abandon(region) } else { self.regions.give_back(region) }
        }
    }

    /// Answers everybody who waits for a process that has ended.
    async fn fail_all(&self) {
        let current = self.running.lock().current();
        let error = self.exit_error().await;
        let pending: Vec<(u64, Pending)> = self.pending.lock().drain().collect();
        for (id, pending) in pending {
            let failure = CallFailure { error: error.clone(), lost: true, ran: Some(id) == current };
            let _ = pending.answer.send(Err(failure));
        }
    }
}

/// Receives answers until the process ends.
async fn receive(inner: Arc<Inner>) {
    loop {
        // Either the socket closes or the process ends; children of user code must not keep us waiting.
        let received = tokio::select! {
            biased;
            received = inner.socket.receive() => received,
            _ = wait_exit(inner.exit.clone()) => Ok(None),
        };
        match received {
            Ok(Some(reply)) => inner.deliver(reply),
            Ok(None) | Err(_) => {
                // It is ending: how, it should say itself. One that only closed its socket is of no more use.
                if tokio::time::timeout(EXIT_GRACE, wait_exit(inner.exit.clone())).await.is_err() {
                    kill_group(inner.pid);
                }
                return inner.fail_all().await;
            }
        }
    }
}

/// Kills the process when its running call passes its deadline.
async fn watch_deadlines(inner: Arc<Inner>) {
    loop {
        let deadline = inner.running.lock().deadline();
        match deadline {
            Some((deadline, timeout)) if deadline <= Instant::now() => {
                inner.set_reason(KillReason::Timeout(timeout.as_millis() as u64));
                return kill_group(inner.pid);
            }
            Some((deadline, _)) => {
                inner.armed_ms.store(inner.since_start_ms(deadline), Ordering::Relaxed);
                tokio::select! {
                    () = tokio::time::sleep_until(deadline.into()) => {}
                    () = inner.nearer_deadline.notified() => {}
                    _ = wait_exit(inner.exit.clone()) => return,
                }
            }
            None => {
                inner.armed_ms.store(u64::MAX, Ordering::Relaxed);
                tokio::select! {
                    () = inner.nearer_deadline.notified() => {}
                    _ = wait_exit(inner.exit.clone()) => return,
                }
            }
        }
    }
}
