//! One environment: builds it, keeps its interpreters, and makes its functions callable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::task::JoinHandle;
use udfleet_proto::config::INTERPRETERS;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, FunctionStatus, LoadState, Subtask};

use super::context::Context;
use super::interpreter::{self, Functions, InterpreterActor, InterpreterEvent, InterpreterMessage};
use super::reconcile::WantedEnvironment;
use super::roster::Roster;
use super::scaling::{self, Bounds, LoadSample, Scaler, ScalingStep};
use crate::environment::BuildLog;
use crate::environment::store::Held;
use crate::exchange::ServedFunction;
use crate::link::{Interpreter, Pool};

/// A build that failed is tried again after this: an index may come back.
const BUILD_RETRY: Duration = Duration::from_secs(60);
/// How long batches of a dropped function may go on.
const LEAVE_WITHIN: Duration = Duration::from_secs(30);
/// How often it is looked whether they have ended.
const LEAVE_POLL: Duration = Duration::from_millis(20);
/// Longer than interpreters take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// What environments are told.
#[derive(Debug)]
pub enum EnvironmentMessage {
    /// To hold this, no more and no less.
    Want(WantedEnvironment),
    /// The build has ended.
    Built(Result<Held, Error>),
    /// The time to try a failed build again has come.
    Rebuild,
    /// News of an interpreter.
    Interpreter {
        /// Whose.
        slot: u32,
        /// What.
        event: InterpreterEvent,
    },
    /// The time to start the next interpreter of a slot has come.
    Restart(u32),
    /// The time to try a function again has come.
    Retry(u32),
    /// Nothing of a dropped function is under way any more.
    Left(u32),
    /// To look at the demand for interpreters.
    Look,
}

enum Build {
    Running(JoinHandle<()>),
    Done(Arc<Held>),
    Failed(Error),
}

/// What an environment is started with.
pub(super) struct Arguments {
    pub(super) context: Arc<Context>,
    pub(super) hash: String,
    pub(super) wanted: WantedEnvironment,
}

/// What the actor of one environment knows.
pub(super) struct EnvironmentState {
    context: Arc<Context>,
    hash: String,
    wanted: WantedEnvironment,
    build: Build,
    roster: Roster,
    interpreters: BTreeMap<u32, ActorRef<InterpreterMessage>>,
    /// Slots that wait for their restart.
    waiting: BTreeSet<u32>,
    pool: Arc<Pool>,
    /// How many interpreters each slot has had.
    starts: BTreeMap<u32, u32>,
    /// What the interpreter of each slot was told last.
    told: BTreeMap<u32, BTreeSet<u32>>,
    callable: BTreeSet<u32>,
    scaler: Scaler,
    /// Interpreters that take calls, by slot.
    in_service: BTreeMap<u32, Interpreter>,
    /// The slot whose interpreter is to be stopped once it is idle.
    retiring: Option<u32>,
}

/// Owns one environment.
pub(super) struct EnvironmentActor;

impl Actor for EnvironmentActor {
    type Msg = EnvironmentMessage;
    type State = EnvironmentState;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Arguments,
    ) -> Result<EnvironmentState, ActorProcessingErr> {
        let Arguments { context, hash, wanted } = arguments;
        let mut state = EnvironmentState {
            build: build(&context, &hash, &wanted, &myself),
            context,
            hash,
            wanted: wanted.clone(),
            roster: Roster::default(),
            interpreters: BTreeMap::new(),
            waiting: BTreeSet::new(),
            pool: Pool::new(),
            starts: BTreeMap::new(),
            told: BTreeMap::new(),
            callable: BTreeSet::new(),
            scaler: Scaler::new(wanted.interpreters),
            in_service: BTreeMap::new(),
            retiring: None,
        };
        myself.send_interval(scaling::PERIOD, || EnvironmentMessage::Look);
        state.want(wanted, &myself);
        state.publish();
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut EnvironmentState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            EnvironmentMessage::Want(wanted) => state.want(wanted, &myself),
            EnvironmentMessage::Built(result) => state.built(result, &myself),
            EnvironmentMessage::Rebuild => state.rebuild(&myself),
            EnvironmentMessage::Interpreter { slot, event } => state.news(slot, event, &myself),
            EnvironmentMessage::Restart(slot) => {
                state.waiting.remove(&slot);
            }
            EnvironmentMessage::Retry(number) => state.roster.retry(number),
            EnvironmentMessage::Left(number) => state.left(number),
            EnvironmentMessage::Look if !state.look() => return Ok(()),
            EnvironmentMessage::Look => {}
        }
        state.settle(&myself).await;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut EnvironmentState,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(who, problem) = event {
            tracing::error!(environment = state.hash, "an interpreter's actor failed: {problem}");
            if let Some(slot) = state.slot_of(who.get_id()) {
                let event = InterpreterEvent::Ended { lived: Duration::ZERO, loading: None };
                state.news(slot, event, &myself);
            }
        }
        state.settle(&myself).await;
        Ok(())
    }

    async fn post_stop(
        &self,
        myself: ActorRef<Self::Msg>,
        state: &mut EnvironmentState,
    ) -> Result<(), ActorProcessingErr> {
        state.retire();
        myself.get_cell().stop_children_and_wait(None, Some(STOP_WITHIN)).await;
        for name in state.roster.names() {
            state.context.stats.forget(name);
        }
        Ok(())
    }
}

