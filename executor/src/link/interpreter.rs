//! One interpreter: a process behind a handle that is cheap to clone.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prost::Message;
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::watch;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{
    Cancel, ErrorCode, Load, LoadSpec, ProcessExit, Profile, ProfileStacks, Reply, Shutdown, Slice, Unload, command,
    reply,
};

use super::call::KillReason;
use super::connection::{
    Connection, FinalStderr, Observer, RetainedState, read, receive, shared_memory, wait_exit, watch_deadlines,
};
use super::output::{Names, StderrTail, drain};
use super::process::{kill_group, spawn, watch_exit};
use super::socket::Socket;
use super::state::{RunningBundles, serve};
use crate::logs::{LogStore, Stream};
use crate::secrets::SecretValue;
use udfleet_proto::secrets::Masks;

/// How long an interpreter may take until it says that it is ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long loading a function may take: imports of large packages from a cold disk.
const LOAD_TIMEOUT: Duration = Duration::from_secs(300);
/// How long closing a function may take.
const UNLOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long telling a profile may take.
const PROFILE_TIMEOUT: Duration = Duration::from_secs(60);

/// What to start.
#[derive(Debug, Clone)]
pub struct InterpreterSpec {
    /// The `udfleet-interpreter` binary.
    pub host: PathBuf,
    /// What the host is told of containment: [`crate::sandbox::Sandbox::options`].
    pub containment: Vec<OsString>,
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
    /// The environment of the process, but for secrets.
    pub env: Vec<(String, String)>,
    /// Variables too, and masked in all that it says.
    pub secrets: Vec<SecretValue>,
    /// The executor's id, for errors.
    pub executor: String,
    /// Bundles of keyed functions, whose state it may ask for.
    pub bundles: Arc<RunningBundles>,
}

/// What the process holds.
#[derive(Default)]
struct Functions {
    /// Whose output is whose. Kept after an unload: what it printed last may still be in the pipe.
    names: HashMap<u32, String>,
    /// Those that can be called.
    loaded: HashSet<u32>,
    /// A load or an unload is under way: a call would wait behind it.
    busy: bool,
}

/// A handle. The process lives until it is told to stop, killed, or the executor ends.
#[derive(Clone)]
pub struct Interpreter {
    pub(super) connection: Arc<Connection>,
    functions: Arc<Mutex<Functions>>,
}

impl std::fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interpreter").field("pid", &self.connection.pid).finish()
    }
}

fn start_failed(what: &str, error: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::EnvironmentFailed, format!("can't start an interpreter: {what}: {error}"))
}

fn names(functions: &Arc<Mutex<Functions>>) -> Names {
    let functions = Arc::downgrade(functions);
    Arc::new(move |number| functions.upgrade()?.lock().names.get(&number).cloned())
}

impl Interpreter {
    /// Starts a process and waits until it is ready.
    ///
    /// # Errors
    /// [`ErrorCode::EnvironmentFailed`] with how the process ended and its last stderr.
    pub async fn start(spec: InterpreterSpec, logs: Arc<LogStore>) -> Result<Self, Error> {
        let (socket, theirs) = Socket::pair().map_err(|e| start_failed("socket", e))?;
        let (state, their_state) = UnixStream::pair().map_err(|e| start_failed("socket", e))?;
        state.set_nonblocking(true).map_err(|e| start_failed("socket", e))?;
        let their_state = OwnedFd::from(their_state);
        let mut started =
            spawn(&spec, &theirs, &their_state).map_err(|e| start_failed(&spec.host.display().to_string(), e))?;
        drop((theirs, their_state));
        let state = tokio::net::UnixStream::from_std(state).map_err(|e| start_failed("socket", e))?;
        tokio::spawn(serve(state, Arc::clone(&spec.bundles)));
        let (pid, tail) = (started.pid, StderrTail::default());
        let pipes = (started.child.stdout.take(), started.child.stderr.take());
        let exit = watch_exit(started).map_err(|e| start_failed("thread", e))?;
        let (told, drained) = watch::channel(false);
        let final_stderr = FinalStderr { tail: tail.clone(), drained };
        let masks = Masks::new(spec.secrets.iter().map(SecretValue::expose))?;
        let connection = Arc::new(Connection::new(pid, spec.executor, socket, exit, final_stderr, masks.clone()));
        let functions = Arc::<Mutex<Functions>>::default();
        let names = names(&functions);
        if let (Some(stdout), Some(stderr)) = pipes {
            let stdout = ChildStdout::from_std(stdout).map_err(|e| start_failed("pipe", e))?;
            let stderr = ChildStderr::from_std(stderr).map_err(|e| start_failed("pipe", e))?;
            tokio::spawn(drain(
                stdout,
                Stream::Stdout,
                pid,
                Arc::clone(&logs),
                Arc::clone(&names),
                tail.clone(),
                masks.clone(),
            ));
            tokio::spawn(async move {
                drain(stderr, Stream::Stderr, pid, logs, names, tail, masks).await;
                told.send_replace(true);
            });
        }
        let interpreter = Self { connection, functions };
        if let Err(error) = interpreter.wait_ready().await {
            interpreter.kill();
            return Err(error);
        }
        tokio::spawn(receive(Arc::clone(&interpreter.connection)));
        tokio::spawn(watch_deadlines(Arc::clone(&interpreter.connection)));
        Ok(interpreter)
    }

