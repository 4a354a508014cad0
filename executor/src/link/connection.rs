//! The protocol with one interpreter process: commands out, replies in, deadlines, and how the process ended.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{Fuse, FusedFuture as _};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Notify, oneshot, watch};
use udfleet_proto::error::{Error, truncate};
use udfleet_proto::v1::{
    Cancel, Command, ErrorInfo, FunctionRowErrors, FunctionUserMetrics, ProcessExit, Reply, RowErrors, Slice,
    UserMetric, UserMetrics, command, reply,
};

use super::call::{CallFailure, Caller, KillReason, exit_error};
use super::output::{Names, StderrTail};
use super::process::kill_group;
use super::region::{Region, RegionPool};
use super::reply::{Expected, check};
use super::sent_ids::SentIds;
use super::socket::Socket;
use super::verify::count_items;
use super::watchdog::{Overdue, Running};
use udfleet_proto::secrets::Masks;

/// The most bytes of a region: the largest input and the largest output, rounded up.
const MAX_REGION: usize = 1 << 30;
/// The most metrics and errors of rows of one reply.
const MAX_REPORT_ITEMS: usize = 20_000;
/// How long an interpreter that has closed its socket may take to end: modules clean up at exit.
const EXIT_GRACE: Duration = Duration::from_secs(10);
/// How long the output of a process that has ended may take to arrive.
const STDERR_GRACE: Duration = Duration::from_secs(1);
/// What an interpreter may say about why it can't go on, bytes.
const MAX_WHY: usize = 512;

/// A reply with the region that it used.
pub(super) type CallResult = Result<(Reply, Region), CallFailure>;

/// A command that has no reply yet.
struct Pending {
    caller: oneshot::Sender<CallResult>,
    region: Region,
    expected: Expected,
}

/// Why an interpreter is ended because of what it sent.
pub(super) struct Misbehaviour(KillReason);

/// Receives the metrics and row errors that come with the replies of an interpreter.
pub trait Observer: Send + Sync {
    /// Metrics of a function's user code that have changed, cumulative since this process started.
    fn user_metrics(&self, function: &str, metrics: Vec<UserMetric>);
    /// Rows of a function that failed and did not fail their batch.
    fn row_errors(&self, function: &str, errors: FunctionRowErrors);
}

/// One process, its socket and its regions.
pub(super) struct Connection {
    pub(super) pid: u32,
    /// The executor's id, for errors.
    executor: String,
    pub(super) socket: Socket,
    pub(super) regions: Arc<RegionPool>,
    pending: Mutex<HashMap<u64, Pending>>,
    running: Mutex<Running>,
    /// Wakes the watchdog when a deadline comes before the one it sleeps for.
    nearer_deadline: Notify,
    /// Held while a command is registered and sent, so that both happen in the same order.
    sending: tokio::sync::Mutex<()>,
    next_id: AtomicU64,
    /// States that the interpreter keeps for later calls: groups of streams, and the rest of results.
    held: AtomicUsize,
    /// Schemas and stages that the interpreter has been sent.
    pub(super) schemas: Mutex<SentIds>,
    pub(super) stages: Mutex<SentIds>,
    reason: Mutex<Option<KillReason>>,
    pub(super) exit: watch::Receiver<Option<ProcessExit>>,
    final_stderr: FinalStderr,
    /// Values that errors must not tell.
    masks: Masks,
    observer: OnceLock<(Box<dyn Observer>, Names)>,
}

pub(super) fn shared_memory(error: io::Error) -> Error {
    Error::internal(format!("shared memory with an interpreter: {error}"))
}

pub(super) async fn wait_exit(mut exit: watch::Receiver<Option<ProcessExit>>) -> ProcessExit {
    match exit.wait_for(Option::is_some).await {
        Ok(value) => value.clone().unwrap_or_default(),
        Err(_) => ProcessExit { status: -1, ..ProcessExit::default() },
    }
}

/// State that an interpreter keeps for later calls, groups of a stream or the rest of a result: counted until dropped.
pub struct RetainedState(Arc<Connection>);