impl Drop for EnvironmentState {
    /// However the actor ends, nobody waits for it.
    fn drop(&mut self) {
        self.retire();
    }
}

fn build(
    context: &Arc<Context>,
    hash: &str,
    wanted: &WantedEnvironment,
    myself: &ActorRef<EnvironmentMessage>,
) -> Build {
    let (context, hash, myself) = (Arc::clone(context), hash.to_owned(), myself.clone());
    let environment = wanted.environment.clone();
    Build::Running(tokio::spawn(async move {
        let (board, named) = (Arc::clone(&context.board), hash.clone());
        let log: BuildLog = Arc::new(move |line: &str| board.build_line(&named, line));
        let result = context.environments.obtain(&hash, &environment, &log).await;
        // Fails once the environment is not wanted any more.
        let _ = myself.send_message(EnvironmentMessage::Built(result));
    }))
}

impl EnvironmentState {
    fn want(&mut self, wanted: WantedEnvironment, myself: &ActorRef<EnvironmentMessage>) {
        let context = Arc::clone(&self.context);
        let held = |name: &String, definition| {
            self.wanted.functions.get(name).is_some_and(|held| Arc::ptr_eq(held, definition))
        };
        let new = wanted.functions.iter().any(|(name, definition)| !held(name, definition));
        let leaving = self.roster.want(&wanted.functions, || context.next_number());
        self.wanted = wanted;
        self.scaler.bound(self.bounds());
        for number in leaving {
            self.see_off(number, myself);
        }
        if new && matches!(self.build, Build::Failed(_)) {
            self.rebuild(myself);
        }
    }

    /// Between what the number of interpreters may lie: one that a function names is kept.
    fn bounds(&self) -> Bounds {
        let rule = self.context.scaling;
        let least = self.wanted.interpreters.max(1);
        let named = self.wanted.functions.values().any(|function| INTERPRETERS.integer(&function.config) > 0);
        let most = if named { least } else { rule.most_per_environment.max(least) };
        Bounds { least, most, cores: rule.cores.max(least) }
    }

    /// Looks at what interpreters are doing. True where their number changes.
    fn look(&mut self) -> bool {
        let (load, context) = (self.pool.load(), &self.context);
        context.board.load(load.report(&self.hash));
        let (running, _) = context.memory.totals();
        let room = context.memory.room().min(context.limits.max_interpreters.saturating_sub(running));
        let (sample, idle) = (LoadSample::of(&load), context.scaling.idle);
        match self.scaler.look(&sample, self.bounds(), room, idle, Instant::now()) {
            ScalingStep::Keep => {
                self.keep_retiring();
                false
            }
            ScalingStep::Grow(target) => {
                tracing::info!(environment = self.hash, target, ?sample, "calls wait: more interpreters");
                self.keep_retiring();
                true
            }
            ScalingStep::Shrink => self.retire_last(),
        }
    }

    /// Stops the interpreter of the last slot once it is idle; until then it gets no new calls.
    fn retire_last(&mut self) -> bool {
        let slot = self.scaler.target().saturating_sub(1);
        self.retiring = Some(slot);
        let busy = self.in_service.get(&slot).is_some_and(|last| !self.pool.retire(last.pid(), scaling::PERIOD));
        if busy {
            return false;
        }
        self.scaler.shrunk();
        self.retiring = None;
        tracing::info!(environment = self.hash, target = self.scaler.target(), "interpreters are idle: one fewer");
        true
    }

