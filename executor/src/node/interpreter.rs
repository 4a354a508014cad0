//! The actor of one interpreter process. When it ends, its environment starts another one with a new actor.

mod start;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use udfleet_edge::tracked::{Difference, TrackedMap};
use udfleet_proto::error::Error;
use udfleet_proto::network::Network;
use udfleet_proto::v1::{FunctionDefinition, ProcessExit, Subtask};

use super::context::Context;
use super::devices::DeviceGrant;
use super::disk_share;
use super::environment::EnvironmentMessage;
use super::folders::InterpreterFolders;
use super::load::{self, LoadOutcome};
use super::memory::MemoryRules;
use super::observer::StatsObserver;
use super::variables::ProcessVariables;
use crate::environment::store::LeasedEnvironment;
use crate::link::{Interpreter, Pool};
use start::start;

/// How long functions may take to close.
const GRACE: Duration = Duration::from_secs(5);

/// How long calls of other functions may wait behind a load or a close until a spare interpreter is started for them.
const SLOW: Duration = Duration::from_secs(2);

/// How long a load may go on whose function is not wanted any more: calls of other functions may wait behind it.
const ABANDON_AFTER: Duration = Duration::from_secs(2);

/// The functions that an interpreter should serve, by number.
pub(super) type Functions = TrackedMap<u32, Arc<FunctionDefinition>>;

/// What an environment hears of its interpreters.
#[derive(Debug)]
pub enum InterpreterEvent {
    /// It takes calls: it has loaded or refused everything it should hold.
    Up(Interpreter),
    /// It has loaded a function.
    Loaded(u32),
    /// It could not load a function.
    Refused(u32, Error),
    /// It has closed a function and let it go.
    Unloaded,
    /// It has been loading or closing a function for long, and takes no calls meanwhile.
    Stalled,
    /// It could not be started.
    StartFailed(Error),
    /// It ended without having been told to.
    Ended {
        /// Since its start.
        lived: Duration,
        /// The function that was being loaded, with the error of that.
        loading: Option<(u32, Error)>,
    },
}

/// What interpreters are told.
#[derive(Debug)]
pub enum InterpreterMessage {
    /// To hold these functions, no more and no less.
    Want(TrackedMap<u32, Arc<FunctionDefinition>>),
    /// The process is ready, or is not.
    Started(Result<Interpreter, Error>),
    /// The load of this function has had its time, should it not be wanted any more.
    Abandon(u32),
    /// The operation under way on this function takes long, should it still go on.
    Slow(u32),
    /// The operation under way has ended.
    OperationDone(LoadOutcome),
    /// The process has ended.
    Exited(ProcessExit),
}

#[derive(Debug, Clone)]
enum Operation {
    Load(u32, Arc<FunctionDefinition>),
    Unload(u32),
}

impl Operation {
    fn number(&self) -> u32 {
        match self {
            Self::Load(number, _) | Self::Unload(number) => *number,
        }
    }
}

/// What an interpreter is started with.
pub(super) struct Arguments {
    pub(super) context: Arc<Context>,
    pub(super) held: Arc<LeasedEnvironment>,
    pub(super) pool: Arc<Pool>,
    pub(super) slot: u32,
    pub(super) subtask: Subtask,
    pub(super) functions: Functions,
    /// Of all functions of its environment.
    pub(super) network: Network,
    /// Held until its process has ended.
    pub(super) devices: Arc<DeviceGrant>,
    /// All functions of the environment ask for the same.
    pub(super) variables: ProcessVariables,
    pub(super) environment: ActorRef<EnvironmentMessage>,
}

/// How far a process has come. It goes down this list, and may skip what lies between.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum ProcessPhase {
    /// It is not ready yet.
    Starting,
    /// It loads its functions, and takes no calls before that.
    Preparing,
    /// It takes calls.
    InService,
    /// It is about to end, or has been killed: nothing is begun any more.
    Ending,
    /// It has ended.
    Exited,
}