impl Drop for RetainedState {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The end of a process's stderr.
pub(super) struct FinalStderr {
    pub(super) tail: StderrTail,
    /// True once stderr has been read to its end.
    pub(super) drained: watch::Receiver<bool>,
}

impl Connection {
    pub(super) fn new(
        pid: u32,
        executor: String,
        socket: Socket,
        exit: watch::Receiver<Option<ProcessExit>>,
        final_stderr: FinalStderr,
        masks: Masks,
    ) -> Self {
        Self {
            pid,
            executor,
            socket,
            regions: Arc::default(),
            pending: Mutex::default(),
            running: Mutex::default(),
            nearer_deadline: Notify::new(),
            sending: tokio::sync::Mutex::default(),
            next_id: AtomicU64::new(1),
            held: AtomicUsize::new(0),
            schemas: Mutex::default(),
            stages: Mutex::default(),
            reason: Mutex::default(),
            exit,
            final_stderr,
            masks,
            observer: OnceLock::new(),
        }
    }

    /// Sends a command and waits for its reply. Dropping the future while it waits is safe: the region stays with the
    /// command until the interpreter is done with it. Only who is about to kill the process may drop it while it sends.
    pub(super) async fn call(&self, kind: command::Kind, region: Region, timeout: Duration) -> CallResult {
        let gone = std::pin::pin!(std::future::pending().fuse());
        self.call_for(kind, region, timeout, Caller { gone, holds: 0 }).await
    }

    /// As [`Connection::call`]; where the caller goes, the command is ended after a short while.
    pub(super) async fn call_for<F: Future<Output = ()>>(
        &self,
        kind: command::Kind,
        mut region: Region,
        timeout: Duration,
        waits: Caller<Pin<&mut Fuse<F>>>,
    ) -> CallResult {
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
        let Some(expected) = Expected::of(&message) else {
            return Err(CallFailure::answered(Error::internal("a command that has no reply was waited for")));
        };
        let (caller, mut replied) = oneshot::channel();
        let order = self.sending.lock().await;
        self.forget_regions().await;
        self.pending.lock().insert(id, Pending { caller, region, expected });
        if self.running.lock().push(id, timeout, Instant::now()) {
            self.nearer_deadline.notify_one();
        }
        let sent = self.socket.send(&message, descriptor.as_ref().map(std::os::fd::AsFd::as_fd)).await;
        drop(order);
        // A send fails when the process is gone: the receiving task learns of it too and answers all.
        if sent.is_err() && self.exit.borrow().is_some() && self.pending.lock().remove(&id).is_some() {
            return Err(CallFailure { error: self.exit_error().await, lost: true, ran: false });
        }
        let answer = if waits.gone.is_terminated() {
            self.abandon(id, waits.holds);
            replied.await
        } else {
            tokio::select! {
                biased;
                answer = &mut replied => answer,
                () = waits.gone => {
                    self.abandon(id, waits.holds);
                    replied.await
                }
            }
        };
        answer.unwrap_or_else(|_| Err(CallFailure { error: Error::internal("no answer"), lost: true, ran: false }))
    }

    fn abandon(&self, id: u64, holds: usize) {
        if self.running.lock().abandon(id, holds, Instant::now()) {
            self.nearer_deadline.notify_one();
        }
    }

    /// Counts state that the interpreter keeps for later calls, until dropped.
    pub(super) fn note_held(self: &Arc<Self>) -> RetainedState {
        self.held.fetch_add(1, Ordering::Relaxed);
        RetainedState(Arc::clone(self))
    }

    /// How many states the interpreter keeps for later calls.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    async fn forget_regions(&self) {
        for region in self.regions.take_forgotten() {
            let kind = Some(command::Kind::Forget(udfleet_proto::v1::ForgetRegion {}));
            // The process may be gone, and its regions with it.
            let _ = self.socket.send(&Command { region, kind, ..Command::default() }, None).await;
        }
    }

    /// Cancels the rest of a call, or a session. This is sent in the background; nobody waits for it.
    pub(super) fn cancel(self: &Arc<Self>, cancel: Cancel) {
        // Without a runtime the executor is ending, and the interpreter with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let connection = Arc::clone(self);
        runtime.spawn(async move {
            let _order = connection.sending.lock().await;
            let kind = Some(command::Kind::Cancel(cancel));
            // The process may be gone, and what was to be given up with it.
            let _ = connection.socket.send(&Command { kind, ..Command::default() }, None).await;
        });
    }

    /// Passes metrics and row errors of all replies to `observer`, which is dropped with the connection.
    pub(super) fn observe(&self, observer: Box<dyn Observer>, names: Names) {
        // An interpreter is observed by the actor that owns it, from its start.
        let _ = self.observer.set((observer, names));
    }

