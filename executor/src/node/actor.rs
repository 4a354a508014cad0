//! The root of the tree: follows the coordinator's desired state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use udfleet_proto::v1::DesiredState;

use super::context::Context;
use super::environment::{self, EnvironmentActor, EnvironmentMessage};
use super::reconcile::{self, Wanted};

/// Longer than environments take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// The longest time between two looks for unused environments.
const COLLECT_PERIOD: Duration = Duration::from_secs(600);

/// The pause before an environment whose actor failed is started anew.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// What the node is told.
#[derive(Debug)]
pub enum NodeMessage {
    /// What the coordinator wants held here.
    Desired(Box<DesiredState>),
    /// The time to start this environment again has come.
    Restart(String),
    /// Look for what is unused on disk.
    Collect,
}

/// State of the actor.
pub struct State {
    context: Arc<Context>,
    wanted: Wanted,
    environments: BTreeMap<String, ActorRef<EnvironmentMessage>>,
}

/// Owns the node.
pub struct NodeActor;

impl Actor for NodeActor {
    type Msg = NodeMessage;
    type State = State;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        context: Arc<Context>,
    ) -> Result<Self::State, ActorProcessingErr> {
        myself.send_interval(COLLECT_PERIOD.min(context.ttl).max(Duration::from_secs(1)), || NodeMessage::Collect);
        Ok(State { context, wanted: Wanted::new(), environments: BTreeMap::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            NodeMessage::Desired(desired) => state.desired(&desired, &myself).await,
            NodeMessage::Restart(hash) => state.start(&hash, &myself).await,
            NodeMessage::Collect => state.collect(),
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut State,
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

    async fn post_stop(&self, myself: ActorRef<Self::Msg>, _: &mut State) -> Result<(), ActorProcessingErr> {
        myself.get_cell().stop_children_and_wait(None, Some(STOP_WITHIN)).await;
        Ok(())
    }
}

fn failed(hash: String, problem: &dyn std::fmt::Display, myself: &ActorRef<NodeMessage>) {
    tracing::error!(environment = hash, "an environment's actor failed and is started anew: {problem}");
    myself.send_after(RESTART_PAUSE, move || NodeMessage::Restart(hash));
}

impl State {
    async fn desired(&mut self, desired: &DesiredState, myself: &ActorRef<NodeMessage>) {
        let wanted = reconcile::wanted(desired, self.context.limits);
        let plan = reconcile::plan(&self.wanted, &wanted);
        tracing::info!(revision = desired.revision, draining = desired.draining, ?plan, "desired state");
        self.wanted = wanted;
        self.context.table.set_draining(desired.draining);
        self.context.board.desired(desired.revision, desired.draining, &self.wanted);
        for hash in &plan.stop {
            if let Some(environment) = self.environments.remove(hash) {
                environment.stop(None);
            }
        }
        for hash in &plan.change {
            if let (Some(environment), Some(wanted)) = (self.environments.get(hash), self.wanted.get(hash)) {
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
        let Some(wanted) = self.wanted.get(hash).cloned() else { return };
        let arguments = environment::Arguments { context: Arc::clone(&self.context), hash: hash.to_owned(), wanted };
        match Actor::spawn_linked(None, EnvironmentActor, arguments, myself.get_cell()).await {
            Ok((actor, _)) => drop(self.environments.insert(hash.to_owned(), actor)),
            Err(problem) => failed(hash.to_owned(), &problem, myself),
        }
    }

    fn collect(&self) {
        let definitions = self.wanted.values().flat_map(|e| e.functions.values());
        let artifacts = definitions.flat_map(|f| f.payload.iter().chain(&f.pickle_support)).map(|a| a.hash.clone());
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
