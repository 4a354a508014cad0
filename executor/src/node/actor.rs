//! The root of the tree: follows the desired state of the coordinators' leader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use udfleet_proto::v1::FunctionDefinition;

use super::context::Context;
use super::desired::Desired;
use super::environment::{self, EnvironmentActor, EnvironmentMessage, RestartWish};
use super::fetch::{Fetching, fetch};
use super::holding::NodeHoldings;

/// Longer than environments take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// The longest time between two looks for unused environments.
const COLLECT_PERIOD: Duration = Duration::from_secs(600);

/// The pause before an environment whose actor failed is started anew.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What the node is told.
#[derive(Debug)]
pub enum NodeMessage {
    /// What a coordinator that leads, or has led, wants held here.
    Desired(Box<Desired>),
    /// Definitions have come from the coordinator, by their hashes.
    Defined(Vec<(Bytes, FunctionDefinition)>),
    /// A fetch of definitions has ended.
    Fetched,
    /// The time to start this environment again has come.
    Restart(String),
    /// Look for what is unused on disk.
    Collect,
    /// Replace interpreters.
    Renew(RestartWish),
}

/// What the node knows.
pub struct NodeState {
    context: Arc<Context>,
    holdings: NodeHoldings,
    fetching: Fetching,
    environments: BTreeMap<String, ActorRef<EnvironmentMessage>>,
}

/// Owns the node.
pub struct NodeActor;

impl Actor for NodeActor {
    type Msg = NodeMessage;
    type State = NodeState;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        context: Arc<Context>,
    ) -> Result<Self::State, ActorProcessingErr> {
        myself.send_interval(COLLECT_PERIOD.min(context.ttl).max(Duration::from_secs(1)), || NodeMessage::Collect);
        Ok(NodeState {
            context,
            holdings: NodeHoldings::default(),
            fetching: Fetching::default(),
            environments: BTreeMap::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut NodeState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            NodeMessage::Desired(desired) => state.desired(*desired, &myself).await,
            NodeMessage::Defined(definitions) => state.defined(definitions, &myself).await,
            NodeMessage::Fetched => {
                state.fetching.ended();
                state.fetch(&myself);
            }
            NodeMessage::Restart(hash) => state.start(&hash, &myself).await,
            NodeMessage::Collect => state.collect(),
            NodeMessage::Renew(wish) => {
                for environment in state.environments.values() {
                    // Fails for one that is ending, whose interpreters end anyway.
                    let _ = environment.send_message(EnvironmentMessage::Renew(wish.clone()));
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut NodeState,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(who, problem) = event {
            let held = state.environments.iter().find(|(_, actor)| actor.get_id() == who.get_id());
            if let Some(hash) = held.map(|(hash, _)| hash.clone()) {
                state.environments.remove(&hash);
                failed(hash, &problem, &myself);
            }
        }
        Ok(())
    }

    async fn post_stop(&self, myself: ActorRef<Self::Msg>, _: &mut NodeState) -> Result<(), ActorProcessingErr> {
        myself.get_cell().stop_children_and_wait(None, Some(STOP_WITHIN)).await;
        Ok(())
    }
}

fn failed(hash: String, problem: &dyn std::fmt::Display, myself: &ActorRef<NodeMessage>) {
    tracing::error!(environment = hash, "an environment's actor failed and is started anew: {problem}");
    myself.send_after(RESTART_PAUSE, move || NodeMessage::Restart(hash));
}

impl NodeState {
    async fn desired(&mut self, desired: Desired, myself: &ActorRef<NodeMessage>) {
        let (term, revision, draining) = (desired.term, desired.revision, desired.draining);
        if !self.holdings.desire(desired) {
            let held = self.holdings.desired();
            let (held_term, held_revision) = (held.term, held.revision);
            tracing::warn!(term, revision, held_term, held_revision, "desired state that is not newer is refused");
            return;
        }
        tracing::info!(term, revision, draining, "desired state");
        self.context.table.set_draining(draining);
        self.context.board.desired(self.holdings.desired());
        self.reconcile(myself).await;
        self.fetch(myself);
    }

    /// Those that are not needed any more are ignored.
    async fn defined(&mut self, definitions: Vec<(Bytes, FunctionDefinition)>, myself: &ActorRef<NodeMessage>) {
        if self.holdings.define(definitions) {
            self.fetching.progressed();
        }
        self.reconcile(myself).await;
    }

    /// Fetches the definitions that are missing, unless that is under way.
    fn fetch(&mut self, myself: &ActorRef<NodeMessage>) {
        let missing = self.holdings.missing();
        if missing.is_empty() {
            return;
        }
        if let Some(pause) = self.fetching.begin() {
            tokio::spawn(fetch(self.context.definitions.clone(), missing, pause, myself.clone()));
        }
    }

    /// Makes the environments what they shall be.
    async fn reconcile(&mut self, myself: &ActorRef<NodeMessage>) {
        let plan = self.holdings.reconcile(self.context.limits);
        tracing::debug!(revision = self.holdings.desired().revision, ?plan, "reconciled");
        for hash in &plan.stop {
            if let Some(environment) = self.environments.remove(hash) {
                environment.stop(None);
            }
        }
        for hash in &plan.change {
            if let (Some(environment), Some(wanted)) = (self.environments.get(hash), self.holdings.wanted().get(hash)) {
                // Fails for one that has just failed, which is started anew with what is wanted by then.
                let _ = environment.send_message(EnvironmentMessage::Want(wanted.clone()));
            }
        }
        for hash in &plan.start {
            self.start(hash, myself).await;
        }
    }

    async fn start(&mut self, hash: &str, myself: &ActorRef<NodeMessage>) {
        if self.environments.contains_key(hash) {
            return;
        }
        let Some(wanted) = self.holdings.wanted().get(hash).cloned() else { return };
        let arguments = environment::Arguments { context: Arc::clone(&self.context), hash: hash.to_owned(), wanted };
        match Actor::spawn_linked(None, EnvironmentActor, arguments, myself.get_cell()).await {
            Ok((actor, _)) => drop(self.environments.insert(hash.to_owned(), actor)),
            Err(problem) => failed(hash.to_owned(), &problem, myself),
        }
    }

    fn collect(&self) {
        let definitions = self.holdings.wanted().iter().flat_map(|(_, e)| e.functions.iter().map(|(_, f)| f));
        let artifacts =
            definitions.flat_map(|f| f.payload.iter().chain(&f.pickle_support).chain(&f.parts)).map(|a| a.hash.clone());
        let (artifacts, context): (BTreeSet<String>, _) = (artifacts.collect(), Arc::clone(&self.context));
        tokio::task::spawn_blocking(move || {
            let removed = context.environments.collect(context.ttl);
            context.artifacts.collect(&artifacts, context.ttl);
            if !removed.is_empty() {
                tracing::info!(?removed, "unused environments removed");
                context.board.built(context.environments.built());
            }
        });
    }
}
