//! A client and executors around a core that spreads groups by key, without sockets. The executors collect the rows of
//! each key, and the client checks that each key comes back once, with all of its rows in their order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_flight::FlightData;
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;
use prost::Message as _;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use udfleet_proto::error::Error;
use udfleet_proto::ipc;
use udfleet_proto::limits::STREAM_WINDOW;
use udfleet_proto::v1::{BatchHeader, BatchResult, ErrorCode};

use super::{Candidate, Effect, Event, ExchangeCore, ExchangeSpec, Failure, Serving, Source, retry};

#[derive(Debug, Clone)]
struct Scenario {
    /// Interpreters of each executor that is there first.
    interpreters: Vec<u32>,
    from_stage: bool,
    numbered: bool,
    max_attempts: u32,
    seed: u64,
    steps: Vec<Step>,
}

/// Indices count what is there, in turns.
#[derive(Debug, Clone)]
enum Step {
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

#[derive(Debug, Clone)]
struct Server {
    executor: String,
    interpreters: u32,
    in_flight: Arc<AtomicUsize>,
}

struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Candidate for Server {
    type InFlight = InFlight;

    fn executor(&self) -> &str {
        &self.executor
    }

    fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn interpreters(&self) -> u32 {
        self.interpreters
    }

    fn is_blocked(&self) -> bool {
        false
    }

    fn begin(&self) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.in_flight))
    }
}

/// Keys with the numbers of their rows.
type Groups = BTreeMap<Option<i64>, Vec<i64>>;

/// The executor's side of an exchange, and the groups that it holds.
#[derive(Default)]
struct Peer {
    executor: String,
    /// Batches that it has not answered.
    queue: VecDeque<(BatchHeader, RecordBatch)>,
    groups: Groups,
    fed: bool,
    next_sequence: u64,
    input_ended: bool,
    end_answered: bool,
    not_read: bool,
    gone: bool,
}