/// Why a process ends, as far as that is known here.
#[derive(Debug)]
enum EndCause {
    /// For no reason of this actor's.
    Unknown,
    /// It died while it loaded this function.
    Load(u32, Error),
    /// It was killed here because a function that it was loading was dropped: neither is at fault.
    AbandonedLoad,
}

/// What the actor of one process knows.
pub(super) struct InterpreterState {
    arguments: Arguments,
    /// Of this process alone, gone with it.
    folders: Option<Arc<InterpreterFolders>>,
    started: Instant,
    phase: ProcessPhase,
    cause: EndCause,
    /// The process, from when it is ready.
    interpreter: Option<Interpreter>,
    wanted: Functions,
    loaded: BTreeSet<u32>,
    refused: BTreeSet<u32>,
    /// Of what is wanted, what is neither.
    to_load: BTreeSet<u32>,
    /// Of what is loaded, what is wanted no more.
    to_unload: BTreeSet<u32>,
    memory: MemoryRules,
    /// Those of `wanted` that count for its memory.
    watched: Functions,
    /// The operation under way. It fails with the process, and its error says more than the exit does.
    busy: Option<Operation>,
}

/// Owns one process.
pub(super) struct InterpreterActor;

impl Actor for InterpreterActor {
    type Msg = InterpreterMessage;
    type State = InterpreterState;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Arguments,
    ) -> Result<InterpreterState, ActorProcessingErr> {
        let folders = start(&arguments, myself.clone());
        // Told by message: an actor that fails here says nothing to the slot that waits for it.
        let folders = folders.map_err(|error| myself.send_message(InterpreterMessage::Started(Err(error))));
        Ok(InterpreterState {
            to_load: arguments.functions.keys().copied().collect(),
            to_unload: BTreeSet::new(),
            memory: MemoryRules::default(),
            watched: Functions::default(),
            wanted: arguments.functions.clone(),
            arguments,
            folders: folders.ok().map(Arc::new),
            started: Instant::now(),
            interpreter: None,
            loaded: BTreeSet::new(),
            refused: BTreeSet::new(),
            busy: None,
            phase: ProcessPhase::Starting,
            cause: EndCause::Unknown,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut InterpreterState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            InterpreterMessage::Want(functions) => state.want(functions, &myself),
            InterpreterMessage::Abandon(number) => state.abandon(number),
            InterpreterMessage::Slow(number) => state.slow(number),
            InterpreterMessage::Started(Ok(interpreter)) => state.started(interpreter, &myself),
            InterpreterMessage::Started(Err(error)) => {
                state.tell(InterpreterEvent::StartFailed(error));
                myself.stop(None);
            }
            InterpreterMessage::OperationDone(outcome) => state.done(outcome),
            InterpreterMessage::Exited(exit) => state.exited(&exit),
        }
        state.go_on(&myself);
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Self::Msg>, state: &mut InterpreterState) -> Result<(), ActorProcessingErr> {
        if let Some(interpreter) = &state.interpreter {
            state.arguments.pool.remove(interpreter.pid());
            interpreter.shutdown(GRACE).await;
        }
        Ok(())
    }
}

impl Drop for InterpreterState {
    /// However the actor ends, its process ends with it.
    fn drop(&mut self) {
        if let Some(interpreter) = &self.interpreter {
            self.arguments.pool.remove(interpreter.pid());
            self.arguments.context.memory.remove(interpreter.pid());
            interpreter.kill();
        }
    }
}

impl InterpreterState {
    /// Goes on to a later phase; never back.
    fn advance(&mut self, phase: ProcessPhase) {
        self.phase = self.phase.max(phase);
    }

    fn tell(&self, event: InterpreterEvent) {
        let message = EnvironmentMessage::Interpreter { slot: self.arguments.slot, event };
        // Fails only while the environment is being stopped.
        let _ = self.arguments.environment.send_message(message);
    }