    async fn wait_ready(&self) -> Result<(), Error> {
        match tokio::time::timeout(START_TIMEOUT, self.connection.socket.receive()).await {
            Ok(Ok(Some(Reply { kind: Some(reply::Kind::Ready(ready)), .. }))) => {
                tracing::debug!(pid = self.connection.pid, python = %ready.python_version, prefix = %ready.prefix, "interpreter ready");
                Ok(())
            }
            Ok(Ok(Some(_))) => Err(start_failed("protocol", "its first message is not Ready")),
            Ok(Ok(None)) | Ok(Err(_)) => {
                // One that closed its socket need not end.
                if tokio::time::timeout(START_TIMEOUT, self.exited()).await.is_err() {
                    self.kill();
                }
                let error = self.connection.exit_error().await;
                Err(error.with(|info| {
                    info.code = ErrorCode::EnvironmentFailed as i32;
                    let stderr = info.exit.as_ref().map(|exit| exit.last_stderr.clone()).unwrap_or_default();
                    info.message =
                        format!("an interpreter did not start: {}; it said: {}", info.message, stderr.trim());
                }))
            }
            Err(_) => Err(start_failed("timeout", format!("not ready within {} s", START_TIMEOUT.as_secs()))),
        }
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.connection.pid
    }

    /// Bytes of shared memory that carry batches to and from it.
    #[must_use]
    pub fn shared_bytes(&self) -> u64 {
        self.connection.regions.bytes() as u64
    }