struct Simulation {
    scenario: Scenario,
    core: ExchangeCore<Server>,
    now: Instant,
    started: Instant,
    servers: Vec<Server>,
    partitions: usize,
    peers: BTreeMap<usize, Peer>,
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

impl Simulation {
    fn new(scenario: Scenario) -> Self {
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
        };
        let serving = Serving { servers: Arc::new([]), unserved: None };
        let mut simulation = Self {
            core: ExchangeCore::new(spec, serving, SmallRng::seed_from_u64(scenario.seed)),
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

    fn step(&mut self, step: Step) {
        match step {
            Step::Send(keys) => self.send(keys),
            Step::Answer(index) => {
                if let Some(id) = self.peer(index, Peer::has_to_say) {
                    self.answer(id);
                }
            }
            Step::Lose(index) => {
                if let Some(id) = self.peer(index, |_| true) {
                    self.lose(id);
                }
            }
            Step::Refuse(index) => {
                if let Some(id) = self.peer(index, |peer| !peer.queue.is_empty()) {
                    self.fails_where_it_holds_groups(id);
                    self.in_band(id, Error::new(ErrorCode::NoCapacity, "draining"));
                }
            }
            Step::Raise(index) => {
                if let Some(id) = self.peer(index, |peer| !peer.queue.is_empty()) {
                    self.raise(id);
                }
            }
            Step::AddExecutor(interpreters) => self.add_executor(interpreters),
            Step::RemoveExecutor(index) if self.servers.len() > 1 => {
                self.servers.remove(index % self.servers.len());
                self.tell_servers();
            }
            Step::RemoveExecutor(_) => {}
            Step::Wait(milliseconds) => self.wait(Duration::from_millis(milliseconds)),
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

    fn peer(&self, index: usize, that: impl Fn(&Peer) -> bool) -> Option<usize> {
        let ids: Vec<usize> = self.peers.iter().filter(|(_, p)| !p.gone && that(p)).map(|(id, _)| *id).collect();
        (!ids.is_empty()).then(|| ids[index % ids.len()])
    }

    // The client.

    fn send(&mut self, keys: Vec<Option<i64>>) {
        if !self.core.wants_input() {
            return;
        }
        let count = keys.len() as i64;
        let batch = batch(keys, self.rows..self.rows + count);
        self.rows += count;
        collect(&mut self.expected, &batch);
        let metadata = match (self.scenario.from_stage, self.scenario.numbered) {
            (true, _) => BatchResult { sequence: self.sent, last: true, ..Default::default() }.encode_to_vec(),
            (false, true) => BatchHeader { sequence: self.sent, attempt: 0 }.encode_to_vec(),
            (false, false) => Vec::new(),
        };
        self.sent += 1;
        self.input(ipc::encode(&batch).unwrap().with_app_metadata(metadata));
    }

    fn input(&mut self, message: FlightData) {
        self.handle(Event::Input { message, results_sequence: None });
    }

    fn hear(&mut self, message: &FlightData) {
        assert!(self.error.is_none() && !self.all_heard, "nothing follows an error, or the end");
        let result = BatchResult::decode(message.app_metadata.clone()).unwrap();
        if let Some(info) = result.error {
            self.error = Some(info.into());
        } else if message.data_header.is_empty() && result.sequence < self.sent {
            assert_eq!((result.sequence, result.last), (self.heard, true), "batches are answered once, in order");
            self.heard += 1;
        } else {
            assert_eq!((result.sequence, self.heard), (self.sent, self.sent), "results come behind all batches");
            collect(&mut self.results, &decoded(message));
            self.all_heard = result.last;
        }
    }

    // Executors.

    fn add_executor(&mut self, interpreters: u32) {
        let executor = format!("e{}", self.servers.len() + self.peers.len());
        self.servers.push(Server { executor, interpreters, in_flight: Arc::default() });
        self.tell_servers();
    }

    fn tell_servers(&mut self) {
        let servers = self.servers.clone().into();
        self.handle(Event::ServersChanged(Ok(Serving { servers, unserved: None })));
    }

    fn receive(&mut self, id: usize, message: &FlightData) {
        let header = BatchHeader::decode(message.app_metadata.clone()).unwrap();
        assert!(header.attempt <= self.scenario.max_attempts, "tries are bounded");
        let batch = decoded(message);
        let mut keys = Groups::new();
        collect(&mut keys, &batch);
        for (other, peer) in self.peers.iter().filter(|(other, peer)| **other != id && !peer.gone) {
            let known = |key: &Option<i64>| {
                peer.groups.contains_key(key)
                    || peer
                        .queue
                        .iter()
                        .any(|(_, batch)| batch.column(0).as_primitive::<Int64Type>().iter().any(|k| k == *key))
            };
            assert!(!keys.keys().any(known), "a key is at {other} and at {id}");
        }
        let peer = self.peers.get_mut(&id).unwrap();
        assert!(!peer.input_ended && !peer.gone, "nothing follows the end of the input");
        peer.next_sequence = header.sequence + 1;
        peer.queue.push_back((header, batch));
        assert!(peer.queue.len() <= STREAM_WINDOW, "the window of an exchange");
    }

    fn answer(&mut self, id: usize) {
        let peer = self.peers.get_mut(&id).unwrap();
        if peer.not_read {
            return;
        }
        let (message, result) = match peer.queue.pop_front() {
            Some((header, batch)) => {
                collect(&mut peer.groups, &batch);
                peer.fed = true;
                (FlightData::new(), BatchResult { sequence: header.sequence, last: true, ..Default::default() })
            }
            None => {
                // Each result is a part of its own.
                let group = peer.groups.pop_first();
                peer.end_answered = peer.groups.is_empty();
                let (key, rows) = group.map_or((None, Vec::new()), |(key, rows)| (key, rows));
                let batch = batch(rows.iter().map(|_| key), rows.iter().copied());
                let (rows, last) = (batch.num_rows() as u64, peer.end_answered);
                let result = BatchResult { sequence: peer.next_sequence, last, rows, ..Default::default() };
                (ipc::encode(&batch).unwrap(), result)
            }
        };
        self.handle(Event::UpstreamMessage(id, message.with_app_metadata(result.encode_to_vec())));
    }

    /// The stream fails where a peer is gone that holds groups, or whose rows have been tried often enough.
    fn fails_where_it_holds_groups(&mut self, id: usize) {
        let peer = self.peers.get_mut(&id).unwrap();
        peer.gone = true;
        self.may_fail |= peer.fed && !peer.end_answered;
    }

    fn lose(&mut self, id: usize) {
        self.fails_where_it_holds_groups(id);
        let (max, peer) = (self.scenario.max_attempts, &self.peers[&id]);
        self.may_fail |= peer.queue.iter().any(|(header, _)| header.attempt >= max);
        // The end is tried as often as a batch.
        self.may_fail |= peer.input_ended && !peer.end_answered;
        match id.is_multiple_of(2) {
            true => self.handle(Event::UpstreamEnded(id)),
            false => {
                let error = Error::new(ErrorCode::ExecutorLost, "gone");
                self.handle(Event::UpstreamFailed(id, Failure::Elsewhere(error)));
            }
        }
    }

    /// The function fails for the last row of a piece, which the client hears of as the row of its own batch.
    fn raise(&mut self, id: usize) {
        let peer = self.peers.get_mut(&id).unwrap();
        let batch = &peer.queue[0].1;
        if batch.num_rows() == 0 {
            return;
        }
        let row = batch.num_rows() - 1;
        let number = batch.column(1).as_primitive::<Int64Type>().value(row);
        self.may_fail = true;
        peer.gone = true;
        let code = ErrorCode::UserCode;
        self.in_band(id, Error::new(code, number.to_string()).with(|info| info.row = Some(row as u64)));
    }

    fn in_band(&mut self, id: usize, error: Error) {
        let result = BatchResult { last: true, error: Some(error.into_info()), ..Default::default() };
        self.handle(Event::UpstreamMessage(id, FlightData::new().with_app_metadata(result.encode_to_vec())));
        self.handle(Event::UpstreamEnded(id));
    }

    // The shell.

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.core.wake_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.handle(Event::Timer);
            if self.core.wake_at() == Some(at) {
                break;
            }
        }
        self.now = until;
        self.may_fail |= self.now - self.started >= retry::REFUSAL_DEADLINE;
    }

    fn handle(&mut self, event: Event<Server>) {
        if self.core.is_finished() {
            return;
        }
        self.core.handle(event, self.now);
        while let Some(effect) = self.core.pop_effect() {
            self.apply(effect);
        }
        while let Some(message) = self.core.pop_response() {
            self.hear(&message);
        }
        let alive = self.peers.values().filter(|peer| !peer.gone).count();
        assert!(alive <= self.partitions.max(1), "{alive} exchanges for {} interpreters", self.partitions);
    }

    fn apply(&mut self, effect: Effect<Server>) {
        match effect {
            Effect::Open { upstream, server, .. } => {
                let peer = Peer { executor: server.executor.clone(), ..Peer::default() };
                assert!(self.peers.insert(upstream, peer).is_none(), "each exchange has a number of its own");
            }
            Effect::Send { upstream, message } => self.receive(upstream, &message),
            Effect::EndInput { upstream } => self.peers.get_mut(&upstream).unwrap().input_ended = true,
            Effect::Read { upstream, on } => self.peers.get_mut(&upstream).unwrap().not_read = !on,
        }
    }
}

impl Peer {
    fn has_to_say(&self) -> bool {
        !self.queue.is_empty() || (self.input_ended && !self.end_answered)
    }
}

fn keys() -> impl Strategy<Value = Vec<Option<i64>>> {
    prop::collection::vec(prop::option::weighted(0.9, 0i64..12), 0..10)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => keys().prop_map(Step::Send),
        24 => (0usize..8).prop_map(Step::Answer),
        1 => (0usize..8).prop_map(Step::Lose),
        1 => (0usize..8).prop_map(Step::Refuse),
        1 => (0usize..8).prop_map(Step::Raise),
        2 => (1u32..3).prop_map(Step::AddExecutor),
        2 => (0usize..8).prop_map(Step::RemoveExecutor),
        3 => (0u64..400).prop_map(Step::Wait),
    ]
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let interpreters = prop::collection::vec(1u32..4, 1..4);
    let steps = prop::collection::vec(step(), 0..120);
    (interpreters, any::<bool>(), any::<bool>(), 1u32..5, any::<u64>(), steps).prop_map(
        |(interpreters, from_stage, numbered, max_attempts, seed, steps)| Scenario {
            interpreters,
            from_stage,
            numbered,
            max_attempts,
            seed,
            steps,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn each_key_is_aggregated_once_with_all_of_its_rows_or_the_stream_fails_for_a_reason(scenario in scenario()) {
        Simulation::new(scenario).run();
    }
}

fn calm(interpreters: Vec<u32>, batches: Vec<Vec<Option<i64>>>) -> Simulation {
    let steps = batches.into_iter().map(Step::Send).collect();
    Simulation::new(Scenario { interpreters, from_stage: false, numbered: true, max_attempts: 1, seed: 1, steps })
}

#[test]
fn partitions_are_shared_out_by_interpreters() {
    let mut simulation = calm(vec![1, 3], vec![(0..100).map(Some).collect()]);
    simulation.step(Step::Send((0..100).map(Some).collect()));
    let mut held = BTreeMap::<&str, usize>::new();
    simulation.peers.values().for_each(|peer| *held.entry(&peer.executor).or_default() += 1);
    assert_eq!(held.into_values().collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn few_keys_and_no_rows_take_one_exchange() {
    for keys in [vec![], vec![Some(1); 5]] {
        let mut simulation = calm(vec![2, 2], vec![]);
        simulation.step(Step::Send(keys));
        assert_eq!(simulation.peers.len(), 1, "that which the schema went to");
        simulation.settle();
    }
    calm(vec![2, 2], vec![]).settle();
}

#[test]
fn an_error_names_the_row_of_the_clients_batch() {
    let mut simulation = calm(vec![2, 2], vec![]);
    simulation.step(Step::Send((0..50).map(Some).collect()));
    for _ in 0..8 {
        simulation.step(Step::Answer(0));
    }
    simulation.step(Step::Send((0..50).map(Some).collect()));
    simulation.step(Step::Raise(1));
    simulation.settle();
    let error = simulation.error.unwrap();
    let number: u64 = error.info().message.parse().unwrap();
    assert_eq!((error.info().row, error.info().sequence), (Some(number % 50), Some(number / 50)));
}