    fn want(&mut self, functions: Functions, myself: &ActorRef<InterpreterMessage>) {
        let before = std::mem::replace(&mut self.wanted, functions);
        let changed: Vec<u32> = self.wanted.since(&before, Arc::ptr_eq).iter().map(|change| *change.key).collect();
        for number in changed {
            if !self.wanted.contains_key(&number) {
                self.refused.remove(&number);
            }
            self.sort(number);
        }
        self.watch_memory();
        if let Some(number) = self.unwanted_load() {
            myself.send_after(ABANDON_AFTER, move || InterpreterMessage::Abandon(number));
        }
    }

    /// A function is wanted, loaded or refused that was not, or the other way round.
    fn sort(&mut self, number: u32) {
        let (wanted, loaded) = (self.wanted.contains_key(&number), self.loaded.contains(&number));
        let belongs = |set: &mut BTreeSet<u32>, belongs: bool| {
            if belongs { set.insert(number) } else { set.remove(&number) }
        };
        belongs(&mut self.to_load, wanted && !loaded && !self.refused.contains(&number));
        belongs(&mut self.to_unload, loaded && !wanted);
    }

    /// The function that is still being loaded although it was dropped.
    fn unwanted_load(&self) -> Option<u32> {
        match self.busy {
            Some(Operation::Load(number, _)) if !self.wanted.contains_key(&number) => Some(number),
            _ => None,
        }
    }

    /// Python can't be told to give a load up: the process ends, and its replacement loads what is wanted.
    fn abandon(&mut self, number: u32) {
        let unwanted = self.unwanted_load() == Some(number);
        let Some(interpreter) = self.interpreter.clone().filter(|_| unwanted) else { return };
        self.cause = EndCause::AbandonedLoad;
        self.advance(ProcessPhase::Ending);
        let pid = interpreter.pid();
        tracing::warn!(pid, "the function that is being loaded was dropped: its interpreter is replaced");
        interpreter.kill();
    }

    fn slow(&self, number: u32) {
        if self.busy.as_ref().is_some_and(|operation| operation.number() == number) {
            self.tell(InterpreterEvent::Stalled);
        }
    }

    fn watch_memory(&mut self) {
        let Some(interpreter) = self.interpreter.as_ref().filter(|_| self.phase < ProcessPhase::Exited) else { return };
        let context = &self.arguments.context;
        let stats =
            |f: &FunctionDefinition| context.stats.function(&udfleet_proto::name::versioned(&f.name, f.version));
        let changed = self.wanted.since(&self.watched, Arc::ptr_eq);
        for Difference { before, now, .. } in &changed {
            self.memory.change(before.map(Arc::as_ref), now.map(Arc::as_ref));
        }
        context.memory.set(interpreter, self.memory.rule(), &changed, stats);
        self.watched = self.wanted.clone();
    }

    fn started(&mut self, interpreter: Interpreter, myself: &ActorRef<InterpreterMessage>) {
        if let Some(folders) = &self.folders {
            let limit = self.arguments.context.disk_share();
            tokio::spawn(disk_share::watch(interpreter.clone(), Arc::clone(folders), limit));
        }
        interpreter.observe(Box::new(StatsObserver::new(&self.arguments.context)));
        let (process, myself, devices) = (interpreter.clone(), myself.clone(), Arc::clone(&self.arguments.devices));
        tokio::spawn(async move {
            let exit = process.exited().await;
            drop(devices);
            // Fails once the actor has been stopped, which ends the process itself.
            let _ = myself.send_message(InterpreterMessage::Exited(exit));
        });
        self.interpreter = Some(interpreter);
        self.advance(ProcessPhase::Preparing);
        self.watch_memory();
    }

