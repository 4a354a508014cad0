//! A process of an executor: what it holds, reports and takes in is decided by the executor's own code; building
//! environments and running interpreters is a matter of waiting here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use udfleet_edge::clock;
use udfleet_executor::attach::report::{NodeNumbers, ReportSequence};
use udfleet_executor::metrics::MetricsNews;
use udfleet_executor::node::holding::NodeHoldings;
use udfleet_executor::node::reconcile::Limits;
use udfleet_executor::node::{Board, Desired, DesiredFeed};
use udfleet_proto::VERSION;
use udfleet_proto::v1::coordinator_message::Kind as Down;
use udfleet_proto::v1::executor_message::Kind as Up;
use udfleet_proto::v1::membership_client::MembershipClient;
use udfleet_proto::v1::{
    CoordinatorMessage, ExecutorMessage, FetchDefinitionsRequest, FunctionDefinition, FunctionStatus, Hello, LoadState,
    PythonVersion,
};

use super::coordinator::Coordinator;
use super::link::{Connection, connect};
use super::network::Node;
use super::plant::PlantedBug;
use super::world::World;

const REPORT_PERIOD: Duration = Duration::from_millis(1000);
const REPORT_GAP: Duration = Duration::from_millis(20);
const LIMITS: Limits = Limits { interpreters_per_environment: 1, max_interpreters: 64 };

/// See the module.
pub struct ExecutorProcess {
    /// The executor's.
    pub id: String,
    /// Of this process.
    pub node: Node,
    pub dead: CancellationToken,
    world: Arc<World>,
    board: Board,
    state: Mutex<ProcessState>,
}

#[derive(Default)]
struct ProcessState {
    holdings: NodeHoldings,
    fetching: bool,
    /// Functions that are loaded or on their way, with their definitions.
    loads: BTreeMap<String, Bytes>,
}

impl ExecutorProcess {
    /// Starts the process of a number.
    pub fn start(world: &Arc<World>, id: &str, number: usize) -> Arc<Self> {
        let this = Arc::new(Self {
            id: id.to_owned(),
            node: Node::Executor(number),
            dead: CancellationToken::new(),
            world: Arc::clone(world),
            board: Board::default(),
            state: Mutex::default(),
        });
        for coordinator in 0..world.coordinators() {
            this.until_dead(Arc::clone(&this).keep_attached(coordinator));
        }
        this
    }

    /// Of this process.
    pub fn incarnation(&self) -> String {
        format!("{:?}", self.node)
    }

    /// What it works on.
    pub fn desired(&self) -> Arc<Desired> {
        Arc::clone(self.state.lock().unwrap().holdings.desired())
    }

    /// True where nothing that it shall hold is missing.
    pub fn settled(&self) -> bool {
        self.state.lock().unwrap().holdings.missing().is_empty()
    }

