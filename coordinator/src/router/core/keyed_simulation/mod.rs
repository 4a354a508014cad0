//! A client and executors around a core that spreads groups by key, without sockets. The executors collect the rows of
//! each key, and the client checks that each key comes back once, with all of its rows in their order.

mod client;
mod executors;
mod properties;
mod shell;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_flight::FlightData;
use arrow_schema::{DataType, Field, Schema};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use udfleet_proto::error::Error;
use udfleet_proto::ipc;
use udfleet_proto::v1::ErrorCode;

use super::simulated_shell::SimulatedShell as _;
use super::simulation::server::CandidateExecutor;
use super::{Event, ExchangeCore, ExchangeSpec, Serving, Source};
use executors::AggregatingExecutor;

#[derive(Debug, Clone)]
struct KeyedScenario {
    /// Interpreters of each executor that is there first.
    interpreters: Vec<u32>,
    from_stage: bool,
    numbered: bool,
    max_attempts: u32,
    seed: u64,
    steps: Vec<KeyedStep>,
}

/// Indices count what is there, in turns.
#[derive(Debug, Clone)]
enum KeyedStep {
    /// A batch of rows with these keys.
    Send(Vec<Option<i64>>),
    Answer(usize),
    Lose(usize),
    Refuse(usize),
    Raise(usize),
    AddExecutor(u32),
    RemoveExecutor(usize),
    Wait(u64),
}

/// Longer than any schedule: here no executor hangs.
const SILENCE: Duration = Duration::from_secs(86_400);

/// Keys with the numbers of their rows.
type Groups = BTreeMap<Option<i64>, Vec<i64>>;

struct KeyedSimulation {
    scenario: KeyedScenario,
    core: ExchangeCore<CandidateExecutor>,
    now: Instant,
    started: Instant,
    servers: Vec<CandidateExecutor>,
    partitions: usize,
    peers: BTreeMap<usize, AggregatingExecutor>,
    /// What should come.
    expected: Groups,
    rows: i64,
    /// Batches that the client has sent, and answers to them that it has heard.
    sent: u64,
    heard: u64,
    results: Groups,
    ended: bool,
    all_heard: bool,
    error: Option<Error>,
    may_fail: bool,
}

fn schema() -> Schema {
    Schema::new(vec![Field::new("k", DataType::Int64, true), Field::new("row", DataType::Int64, true)])
}

fn batch(keys: impl IntoIterator<Item = Option<i64>>, rows: impl IntoIterator<Item = i64>) -> RecordBatch {
    let keys: Int64Array = keys.into_iter().collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(Int64Array::from_iter_values(rows))];
    RecordBatch::try_new(Arc::new(schema()), columns).unwrap()
}

fn decoded(message: &FlightData) -> RecordBatch {
    ipc::decode(&Arc::new(schema()), &message.data_header, message.data_body.clone()).unwrap()
}

/// Adds the rows of a batch.
fn collect(groups: &mut Groups, batch: &RecordBatch) {
    let (keys, rows) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Int64Type>());
    for (key, row) in keys.iter().zip(rows.values()) {
        groups.entry(key).or_default().push(*row);
    }
}

impl KeyedSimulation {
    fn new(scenario: KeyedScenario) -> Self {
        let now = Instant::now();
        let spec = ExchangeSpec {
            name: "f@1".to_owned(),
            function: "f@1".to_owned(),
            producer: "p".to_owned(),
            source: if scenario.from_stage { Source::Stage } else { Source::Client },
            result: schema(),
            inputs: Some(schema()),
            max_attempts: scenario.max_attempts,
            deterministic: true,
            aggregates: true,
            partition_by: vec![0],
            after_aggregation: false,
            progress_every: None,
        };
        let serving = Serving { servers: Arc::new([]), unserved: None };
        let mut simulation = Self {
            core: ExchangeCore::new(spec, serving, SILENCE, SmallRng::seed_from_u64(scenario.seed)),
            now,
            started: now,
            servers: Vec::new(),
            partitions: scenario.interpreters.iter().sum::<u32>() as usize,
            peers: BTreeMap::new(),
            expected: Groups::new(),
            rows: 0,
            sent: 0,
            heard: 0,
            results: Groups::new(),
            ended: false,
            all_heard: false,
            error: None,
            may_fail: false,
            scenario,
        };
        simulation.core.pop_response().unwrap();
        for interpreters in simulation.scenario.interpreters.clone() {
            simulation.add_executor(interpreters);
        }
        simulation.input(ipc::schema_message(&schema()));
        simulation
    }

    fn run(mut self) {
        for step in self.scenario.steps.clone() {
            if self.core.is_finished() {
                break;
            }
            self.step(step);
        }
        self.settle();
    }

    fn step(&mut self, step: KeyedStep) {
        match step {
            KeyedStep::Send(keys) => self.send(keys),
            KeyedStep::Answer(index) => {
                if let Some(id) = self.peer(index, AggregatingExecutor::has_to_say) {
                    self.answer(id);
                }
            }
            KeyedStep::Lose(index) => {
                if let Some(id) = self.peer(index, |_| true) {
                    self.lose(id);
                }
            }
            KeyedStep::Refuse(index) => {
                if let Some(id) = self.peer(index, |peer| !peer.queue.is_empty()) {
                    self.fails_where_it_holds_groups(id);
                    self.in_band(id, Error::new(ErrorCode::NoCapacity, "draining"));
                }
            }
            KeyedStep::Raise(index) => {
                if let Some(id) = self.peer(index, |peer| !peer.queue.is_empty()) {
                    self.raise(id);
                }
            }
            KeyedStep::AddExecutor(interpreters) => self.add_executor(interpreters),
            KeyedStep::RemoveExecutor(index) if self.servers.len() > 1 => {
                self.servers.remove(index % self.servers.len());
                self.tell_servers();
            }
            KeyedStep::RemoveExecutor(_) => {}
            KeyedStep::Wait(milliseconds) => self.wait(Duration::from_millis(milliseconds)),
        }
    }

    /// Whoever is there answers all, until the stream ends.
    fn settle(&mut self) {
        self.ended = true;
        self.handle(Event::InputEnded);
        for turn in 0.. {
            if self.core.is_finished() {
                break;
            }
            assert!(turn < 20_000, "the stream does not end");
            if let Some(id) = self.peer(0, |peer| peer.has_to_say() && !peer.not_read) {
                self.answer(id);
            } else if let Some(id) = self.peer(0, |peer| peer.input_ended && !peer.has_to_say()) {
                self.peers.get_mut(&id).unwrap().gone = true;
                self.handle(Event::UpstreamEnded(id));
            } else {
                self.wait(Duration::from_millis(100));
            }
        }
        match &self.error {
            Some(error) => assert!(self.may_fail, "failed without a reason: {error}"),
            None => {
                assert!(self.all_heard, "the last part of the results says so");
                assert_eq!(self.heard, self.sent, "each batch is answered");
                assert_eq!(self.results, self.expected, "each key once, with all its rows in order");
            }
        }
    }

    fn peer(&self, index: usize, that: impl Fn(&AggregatingExecutor) -> bool) -> Option<usize> {
        let ids: Vec<usize> = self.peers.iter().filter(|(_, p)| !p.gone && that(p)).map(|(id, _)| *id).collect();
        (!ids.is_empty()).then(|| ids[index % ids.len()])
    }
}