    pub(super) fn read_error(&self, region: &Region, slice: &Slice) -> Error {
        let error = read::<ErrorInfo>(region, slice)
            .filter(|info| info.code != 0)
            .map_or_else(|| Error::internal("an interpreter failed without detail"), Error::from);
        error.with(|info| {
            info.executor = self.executor.clone();
            self.masks.mask_error(info);
        })
    }

    /// Records why the interpreter is about to be killed. One that has already exited by itself gets no reason.
    pub(super) fn set_reason(&self, reason: KillReason) {
        if self.exit.borrow().is_none() {
            self.reason.lock().get_or_insert(reason);
        }
    }

    /// How the process ended, as a typed error.
    pub(super) async fn exit_error(&self) -> Error {
        let mut exit = wait_exit(self.exit.clone()).await;
        let reason = self.reason.lock().clone();
        // The process is gone; the end of its stderr may still lie in the pipe.
        let _ =
            tokio::time::timeout(STDERR_GRACE, self.final_stderr.drained.clone().wait_for(|drained| *drained)).await;
        exit.last_stderr = self.final_stderr.tail.text();
        if let Some(KillReason::Memory { peak, limit }) = reason {
            exit.memory_limit_bytes = limit;
            exit.peak_rss_bytes = exit.peak_rss_bytes.max(peak);
        }
        exit_error(&exit, reason.as_ref()).with(|info| {
            info.executor = self.executor.clone();
            self.masks.mask_error(info);
        })
    }

    fn take_pending(&self, id: u64) -> Option<Pending> {
        if self.running.lock().remove(id, Instant::now()) {
            self.nearer_deadline.notify_one();
        }
        self.pending.lock().remove(&id)
    }

    /// Hands a reply to its caller. If the caller is gone, the region is free again.
    fn deliver(self: &Arc<Self>, reply: Reply) -> Result<(), Misbehaviour> {
        if let Some(reply::Kind::Unusable(why)) = &reply.kind {
            return Err(Misbehaviour(KillReason::Unusable(truncated(&self.masks.mask(why)))));
        }
        self.accept(&reply).map_err(|how| Misbehaviour(KillReason::Breach(how)))?;
        let Some(Pending { caller, region, .. }) = self.take_pending(reply.id) else { return Ok(()) };
        self.tell(&reply, &region);
        if let Err(Ok((reply, region))) = caller.send(Ok((reply, region))) {
            if matches!(&reply.kind, Some(reply::Kind::Done(done)) if done.more) {
                self.cancel(Cancel { call: reply.id, session: 0 });
            }
            if reply.region_retained { self.regions.abandon(region) } else { self.regions.give_back(region) }
        }
        Ok(())
    }

    /// Maps what the interpreter has written, and checks that it may reply this now.
    fn accept(&self, reply: &Reply) -> Result<(), String> {
        if self.running.lock().current() != Some(reply.id) {
            return Err(format!("it replied to command {}, which it does not run", reply.id));
        }
        let mut pending = self.pending.lock();
        let pending = pending.get_mut(&reply.id).ok_or("it replied to a command twice")?;
        let size = usize::try_from(reply.region_size).unwrap_or(usize::MAX).max(pending.region.size());
        if size > MAX_REGION.max(pending.region.size()) {
            return Err(format!("its region has {size} bytes, more than the {MAX_REGION} that it may have"));
        }
        pending.region.remap(size).map_err(|e| format!("its region can't be read: {e}"))?;
        check(reply, pending.expected, pending.region.bytes())
    }

    /// Passes metrics and row errors on, even if the caller of the command is gone.
    fn tell(&self, reply: &Reply, region: &Region) {
        let (Some(reply::Kind::Done(done)), Some((observer, names))) = (&reply.kind, self.observer.get()) else {
            return;
        };
        if let Some(metrics) = done.metrics.as_ref().and_then(|slice| read_report::<UserMetrics>(region, slice, 2)) {
            for FunctionUserMetrics { function, mut metrics } in metrics.functions {
                metrics.iter_mut().for_each(|metric| self.masks.mask_metric(metric));
                let Some(name) = names(function) else { continue };
                observer.user_metrics(&name, metrics);
            }
        }
        if let Some(errors) = done.row_errors.as_ref().and_then(|slice| read_report::<RowErrors>(region, slice, 3)) {
            for mut errors in errors.functions {
                errors.first.iter_mut().for_each(|error| self.masks.mask_error(error));
                let Some(name) = names(errors.function) else { continue };
                observer.row_errors(&name, errors);
            }
        }
    }

