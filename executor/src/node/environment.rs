//! The actor of one environment: builds it, keeps its interpreters, and makes its functions callable.

mod interpreters;
mod renewal;
mod serving;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::task::JoinHandle;
use udfleet_proto::config::INTERPRETERS;
use udfleet_proto::environment::of_group as environment_of;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{FunctionDefinition, FunctionStatus, LoadState};

use super::context::Context;
use super::devices::DeviceGrant;
use super::interpreter::{Functions, InterpreterEvent, InterpreterMessage};
use super::reconcile::WantedEnvironment;
use super::roster::Roster;
use super::scaling::{self, Scaler};
use crate::environment::BuildLog;
use crate::environment::store::LeasedEnvironment;
use crate::link::{Interpreter, Pool};
use renewal::Renewal;
pub use renewal::RestartWish;

/// The delay before a failed build is retried: a package index may be reachable again.
const BUILD_RETRY: Duration = Duration::from_secs(60);
/// Longer than interpreters take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// The messages of environments.
#[derive(Debug)]
pub enum EnvironmentMessage {
    /// The desired state.
    Want(WantedEnvironment),
    /// The build has ended.
    Built(Result<LeasedEnvironment, Error>),
    /// A failed build is to be retried.
    Rebuild,
    /// An event of an interpreter.
    Interpreter {
        /// Its slot.
        slot: u32,
        /// The event.
        event: InterpreterEvent,
    },
    /// The next interpreter of a slot is to be started.
    Restart(u32),
    /// A function is to be loaded again.
    Retry(u32),
    /// The last batch of a dropped function has ended.
    Left(u32),
    /// The demand for interpreters is to be checked.
    Look,
    /// Interpreters are to be replaced.
    Renew(RestartWish),
}

/// How many of an environment's functions set a number of interpreters, which is kept then.
#[derive(Debug, Default)]
struct FixedInterpreters(usize);

impl FixedInterpreters {
    /// A function is there that was not, or another, or none any more.
    fn change(&mut self, before: Option<&Arc<FunctionDefinition>>, now: Option<&Arc<FunctionDefinition>>) {
        let set = |function: Option<&Arc<FunctionDefinition>>| {
            usize::from(function.is_some_and(|function| INTERPRETERS.integer(&function.config) > 0))
        };
        self.0 = (self.0 + set(now)).saturating_sub(set(before));
    }
}

enum Build {
    Running(JoinHandle<()>),
    Done(Arc<LeasedEnvironment>),
    Failed(Error),
}

/// What an environment is started with.
pub(super) struct Arguments {
    pub(super) context: Arc<Context>,
    pub(super) hash: String,
    pub(super) wanted: WantedEnvironment,
}

/// The state of the actor.
pub(super) struct EnvironmentState {
    context: Arc<Context>,
    hash: String,
    wanted: WantedEnvironment,
    fixed: FixedInterpreters,
    build: Build,
    roster: Roster,
    interpreters: BTreeMap<u32, ActorRef<InterpreterMessage>>,
    /// Slots that wait for a restart.
    waiting: BTreeSet<u32>,
    pool: Arc<Pool>,
    /// How many interpreters were started in each slot.
    starts: BTreeMap<u32, u32>,
    /// The functions that the interpreter of each slot was last told to serve.
    told: BTreeMap<u32, Functions>,
    scaler: Scaler,
    /// Interpreters that take calls, by slot.
    in_service: BTreeMap<u32, Interpreter>,
    /// Devices of each slot: they stay with it while its interpreter is replaced.
    grants: BTreeMap<u32, Arc<DeviceGrant>>,
    /// An interpreter can't be started because devices are missing.
    starved: bool,
    /// The slot whose interpreter is to be stopped once it is idle.
    retiring: Option<u32>,
    /// Interpreters that are being replaced.
    renewal: Option<Renewal>,
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
            wanted: WantedEnvironment::default(),
            fixed: FixedInterpreters::default(),
            roster: Roster::default(),
            interpreters: BTreeMap::new(),
            waiting: BTreeSet::new(),
            pool: Pool::new(),
            starts: BTreeMap::new(),
            told: BTreeMap::new(),
            scaler: Scaler::new(wanted.interpreters),
            in_service: BTreeMap::new(),
            retiring: None,
            renewal: None,
            grants: BTreeMap::new(),
            starved: false,
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
            EnvironmentMessage::Renew(wish) => state.begin_renewal(wish),
            EnvironmentMessage::Look if !(state.look() | state.renew()) => return Ok(()),
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
    /// Nothing waits for the end of the actor.
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
        let result = context.environments.obtain(environment_of(&hash), &environment, &log).await;
        let result = result.and_then(|mut held| {
            held.user = context.sandbox.users().map(|users| users.lease(&hash)).transpose()?;
            Ok(held)
        });
        // Fails once the environment is no longer desired.
        let _ = myself.send_message(EnvironmentMessage::Built(result));
    }))
}

impl EnvironmentState {
    fn want(&mut self, wanted: WantedEnvironment, myself: &ActorRef<EnvironmentMessage>) {
        let context = Arc::clone(&self.context);
        let changed = wanted.functions.since(&self.wanted.functions, Arc::ptr_eq);
        let new = changed.iter().any(|difference| difference.now.is_some());
        for difference in &changed {
            self.fixed.change(difference.before, difference.now);
        }
        let leaving = self.roster.want(&changed, || context.next_number());
        self.wanted = wanted;
        self.scaler.bound(self.bounds());
        for number in leaving {
            self.see_off(number, myself);
        }
        if new && matches!(self.build, Build::Failed(_)) {
            self.rebuild(myself);
        }
    }

    fn built(&mut self, result: Result<LeasedEnvironment, Error>, myself: &ActorRef<EnvironmentMessage>) {
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

    /// Brings interpreters, the function table and the board in line with the current state.
    async fn settle(&mut self, myself: &ActorRef<EnvironmentMessage>) {
        self.offer();
        if let Build::Done(held) = &self.build {
            let held = Arc::clone(held);
            self.keep_interpreters(&held, myself).await;
        }
        self.publish();
    }

    fn publish(&mut self) {
        let statuses = match &self.build {
            Build::Done(_) if self.starved && self.interpreters.is_empty() => {
                self.roster.tell_anew();
                let (reason, mut statuses) =
                    (self.context.devices.reason(&self.device_needs()), self.roster.statuses());
                statuses.iter_mut().for_each(|status| status.waiting.clone_from(&reason));
                statuses
            }
            Build::Done(_) => self.roster.news(),
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
