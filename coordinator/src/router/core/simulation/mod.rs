//! A client and executors around the core, without sockets. They check invariants at each message.

mod client;
mod executors;
mod messages;
pub(super) mod server;
mod shell;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{BatchResult, ErrorCode};

use super::simulated_shell::SimulatedShell as _;
use super::{Event, ExchangeCore, ExchangeSpec, Serving, Source};
use client::SentByClient;
use executors::SimulatedExecutor;
use messages::Messages;
use server::CandidateExecutor;

/// After which an executor counts as silent: longer than any wait.
const SILENCE: Duration = Duration::from_millis(1200);

/// What a stream is, and what happens to it.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub executors: usize,
    /// Messages of each answer.
    pub parts: u64,
    pub aggregates: bool,
    pub dictionaries: bool,
    pub from_stage: bool,
    pub deterministic: bool,
    pub max_attempts: u32,
    pub seed: u64,
    pub steps: Vec<Step>,
}

/// Indices count what is there, in turns.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Send {
        large: bool,
        dictionary: bool,
    },
    EndInput,
    /// An executor says the next message that it has to say.
    Answer {
        upstream: usize,
        large: bool,
    },
    Lose {
        upstream: usize,
    },
    Refuse {
        upstream: usize,
        /// Because of long calls there.
        busy: bool,
    },
    /// An executor reports that an interpreter is free.
    ReportFree {
        index: usize,
    },
    /// An executor hangs: it says nothing any more.
    Hang {
        upstream: usize,
    },
    /// The function raises.
    Raise {
        upstream: usize,
    },
    AddExecutor,
    /// The executors that join from now on are of a version that does not say how streams stand.
    JoinOlder,
    DropFunction,
    RemoveExecutor {
        index: usize,
    },
    Wait {
        milliseconds: u64,
    },
}

pub(super) struct Simulation {
    scenario: Scenario,
    core: ExchangeCore<CandidateExecutor>,
    now: Instant,
    started: Instant,
    servers: Vec<CandidateExecutor>,
    names: usize,
    older: bool,
    peers: BTreeMap<usize, SimulatedExecutor>,
    given: Vec<SentByClient>,
    dictionary: Option<Bytes>,
    schema_sent: bool,
    input_ended: bool,
    /// What the client has been told.
    heard: Vec<BatchResult>,
    /// Parts of the answer that it hears now.
    next_part: u64,
    next_answer: usize,
    error: Option<Error>,
    /// Something has happened that an error may follow from.
    may_fail: bool,
    /// An executor was lost, or refused for another reason than long calls: those may last as long as they like.
    turned_away: bool,
    /// The exchange whose executor holds groups.
    groups_at: Option<usize>,
    large: Bytes,
    messages: Messages,
}

impl Simulation {
    pub fn new(scenario: Scenario) -> Self {
        let now = Instant::now();
        let spec = ExchangeSpec {
            name: "f@1".to_owned(),
            function: "f@1".to_owned(),
            producer: "p".to_owned(),
            source: if scenario.from_stage { Source::Stage } else { Source::Client },
            result: Schema::new(vec![Field::new("a", DataType::Int64, true)]),
            inputs: None,
            max_attempts: scenario.max_attempts,
            deterministic: scenario.deterministic,
            aggregates: scenario.aggregates,
            partition_by: Vec::new(),
            after_aggregation: false,
            progress_every: None,
        };
        let random = SmallRng::seed_from_u64(scenario.seed);
        let serving = Serving { servers: Arc::new([]), unserved: None };
        let mut simulation = Self {
            core: ExchangeCore::new(spec, serving, SILENCE, random),
            messages: Messages::new(scenario.dictionaries),
            now,
            started: now,
            servers: Vec::new(),
            names: 0,
            older: false,
            peers: BTreeMap::new(),
            given: Vec::new(),
            dictionary: None,
            schema_sent: false,
            input_ended: false,
            heard: Vec::new(),
            next_part: 0,
            next_answer: 0,
            error: None,
            may_fail: false,
            turned_away: false,
            groups_at: None,
            large: Bytes::from(vec![0; 24 << 20]),
            scenario,
        };
        assert!(simulation.core.pop_response().unwrap().app_metadata.is_empty(), "the schema comes first");
        (0..simulation.scenario.executors).for_each(|_| simulation.add_executor());
        simulation
    }