    fn keep_retiring(&mut self) {
        if let Some(kept) = self.retiring.take().and_then(|slot| self.in_service.get(&slot)) {
            self.pool.reinstate(kept.pid());
        }
    }

    /// Tells when nothing of a dropped function is under way any more.
    fn see_off(&self, number: u32, myself: &ActorRef<EnvironmentMessage>) {
        let Some(entry) = self.roster.entry(number) else { return };
        let (stats, myself) = (self.context.stats.function(&entry.name), myself.clone());
        tokio::spawn(async move {
            let idle = async {
                while stats.in_flight() > 0 {
                    tokio::time::sleep(LEAVE_POLL).await;
                }
            };
            // Beyond the bound it is unloaded all the same.
            let _ = tokio::time::timeout(LEAVE_WITHIN, idle).await;
            let _ = myself.send_message(EnvironmentMessage::Left(number));
        });
    }

    /// Open streams of a dropped function learn it with their next batch.
    fn left(&mut self, number: u32) {
        if let Some(entry) = self.roster.entry(number) {
            let message = format!("function {} was dropped, or has left this executor", entry.name);
            let error = Error::new(ErrorCode::FunctionNotFound, message).function(&entry.name);
            self.pool.refuse(number, error.hint("open a new stream: `udfleet functions` lists what there is"));
        }
        if let Some(name) = self.roster.forget(number) {
            self.context.stats.forget(&name);
        }
    }

    fn built(&mut self, result: Result<Held, Error>, myself: &ActorRef<EnvironmentMessage>) {
        self.build = match result {
            Ok(held) => Build::Done(Arc::new(held)),
            Err(error) => {
                tracing::warn!(environment = self.hash, "environment can't be built: {error}");
                myself.send_after(BUILD_RETRY, || EnvironmentMessage::Rebuild);
                Build::Failed(error.with(|info| info.executor.clone_from(&self.context.executor)))
            }
        };
        let context = Arc::clone(&self.context);
        tokio::task::spawn_blocking(move || context.board.built(context.environments.built()));
    }

    fn rebuild(&mut self, myself: &ActorRef<EnvironmentMessage>) {
        if matches!(self.build, Build::Failed(_)) {
            self.build = build(&self.context, &self.hash, &self.wanted, myself);
        }
    }

    fn news(&mut self, slot: u32, event: InterpreterEvent, myself: &ActorRef<EnvironmentMessage>) {
        let executor = self.context.executor.clone();
        let here = move |error: Error| error.with(|info| info.executor = executor);
        let pause = match event {
            InterpreterEvent::Up(interpreter) => {
                self.in_service.insert(slot, interpreter);
                return self.roster.up(slot);
            }
            InterpreterEvent::Stalled => return self.roster.stalled(slot),
            InterpreterEvent::Loaded(number) => return self.roster.loaded(slot, number),
            InterpreterEvent::Unloaded => return self.roster.unloaded(slot),
            InterpreterEvent::Refused(number, error) => {
                if let Some(pause) = self.roster.refused(slot, number, here(error)) {
                    myself.send_after(pause, move || EnvironmentMessage::Retry(number));
                }
                return;
            }
            InterpreterEvent::StartFailed(error) => {
                tracing::warn!(environment = self.hash, "{error}");
                self.roster.start_failed(slot, here(error))
            }
            InterpreterEvent::Ended { lived, loading } => {
                self.roster.ended(slot, lived, loading.map(|(number, error)| (number, here(error))))
            }
        };
        self.interpreters.remove(&slot);
        self.in_service.remove(&slot);
        self.waiting.insert(slot);
        myself.send_after(pause, move || EnvironmentMessage::Restart(slot));
    }

    fn slot_of(&self, actor: ActorId) -> Option<u32> {
        self.interpreters.iter().find(|(_, interpreter)| interpreter.get_id() == actor).map(|(slot, _)| *slot)
    }

    /// Brings interpreters, the function table and the board in line with what is known now.
    async fn settle(&mut self, myself: &ActorRef<EnvironmentMessage>) {
        self.offer();
        if let Build::Done(held) = &self.build {
            let held = Arc::clone(held);
            self.keep_interpreters(&held, myself).await;
        }
        self.publish();
    }