    fn done(&mut self, outcome: LoadOutcome) {
        match (self.busy.take(), outcome) {
            (Some(Operation::Load(number, _)), LoadOutcome::Loaded) => {
                self.loaded.insert(number);
                self.sort(number);
                self.tell(InterpreterEvent::Loaded(number));
            }
            (Some(Operation::Load(number, _)), LoadOutcome::Died(error)) => {
                self.advance(ProcessPhase::Ending);
                if !matches!(self.cause, EndCause::AbandonedLoad) {
                    self.cause = EndCause::Load(number, error);
                }
            }
            (Some(Operation::Load(number, _)), LoadOutcome::Refused(error)) => {
                self.refused.insert(number);
                self.sort(number);
                self.tell(InterpreterEvent::Refused(number, error));
            }
            (Some(Operation::Unload(number)), _) => {
                self.loaded.remove(&number);
                self.sort(number);
                self.tell(InterpreterEvent::Unloaded);
            }
            (Some(Operation::Load(..)), _) | (None, _) => {}
        }
        // Calls of other functions have waited behind it.
        self.arguments.pool.wake();
    }

    fn exited(&mut self, exit: &ProcessExit) {
        self.advance(ProcessPhase::Exited);
        if let Some(interpreter) = &self.interpreter {
            self.arguments.pool.remove(interpreter.pid());
            self.arguments.context.memory.remove(interpreter.pid());
            let (pid, signal, status) = (interpreter.pid(), exit.signal, exit.status);
            tracing::warn!(pid, signal, status, stderr = exit.last_stderr, "interpreter ended; it is replaced");
        }
    }

    /// Starts the next operation, goes into service or ends.
    fn go_on(&mut self, myself: &ActorRef<InterpreterMessage>) {
        let Some(interpreter) = self.interpreter.clone() else { return };
        if self.busy.is_some() {
            return;
        }
        if self.phase == ProcessPhase::Exited {
            let end = self.end();
            self.tell(end);
            return myself.stop(None);
        }
        if self.phase == ProcessPhase::Ending {
            return;
        }
        match self.next() {
            Some(operation) => self.begin(operation, interpreter, myself),
            None if self.phase == ProcessPhase::Preparing => {
                self.advance(ProcessPhase::InService);
                self.arguments.pool.add(interpreter.clone());
                self.tell(InterpreterEvent::Up(interpreter));
            }
            None => {}
        }
    }

    /// What the environment is told about the end of the process.
    fn end(&mut self) -> InterpreterEvent {
        let lived = self.started.elapsed();
        match std::mem::replace(&mut self.cause, EndCause::Unknown) {
            EndCause::Unknown => InterpreterEvent::Ended { lived, loading: None },
            EndCause::Load(number, error) => InterpreterEvent::Ended { lived, loading: Some((number, error)) },
            EndCause::AbandonedLoad => InterpreterEvent::Ended { lived: Duration::MAX, loading: None },
        }
    }

    fn next(&self) -> Option<Operation> {
        if let Some(number) = self.to_unload.first() {
            return Some(Operation::Unload(*number));
        }
        let number = self.to_load.first()?;
        Some(Operation::Load(*number, Arc::clone(self.wanted.get(number)?)))
    }

    fn begin(&mut self, operation: Operation, interpreter: Interpreter, myself: &ActorRef<InterpreterMessage>) {
        self.busy = Some(operation.clone());
        if self.phase == ProcessPhase::InService {
            let number = operation.number();
            myself.send_after(SLOW, move || InterpreterMessage::Slow(number));
        }
        let Some(folders) = self.folders.clone() else { return };
        let (context, myself) = (Arc::clone(&self.arguments.context), myself.clone());
        let subtask = self.arguments.subtask;
        tokio::spawn(async move {
            let outcome = match operation {
                Operation::Load(number, definition) => {
                    load::load(&context, &interpreter, &folders, number, &definition, subtask).await
                }
                // One that fails has ended the process, which says so itself.
                Operation::Unload(number) => {
                    interpreter.unload(number).await.map_or(LoadOutcome::CutShort, |()| LoadOutcome::Unloaded)
                }
            };
            // Fails once the actor has been stopped: then nothing is waiting.
            let _ = myself.send_message(InterpreterMessage::OperationDone(outcome));
        });
    }
}