    fn until_dead(&self, task: impl Future<Output = ()> + Send + 'static) {
        let dead = self.dead.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = dead.cancelled() => {}
                () = task => {}
            }
        });
    }

    fn hello(&self) -> Hello {
        Hello {
            executor: self.id.clone(),
            incarnation: self.incarnation(),
            version: VERSION.to_owned(),
            address: "127.0.0.1:1".to_owned(),
            pythons: vec![PythonVersion { version: "3.11.2".to_owned(), ..Default::default() }],
            max_interpreters: LIMITS.max_interpreters,
            interpreters_per_environment: LIMITS.interpreters_per_environment,
            holds_desired_state: self.board.holds_desired_state(),
            ..Hello::default()
        }
    }

    async fn keep_attached(self: Arc<Self>, coordinator: usize) {
        let mut reports = ReportSequence::default();
        loop {
            if let Some(running) = self.world.coordinator(coordinator) {
                let at = Node::Coordinator(coordinator);
                let connection = connect(&self.world.network, self.node, at, &running, self.hello()).await;
                if let Some(connection) = connection {
                    self.world.trace.note(format!("{} {:?} attached to {at:?}", self.id, self.node));
                    self.attached(connection, &running, at, &mut reports).await;
                    self.world.trace.note(format!("{} {:?} detached from {at:?}", self.id, self.node));
                }
            }
            clock::sleep(self.world.network.between(&format!("{:?} pauses {coordinator}", self.node), 100, 1500)).await;
        }
    }

    async fn attached(
        self: &Arc<Self>,
        mut connection: Connection,
        coordinator: &Arc<Coordinator>,
        at: Node,
        reports: &mut ReportSequence,
    ) {
        reports.start_over();
        let mut feed = DesiredFeed::default();
        let mut changes = self.board.changes();
        let (mut next, mut due) = (clock::now(), clock::now());
        loop {
            tokio::select! {
                biased;
                message = connection.down.recv() => {
                    let Some(message) = message else { return };
                    match self.take(message, &mut feed, reports, coordinator, at) {
                        Ok(true) => due = clock::now(),
                        Ok(false) => {}
                        Err(error) => {
                            self.world.trace.note(format!("{} {:?} detaches: {error}", self.id, self.node));
                            return;
                        }
                    }
                }
                changed = changes.changed() => {
                    if changed.is_err() { return }
                    due = clock::now();
                }
                () = clock::sleep_until(due.max(next)) => {
                    let (report, more) = reports.next(&self.board, |_| MetricsNews::default(), NodeNumbers::default());
                    if connection.up.send(ExecutorMessage { kind: Some(Up::Report(report)) }).is_err() {
                        return;
                    }
                    next = clock::now() + REPORT_GAP;
                    due = if more { next } else { clock::now() + REPORT_PERIOD };
                }
            }
        }
    }

    /// True where a report is asked for.
    fn take(
        self: &Arc<Self>,
        message: CoordinatorMessage,
        feed: &mut DesiredFeed,
        reports: &mut ReportSequence,
        coordinator: &Arc<Coordinator>,
        at: Node,
    ) -> Result<bool, udfleet_proto::error::Error> {
        match message.kind {
            Some(Down::Desired(desired)) => {
                if let Some(desired) = feed.take(desired)? {
                    self.desire(desired, coordinator, at);
                }
                Ok(false)
            }
            Some(Down::Report(request)) => {
                reports.asked(request.number);
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    fn desire(self: &Arc<Self>, desired: Desired, coordinator: &Arc<Coordinator>, at: Node) {
        let (term, revision, functions) = (desired.term, desired.revision, desired.functions.len());
        let trace = &self.world.trace;
        {
            let mut state = self.state.lock().unwrap();
            let before = Arc::clone(state.holdings.desired());
            if self.world.planted == PlantedBug::AnyTerm {
                state.holdings = NodeHoldings::default();
            }
            let taken = state.holdings.desire(desired);
            let verb = if taken { "takes" } else { "refuses" };
            trace.note(format!(
                "{} {:?} {verb} term {term} revision {revision} of {functions} functions from {at:?}",
                self.id, self.node
            ));
            if !taken {
                return;
            }
            if (term, revision) <= (before.term, before.revision) {
                let (held_term, held) = (before.term, before.revision);
                trace.violated(format!(
                    "{} took term {term} revision {revision} where it held term {held_term} revision {held}",
                    self.id
                ));
            }
            self.board.desired(state.holdings.desired());
        }
        self.reconcile();
        self.fetch(Arc::clone(coordinator), at);
    }

    fn fetch(self: &Arc<Self>, coordinator: Arc<Coordinator>, at: Node) {
        let missing = {
            let mut state = self.state.lock().unwrap();
            let missing = state.holdings.missing();
            if state.fetching || missing.is_empty() {
                return;
            }
            state.fetching = true;
            missing
        };
        let this = Arc::clone(self);
        self.until_dead(async move {
            let definitions = this.fetched(missing, &coordinator, at).await;
            {
                let mut state = this.state.lock().unwrap();
                state.fetching = false;
                state.holdings.define(definitions);
            }
            this.reconcile();
            clock::sleep(Duration::from_millis(300)).await;
            let other =
                this.world.network.roll(&format!("{:?} asks", this.node), this.world.coordinators() as u64) as usize;
            match this.world.coordinator(other) {
                Some(running) => this.fetch(running, Node::Coordinator(other)),
                None => this.fetch(coordinator, at),
            }
        });
    }

    async fn fetched(
        &self,
        definitions: Vec<Bytes>,
        coordinator: &Arc<Coordinator>,
        at: Node,
    ) -> Vec<(Bytes, FunctionDefinition)> {
        let network = &self.world.network;
        let what = format!("{:?} fetches", self.node);
        clock::sleep(network.delay(&what)).await;
        if coordinator.crashed.is_cancelled() || network.loses(&what) || !network.linked(self.node, at) {
            return Vec::new();
        }
        let mut client = MembershipClient::new(coordinator.membership.clone());
        let Ok(answer) = client.fetch_definitions(FetchDefinitionsRequest { definitions }).await else {
            return Vec::new();
        };
        let (mut answer, mut all) = (answer.into_inner(), Vec::new());
        while let Ok(Some(some)) = answer.message().await {
            let one = |encoded: Bytes| {
                let hash = Bytes::copy_from_slice(&Sha256::digest(&encoded));
                (hash, FunctionDefinition::decode(encoded).unwrap())
            };
            all.extend(some.definitions.into_iter().map(one));
        }
        all
    }

    /// Loads what is wanted and not loaded.
    fn reconcile(self: &Arc<Self>) {
        let mut state = self.state.lock().unwrap();
        state.holdings.reconcile(LIMITS);
        let desired = Arc::clone(state.holdings.desired());
        let wanted = state.holdings.wanted().iter().flat_map(|(_, environment)| environment.functions.keys());
        let wanted: BTreeMap<String, Bytes> =
            wanted.filter_map(|name| Some((name.clone(), desired.functions.get(name)?.definition.clone()))).collect();
        state.loads.retain(|name, definition| wanted.get(name) == Some(definition));
        for (name, definition) in wanted {
            if !state.loads.contains_key(&name) {
                state.loads.insert(name.clone(), definition.clone());
                self.until_dead(Arc::clone(self).load(name, definition));
            }
        }
    }

    async fn load(self: Arc<Self>, function: String, definition: Bytes) {
        clock::sleep(self.world.network.between(&format!("{:?} loads {function}", self.node), 20, 800)).await;
        if self.state.lock().unwrap().loads.get(&function) == Some(&definition) {
            let state = LoadState::Ready as i32;
            self.board.functions(vec![FunctionStatus { function, state, interpreters: 1, ..Default::default() }]);
        }
    }
}