    /// Called when the socket is closed or the process has exited.
    async fn ended(self: &Arc<Self>) {
        // What it replied before it ended counts.
        while let Ok(Some(reply)) = self.socket.try_receive() {
            if self.deliver(reply).is_err() {
                break;
            }
        }
        // It is ending: how, it should say itself. One that only closed its socket is of no more use.
        if tokio::time::timeout(EXIT_GRACE, wait_exit(self.exit.clone())).await.is_err() {
            self.set_reason(KillReason::Breach("it closed its control socket".to_owned()));
            kill_group(self.pid);
        }
        self.fail_all().await;
    }

    /// Fails all pending calls of a process that has ended.
    async fn fail_all(&self) {
        let current = self.running.lock().current();
        let error = self.exit_error().await;
        let pending: Vec<(u64, Pending)> = self.pending.lock().drain().collect();
        for (id, pending) in pending {
            let failure = CallFailure { error: error.clone(), lost: true, ran: Some(id) == current };
            let _ = pending.caller.send(Err(failure));
        }
    }
}

fn truncated(text: &str) -> String {
    let mut text = text.to_owned();
    truncate(&mut text, MAX_WHY);
    text
}

/// Decodes a message that the interpreter wrote into a region.
pub(super) fn read<T: Message + Default>(region: &Region, slice: &Slice) -> Option<T> {
    T::decode(region.read(slice).ok()?).ok()
}

/// Decodes a report of many functions, each of which has its items in the field `items`; `None` for one of too many items,
/// which in memory are a hundred times larger than they were sent.
fn read_report<T: Message + Default>(region: &Region, slice: &Slice, items: u32) -> Option<T> {
    // A copy: what was counted must be what is decoded.
    let bytes = region.read(slice).ok()?.to_vec();
    if count_items(&bytes, items).is_none_or(|count| count > MAX_REPORT_ITEMS) {
        tracing::warn!("an interpreter's metrics or errors of rows are dropped: more than {MAX_REPORT_ITEMS} of them");
        return None;
    }
    T::decode(bytes.as_slice()).ok()
}

/// Receives replies until the process ends.
pub(super) async fn receive(inner: Arc<Connection>) {
    loop {
        // Either the socket closes or the process ends; children of user code must not keep us waiting.
        let received = tokio::select! {
            biased;
            received = inner.socket.receive() => received,
            _ = wait_exit(inner.exit.clone()) => Ok(None),
        };
        let outcome = match received {
            Ok(Some(reply)) => inner.deliver(reply),
            Ok(None) => return inner.ended().await,
            Err(error) => Err(Misbehaviour(KillReason::Breach(format!("it sent {error}")))),
        };
        if let Err(Misbehaviour(reason)) = outcome {
            tracing::warn!(pid = inner.pid, ?reason, "an interpreter is ended for what it sent");
            inner.set_reason(reason);
            kill_group(inner.pid);
            return inner.fail_all().await;
        }
    }
}

/// Kills the process when its running call passes its deadline, or nobody waits for that call any more; the latter not
/// where something is lost to others with the process.
pub(super) async fn watch_deadlines(inner: Arc<Connection>) {
    loop {
        let deadline = inner.running.lock().arm();
        match deadline {
            Some((deadline, overdue)) if deadline <= Instant::now() => {
                let reason = match overdue {
                    Overdue::Timeout(timeout) => KillReason::Timeout(timeout.as_millis() as u64),
                    Overdue::Abandoned { holds } if inner.held() <= holds => KillReason::Abandoned,
                    Overdue::Abandoned { .. } => {
                        inner.running.lock().spare();
                        continue;
                    }
                };
                inner.set_reason(reason);
                return kill_group(inner.pid);
            }
            Some((deadline, _)) => tokio::select! {
                () = tokio::time::sleep_until(deadline.into()) => {}
                () = inner.nearer_deadline.notified() => {}
                _ = wait_exit(inner.exit.clone()) => return,
            },
            None => tokio::select! {
                () = inner.nearer_deadline.notified() => {}
                _ = wait_exit(inner.exit.clone()) => return,
            },
        }
    }
}