    /// All that happens, and then whatever leads to the end.
    pub fn run(mut self) {
        for step in self.scenario.steps.clone() {
            if self.core.is_finished() {
                break;
            }
            self.step(&step);
        }
        self.settle();
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Send { large, dictionary } => self.send(*large, *dictionary),
            Step::EndInput => self.end_input(),
            Step::Answer { upstream, large } => {
                if let Some(id) = self.peer(*upstream, |peer| peer.has_to_say()) {
                    self.answer(id, *large);
                }
            }
            Step::Lose { upstream } => {
                if let Some(id) = self.peer(*upstream, |_| true) {
                    self.lose(id);
                }
            }
            Step::Refuse { upstream, busy } => {
                if let Some(id) = self.peer(*upstream, |peer| !peer.queue.is_empty() && peer.said == 0) {
                    self.refuse(id, *busy);
                }
            }
            Step::ReportFree { index } => {
                if let Some(server) = self.servers.get(index % self.servers.len().max(1)) {
                    server.report_free();
                }
            }
            Step::Hang { upstream } => {
                if let Some(id) = self.peer(*upstream, |_| true) {
                    self.peers.get_mut(&id).unwrap().hangs = true;
                }
            }
            Step::Raise { upstream } => {
                if let Some(id) = self.peer(*upstream, |peer| !peer.queue.is_empty()) {
                    self.may_fail = true;
                    self.in_band(id, Error::new(ErrorCode::UserCode, "ValueError"));
                }
            }
            Step::AddExecutor => self.add_executor(),
            Step::JoinOlder => self.older = true,
            Step::DropFunction => {
                self.may_fail = true;
                self.handle(Event::ServersChanged(Err(Error::new(ErrorCode::FunctionNotFound, "dropped"))));
            }
            Step::RemoveExecutor { index } => {
                if self.servers.len() > 1 {
                    let index = index % self.servers.len();
                    self.servers.remove(index);
                    self.tell_servers();
                }
            }
            Step::Wait { milliseconds } => {
                self.tell_progress();
                self.wait(Duration::from_millis(*milliseconds));
            }
        }
    }

    /// Whoever is there answers all, until the stream ends.
    fn settle(&mut self) {
        self.end_input();
        let mut quiet = 0;
        while !self.core.is_finished() {
            let before = (self.heard.len(), self.peers.values().filter(|peer| peer.gone).count());
            if let Some(id) = self.peer(0, |peer| peer.has_to_say() && !peer.not_read) {
                self.answer(id, false);
            } else if let Some(id) = self.peer(0, |peer| peer.input_ended && peer.queue.is_empty() && !peer.hangs) {
                self.end(id);
            } else {
                self.tell_progress();
                self.wait(Duration::from_millis(100));
            }
            let after = (self.heard.len(), self.peers.values().filter(|peer| peer.gone).count());
            quiet = if before == after { quiet + 1 } else { 0 };
            assert!(quiet < 2000, "the stream does not end: {} of {} answered", self.next_answer, self.given.len());
        }
        match &self.error {
            Some(error) => assert!(self.may_fail, "failed without a reason: {error}"),
            None => {
                self.pass_silent();
                let answers = self.given.len() + usize::from(self.scenario.aggregates);
                assert_eq!((self.next_answer, self.next_part), (answers, 0), "all is answered");
                assert!(self.peers.values().all(|peer| peer.input_ended), "each exchange is closed");
            }
        }
    }

    fn peer(&self, index: usize, that: impl Fn(&SimulatedExecutor) -> bool) -> Option<usize> {
        let ids: Vec<usize> = self.peers.iter().filter(|(_, p)| !p.gone && that(p)).map(|(id, _)| *id).collect();
        (!ids.is_empty()).then(|| ids[index % ids.len()])
    }
}