    /// Takes no calls any more, and refuses those that wait.
    fn retire(&mut self) {
        for number in std::mem::take(&mut self.callable) {
            self.withdraw(number);
        }
        if let Build::Running(task) = &self.build {
            task.abort();
        }
        let stopped = Error::new(ErrorCode::NoCapacity, "the function was taken off this executor");
        self.pool.close(stopped.hint("call again: another executor may serve it"));
        self.context.board.functions(self.all(LoadState::Pending, None));
        self.context.board.forget_load(&self.hash);
    }

    /// Functions leave the table before they are unloaded, and enter it after they are loaded.
    fn offer(&mut self) {
        let callable = self.roster.callable();
        for number in self.callable.difference(&callable) {
            self.withdraw(*number);
        }
        for number in callable.difference(&self.callable) {
            self.introduce(*number);
        }
        self.callable = callable;
    }

    fn introduce(&self, number: u32) {
        let Some(entry) = self.roster.entry(number) else { return };
        let (context, pool) = (&self.context, Arc::clone(&self.pool));
        let stats = context.stats.function(&entry.name);
        let definition = entry.definition.as_ref().clone();
        match ServedFunction::new(definition, number, &self.hash, pool, stats, context.executor.clone()) {
            Ok(function) => {
                self.pool.accept(number);
                context.table.insert(function);
            }
            // The coordinator has checked the definition.
            Err(error) => tracing::error!(function = entry.name, "function can't be served: {error}"),
        }
    }

    fn withdraw(&self, number: u32) {
        if let Some(entry) = self.roster.entry(number) {
            self.context.table.remove(&entry.name, number);
            if let Some(error) = self.roster.failure(number) {
                self.pool.refuse(number, error);
            }
        }
    }

    async fn keep_interpreters(&mut self, held: &Arc<Held>, myself: &ActorRef<EnvironmentMessage>) {
        let regular = self.scaler.target();
        let slots = regular + self.roster.spares(regular);
        for slot in 0..slots {
            let functions = self.roster.assigned(slot, regular);
            let numbers: BTreeSet<u32> = functions.keys().copied().collect();
            match self.interpreters.get(&slot) {
                Some(_) if self.told.get(&slot) == Some(&numbers) => {}
                // Fails for one that is ending, which says so itself.
                Some(interpreter) => drop(interpreter.send_message(InterpreterMessage::Want(functions))),
                None if self.waiting.contains(&slot) => continue,
                None => self.start_interpreter(slot, held, functions, myself).await,
            }
            self.told.insert(slot, numbers);
        }
        for (slot, surplus) in self.interpreters.split_off(&slots) {
            self.roster.remove_slot(slot);
            self.in_service.remove(&slot);
            self.told.remove(&slot);
            surplus.stop(None);
        }
    }

    fn subtask(&mut self, slot: u32) -> Subtask {
        let starts = self.starts.entry(slot).or_default();
        let attempt = *starts;
        *starts += 1;
        let max_parallelism = self.context.limits.max_interpreters;
        Subtask { index: slot, parallelism: self.scaler.target(), max_parallelism, attempt }
    }

    async fn start_interpreter(
        &mut self,
        slot: u32,
        held: &Arc<Held>,
        functions: Functions,
        myself: &ActorRef<EnvironmentMessage>,
    ) {
        let arguments = interpreter::Arguments {
            context: Arc::clone(&self.context),
            held: Arc::clone(held),
            pool: Arc::clone(&self.pool),
            slot,
            subtask: self.subtask(slot),
            functions,
            environment: myself.clone(),
        };
        match Actor::spawn_linked(None, InterpreterActor, arguments, myself.get_cell()).await {
            Ok((interpreter, _)) => drop(self.interpreters.insert(slot, interpreter)),
            Err(problem) => {
                let error = Error::internal(format!("an interpreter's actor did not start: {problem}"));
                self.news(slot, InterpreterEvent::StartFailed(error), myself);
            }
        }
    }

    fn publish(&self) {
        let statuses = match &self.build {
            Build::Done(_) => self.roster.statuses(),
            Build::Running(_) => self.all(LoadState::Building, None),
            Build::Failed(error) => self.all(LoadState::Failed, Some(error)),
        };
        self.context.board.functions(statuses);
    }

    fn all(&self, state: LoadState, error: Option<&Error>) -> Vec<FunctionStatus> {
        let status = |name: &String| FunctionStatus {
            function: name.clone(),
            state: state as i32,
            error: error.map(|error| error.clone().function(name).into_info()),
            ..FunctionStatus::default()
        };
        self.wanted.functions.keys().map(status).collect()
    }
}