    /// True where a call of these functions runs without waiting for a load.
    #[must_use]
    pub fn serves(&self, functions: &[u32]) -> bool {
        let held = self.functions.lock();
        !held.busy && functions.iter().all(|function| held.loaded.contains(function))
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
            let mut functions = self.functions.lock();
            functions.names.insert(number, name.clone());
            functions.busy = true;
        }
        let result = self.send_load(&spec).await.map_err(|e| e.function(name));
        let mut functions = self.functions.lock();
        functions.busy = false;
        if result.is_ok() {
            functions.loaded.insert(number);
        }
        result
    }

    async fn send_load(&self, spec: &LoadSpec) -> Result<(), Error> {
        let bytes = spec.encode_to_vec();
        let mut region = self.connection.regions.take(bytes.len()).map_err(shared_memory)?;
        region.write(0, &bytes).map_err(shared_memory)?;
        let load = Load { spec: Some(Slice { offset: 0, length: bytes.len() as u64 }) };
        let (reply, region) =
            self.connection.call(command::Kind::Load(load), region, LOAD_TIMEOUT).await.map_err(|f| f.error)?;
        let outcome = match reply.kind {
            Some(reply::Kind::Loaded(_)) => Ok(()),
            Some(reply::Kind::Failed(slice)) => Err(self.connection.read_error(&region, &slice)),
            _ => Err(Error::internal("the interpreter answered Load with another message")),
        };
        self.connection.regions.give_back(region);
        outcome
    }

    /// Closes and forgets a function. A `close` that takes longer than a minute ends the interpreter.
    ///
    /// # Errors
    /// How the process ended, should it.
    pub async fn unload(&self, function: u32) -> Result<(), Error> {
        {
            let mut functions = self.functions.lock();
            functions.loaded.remove(&function);
            functions.busy = true;
        }
        let result = self.send_unload(function).await;
        self.functions.lock().busy = false;
        result
    }

    async fn send_unload(&self, function: u32) -> Result<(), Error> {
        let region = self.connection.regions.take(1).map_err(shared_memory)?;
        let unload = command::Kind::Unload(Unload { function });
        let (_, region) = self.connection.call(unload, region, UNLOAD_TIMEOUT).await.map_err(|f| f.error)?;
        self.connection.regions.give_back(region);
        Ok(())
    }

    /// Closes all functions and ends the process; kills it after `grace`.
    pub async fn shutdown(&self, grace: Duration) {
        self.connection.set_reason(KillReason::Stop);
        let orderly = async {
            let region = self.connection.regions.take(1).map_err(shared_memory)?;
            let stop = command::Kind::Shutdown(Shutdown {});
            self.connection.call(stop, region, grace).await.map(|_| ()).map_err(|f| f.error)?;
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
        if self.connection.exit.borrow().is_none() {
            kill_group(self.connection.pid);
        }
    }

    /// Kills it because it took `peak` bytes where `limit` are allowed.
    pub fn kill_for_memory(&self, peak: u64, limit: u64) {
        self.connection.set_reason(KillReason::Memory { peak, limit });
        self.kill();
    }

    /// Kills it because its functions kept `used` bytes on the disk where `limit` are allowed.
    pub fn kill_for_disk(&self, used: Option<u64>, limit: u64) {
        self.connection.set_reason(KillReason::Disk { used, limit });
        self.kill();
    }

    /// Kills it because its functions have started more than `limit` processes.
    pub fn kill_for_processes(&self, limit: usize) {
        self.connection.set_reason(KillReason::Processes(limit));
        self.kill();
    }

    /// Resolves when the process has ended.
    pub async fn exited(&self) -> ProcessExit {
        wait_exit(self.connection.exit.clone()).await
    }

    /// True until the process has ended.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.connection.exit.borrow().is_none()
    }

    /// Has what comes with its answers told to `observer`.
    pub fn observe(&self, observer: Box<dyn Observer>) {
        self.connection.observe(observer, names(&self.functions));
    }

    /// Where the function has spent its time since it was loaded.
    ///
    /// # Errors
    /// `INTERNAL` where it is not profiled; how the process ended, should it.
    pub async fn profile(&self, function: u32) -> Result<ProfileStacks, Error> {
        let region = self.connection.regions.take(1).map_err(shared_memory)?;
        let ask = command::Kind::Profile(Profile { function });
        let (reply, region) = self.connection.call(ask, region, PROFILE_TIMEOUT).await.map_err(|f| f.error)?;
        let outcome = match reply.kind {
            Some(reply::Kind::Profiled(slice)) => {
                read(&region, &slice).ok_or_else(|| Error::internal("an interpreter's profile can't be read"))
            }
            Some(reply::Kind::Failed(slice)) => Err(self.connection.read_error(&region, &slice)),
            _ => Err(Error::internal("the interpreter answered Profile with another message")),
        };
        self.connection.regions.give_back(region);
        outcome
    }

    /// Counts something that it keeps for later calls, such as groups of a stream, until dropped.
    #[must_use]
    pub fn hold(&self) -> RetainedState {
        self.connection.note_held()
    }

    /// How many things it keeps for later calls.
    pub(super) fn kept(&self) -> usize {
        self.connection.held()
    }

    /// Gives up the groups of a stream that has ended early.
    pub fn cancel_session(&self, session: u64) {
        self.connection.cancel(Cancel { call: 0, session });
    }
}
