//! A client and executors around the core, without sockets. They check invariants at each message.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow_array::types::Int32Type;
use arrow_array::{DictionaryArray, Int64Array, RecordBatch};
use arrow_flight::FlightData;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use prost::Message as _;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use udfleet_proto::error::Error;
use udfleet_proto::limits::STREAM_WINDOW;
use udfleet_proto::v1::{BatchHeader, BatchResult, BatchTiming, ErrorCode};

use super::batches::size;
use super::{
    Candidate, Effect, Event, ExchangeCore, ExchangeSpec, Failure, MAX_HELD_BYTES, MAX_IN_FLIGHT, Serving, Source,
};

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
    },
    /// The function raises.
    Raise {
        upstream: usize,
    },
    AddExecutor,
    DropFunction,
    RemoveExecutor {
        index: usize,
    },
    Wait {
        milliseconds: u64,
    },
}

#[derive(Debug, Clone)]
struct Server {
    executor: String,
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
        2
    }

    fn is_blocked(&self) -> bool {
        false
    }

    fn begin(&self) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.in_flight))
    }
}

/// A batch of the client.
struct Given {
    body: Bytes,
    size: usize,
    /// The dictionary in force.
    dictionary: Option<Bytes>,
    /// Tries that count.
    losses: u32,
    /// The core has its whole answer.
    answered: bool,
    /// Bytes of parts that the core has and the client has not.
    early: usize,
}

/// The executor's side of an exchange.
#[derive(Default)]
struct Peer {
    schema: bool,
    dictionary: Option<Bytes>,
    /// Indices of batches, oldest first; that of the end is one more than there are.
    queue: VecDeque<usize>,
    /// What has been said of the oldest one's answer.
    said: u64,
    last_sequence: Option<u64>,
    input_ended: bool,
    end_queued: bool,
    not_read: bool,
    gone: bool,
}

pub(super) struct Simulation {
    scenario: Scenario,
    core: ExchangeCore<Server>,
    now: Instant,
    started: Instant,
    servers: Vec<Server>,
    names: usize,
    peers: BTreeMap<usize, Peer>,
    given: Vec<Given>,
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
    /// The exchange whose executor holds groups.
    groups_at: Option<usize>,
    large: Bytes,
    messages: Messages,
}

/// Arrow messages, made once.
struct Messages {
    schema: FlightData,
    dictionary: FlightData,
    batch: FlightData,
}

impl Messages {
    fn new(dictionaries: bool) -> Self {
        let batch = if dictionaries {
            let column: DictionaryArray<Int32Type> = vec!["a", "b"].into_iter().collect();
            let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let schema = Schema::new(vec![Field::new("d", kind, true)]);
            RecordBatch::try_new(Arc::new(schema), vec![Arc::new(column)]).unwrap()
        } else {
            RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as _)]).unwrap()
        };
        let (mut tracker, options) = (DictionaryTracker::new(false), IpcWriteOptions::default());
        let generator = IpcDataGenerator::default();
        let schema = generator.schema_to_bytes_with_dictionary_tracker(&batch.schema(), &mut tracker, &options);
        let encoded = generator.encode(&batch, &mut tracker, &options, &mut Default::default());
        let (mut dictionaries, message) = encoded.unwrap();
        Self {
            schema: FlightData::from(schema),
            dictionary: dictionaries.pop().map(FlightData::from).unwrap_or_default(),
            batch: message.into(),
        }
    }
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
        };
        let random = SmallRng::seed_from_u64(scenario.seed);
        let serving = Serving { servers: Arc::new([]), unserved: None };
        let mut simulation = Self {
            core: ExchangeCore::new(spec, serving, random),
            messages: Messages::new(scenario.dictionaries),
            now,
            started: now,
            servers: Vec::new(),
            names: 0,
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
            Step::Refuse { upstream } => {
                if let Some(id) = self.peer(*upstream, |peer| !peer.queue.is_empty() && peer.said == 0) {
                    self.refuse(id);
                }
            }
            Step::Raise { upstream } => {
                if let Some(id) = self.peer(*upstream, |peer| !peer.queue.is_empty()) {
                    self.may_fail = true;
                    self.in_band(id, Error::new(ErrorCode::UserCode, "ValueError"));
                }
            }
            Step::AddExecutor => self.add_executor(),
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
            Step::Wait { milliseconds } => self.wait(Duration::from_millis(*milliseconds)),
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
            } else if let Some(id) = self.peer(0, |peer| peer.input_ended && peer.queue.is_empty()) {
                self.end(id);
            } else {
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

    fn peer(&self, index: usize, that: impl Fn(&Peer) -> bool) -> Option<usize> {
        let ids: Vec<usize> = self.peers.iter().filter(|(_, p)| !p.gone && that(p)).map(|(id, _)| *id).collect();
        (!ids.is_empty()).then(|| ids[index % ids.len()])
    }

    // The client.

    /// What the client calls a batch, whether it is the last of that name, and what executors call it.
    fn names(&self, index: usize) -> (u64, bool, u64) {
        let index = index as u64;
        if self.scenario.from_stage { (index / 2, index % 2 == 1, index) } else { (5 + 3 * index, true, 5 + 3 * index) }
    }

    fn send(&mut self, large: bool, dictionary: bool) {
        if self.input_ended || !self.core.wants_input() {
            return;
        }
        if !self.schema_sent {
            self.schema_sent = true;
            self.input(self.messages.schema.clone());
        }
        let index = self.given.len();
        if self.scenario.dictionaries && (dictionary || self.dictionary.is_none()) {
            let body = Bytes::from(format!("dictionary of {index}"));
            self.dictionary = Some(body.clone());
            self.input(FlightData { data_body: body, ..self.messages.dictionary.clone() });
        }
        if self.error.is_some() || !self.core.wants_input() {
            return;
        }
        self.check_room();
        let (sequence, last, _) = self.names(index);
        let metadata = match self.scenario.from_stage {
            true => BatchResult { sequence, last, ..Default::default() }.encode_to_vec(),
            false => BatchHeader { sequence, attempt: 0 }.encode_to_vec(),
        };
        let body = if large { self.large.slice(index..) } else { Bytes::from(vec![1; 64]) };
        let message = FlightData { data_body: body.clone(), ..self.messages.batch.clone() };
        let given = Given {
            size: size(&message),
            body,
            dictionary: self.dictionary.clone(),
            losses: 0,
            answered: false,
            early: 0,
        };
        self.given.push(given);
        self.input(message.with_app_metadata(metadata));
    }

    /// Aggregated batches are answered without rows, and those that do not close theirs not at all.
    fn pass_silent(&mut self) {
        while self.scenario.aggregates
            && self.given.get(self.next_answer).is_some_and(|given| given.answered)
            && !self.names(self.next_answer).1
        {
            self.next_answer += 1;
        }
    }

    /// The bounds, counted independently of the core.
    fn check_room(&mut self) {
        self.pass_silent();
        let outstanding = self.given.len() - self.next_answer;
        let pinned = self.scenario.aggregates || self.scenario.dictionaries;
        let executors = if pinned { 1 } else { self.servers.len() };
        let input: usize = self.given.iter().filter(|given| !given.answered).map(|given| given.size).sum();
        let window = (STREAM_WINDOW * executors).min(MAX_IN_FLIGHT);
        let within = outstanding < window && input + self.early() < MAX_HELD_BYTES;
        assert!(outstanding == 0 || within, "{outstanding} batches, {input} bytes of input, {} early", self.early());
    }

    fn early(&self) -> usize {
        self.given.iter().map(|given| given.early).sum()
    }

    fn input(&mut self, message: FlightData) {
        self.handle(Event::Input { message, results_sequence: None });
    }

    fn end_input(&mut self) {
        if !self.input_ended {
            self.input_ended = true;
            self.handle(Event::InputEnded);
        }
    }

    fn hear(&mut self, message: FlightData) {
        assert!(self.error.is_none(), "nothing follows an error");
        let result = BatchResult::decode(message.app_metadata.clone()).unwrap();
        if let Some(info) = result.error.clone() {
            self.error = Some(info.into());
            return;
        }
        let (aggregates, parts) = (self.scenario.aggregates, self.scenario.parts);
        self.pass_silent();
        let index = self.next_answer;
        let at_end = index == self.given.len();
        assert!(index < self.given.len() || aggregates, "an answer to nothing");
        let (sequence, closes) = match self.given.last().map(|_| self.names(self.given.len() - 1)) {
            Some((last, ..)) if at_end => (last + 1, true),
            None => (0, true),
            Some(_) => (self.names(index).0, self.names(index).1),
        };
        let parts = if aggregates && !at_end { 1 } else { parts };
        let last = self.next_part + 1 == parts;
        assert_eq!((result.sequence, result.last), (sequence, last && closes), "in order, part {}", self.next_part);
        if !message.data_header.is_empty() {
            assert_eq!(result.timing.unwrap().queue, self.next_part, "each part once, in order");
            assert!(!aggregates || at_end, "no rows before the end");
        }
        if let Some(given) = self.given.get_mut(index) {
            given.early -= size(&message);
        }
        self.heard.push(result);
        (self.next_answer, self.next_part) = if last { (index + 1, 0) } else { (index, self.next_part + 1) };
    }

    // Executors.

    fn add_executor(&mut self) {
        let executor = format!("e{}", self.names);
        self.names += 1;
        self.servers.push(Server { executor, in_flight: Arc::default() });
        self.tell_servers();
    }

    fn tell_servers(&mut self) {
        let servers = self.servers.clone().into();
        self.handle(Event::ServersChanged(Ok(Serving { servers, unserved: None })));
    }

    fn receive(&mut self, id: usize, message: &FlightData) {
        let given = &self.given;
        let names: Vec<u64> = (0..given.len()).map(|index| self.names(index).2).collect();
        let peer = self.peers.get_mut(&id).unwrap();
        assert!(!peer.input_ended && peer.schema, "nothing follows the end of the input, and the schema comes first");
        if message.app_metadata.is_empty() {
            peer.dictionary = Some(message.data_body.clone());
            return;
        }
        let header = BatchHeader::decode(message.app_metadata.clone()).unwrap();
        let index = names.iter().position(|name| *name == header.sequence).expect("a batch of the client");
        assert_eq!(message.data_body.as_ptr(), given[index].body.as_ptr(), "bodies are not copied");
        assert!(!given[index].answered, "a batch that is answered does not run again");
        assert_eq!(header.attempt, given[index].losses + 1, "the attempt counts tries that may have run it");
        assert!(header.attempt <= self.scenario.max_attempts, "tries are bounded");
        assert_eq!(peer.dictionary, given[index].dictionary, "the dictionary that the batch was encoded with");
        assert!(peer.queue.back().is_none_or(|last| *last < index), "no answer waits for that of a later batch");
        assert!(self.groups_at.is_none_or(|at| at == id), "groups are at one executor");
        let begun = index == self.next_answer && self.next_part > 0;
        assert!(!begun || self.scenario.deterministic, "what is not deterministic is not continued elsewhere");
        peer.last_sequence = Some(header.sequence);
        peer.queue.push_back(index);
        assert!(peer.queue.len() <= STREAM_WINDOW, "the window of an exchange");
    }

    fn answer(&mut self, id: usize, large: bool) {
        let due = self.next_answer;
        let (early, count, parts, aggregates) =
            (self.early(), self.given.len(), self.scenario.parts, self.scenario.aggregates);
        // Of a stream that fails, what comes after its error is thrown away.
        let failing = self.core.rejects_input();
        let (body, mut message) = (self.large.slice(..), self.messages.batch.clone());
        let peer = self.peers.get_mut(&id).unwrap();
        let index = peer.queue[0];
        if peer.not_read {
            return;
        }
        let within = early < MAX_HELD_BYTES || index == due || aggregates || failing;
        assert!(within, "{early} bytes are early, and more is read");
        let at_end = index == count;
        let parts = if aggregates && !at_end { 1 } else { parts };
        let part = peer.said;
        let last = part + 1 == parts;
        (peer.said, _) = if last { (0, peer.queue.pop_front()) } else { (part + 1, None) };
        let sequence = if at_end { peer.last_sequence.map_or(0, |last| last + 1) } else { self.names(index).2 };
        let timing = Some(BatchTiming { queue: part, ..Default::default() });
        let result = BatchResult { sequence, last, rows: 1, timing, ..Default::default() };
        message.data_body = if large { body } else { Bytes::new() };
        if aggregates && !at_end {
            message = FlightData::new();
        }
        self.groups_at = aggregates.then_some(id);
        if let Some(given) = self.given.get_mut(index) {
            given.answered |= last;
            // What the client has of an earlier try is not kept again.
            if index > due || part >= self.next_part {
                given.early += size(&message);
            }
        }
        self.handle(Event::UpstreamMessage(id, message.with_app_metadata(result.encode_to_vec())));
    }

    /// It gives its batches back, which may have run.
    fn lose(&mut self, id: usize) {
        let begun = self.give_back(id, true);
        let error = Error::new(ErrorCode::ExecutorLost, "gone");
        match begun && id.is_multiple_of(2) {
            true => self.handle(Event::UpstreamEnded(id)),
            false => self.handle(Event::UpstreamFailed(id, Failure::Elsewhere(error))),
        }
    }

    fn refuse(&mut self, id: usize) {
        self.give_back(id, false);
        self.in_band(id, Error::new(ErrorCode::NoCapacity, "draining"));
    }

    fn give_back(&mut self, id: usize, ran: bool) -> bool {
        let peer = self.peers.get_mut(&id).unwrap();
        let queue = std::mem::take(&mut peer.queue);
        peer.gone = true;
        let (due, heard) = (self.next_answer, self.next_part > 0);
        for index in &queue {
            let Some(given) = self.given.get_mut(*index) else {
                self.may_fail |= ran;
                continue;
            };
            given.early = 0;
            given.losses += u32::from(ran);
            self.may_fail |= ran && given.losses >= self.scenario.max_attempts;
            self.may_fail |= *index == due && heard && !self.scenario.deterministic;
        }
        self.may_fail |= self.groups_at.is_some();
        !queue.is_empty()
    }

    fn in_band(&mut self, id: usize, error: Error) {
        self.peers.get_mut(&id).unwrap().gone = true;
        let result = BatchResult { last: true, error: Some(error.into_info()), ..Default::default() };
        self.handle(Event::UpstreamMessage(id, FlightData::new().with_app_metadata(result.encode_to_vec())));
        self.handle(Event::UpstreamEnded(id));
    }

    fn end(&mut self, id: usize) {
        self.peers.get_mut(&id).unwrap().gone = true;
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
        self.may_fail |= self.now - self.started >= super::retry::REFUSAL_DEADLINE;
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
            self.hear(message);
        }
        self.check_pinned();
    }

    fn apply(&mut self, effect: Effect<Server>) {
        match effect {
            Effect::Open { upstream, server, .. } => {
                let known: BTreeSet<&str> = self.servers.iter().map(|server| server.executor.as_str()).collect();
                assert!(known.contains(server.executor.as_str()), "only executors that serve it are asked");
                let peer = Peer { schema: true, ..Peer::default() };
                assert!(self.peers.insert(upstream, peer).is_none(), "each exchange has a number of its own");
            }
            Effect::Send { upstream, message } => self.receive(upstream, &message),
            Effect::EndInput { upstream } => {
                let (aggregates, count) = (self.scenario.aggregates, self.given.len());
                let peer = self.peers.get_mut(&upstream).unwrap();
                assert!(!peer.input_ended, "an exchange is closed once");
                peer.input_ended = true;
                if aggregates && !peer.gone && !peer.end_queued {
                    peer.end_queued = true;
                    peer.queue.push_back(count);
                }
            }
            Effect::Read { upstream, on } => self.peers.get_mut(&upstream).unwrap().not_read = !on,
        }
    }

    fn check_pinned(&self) {
        if self.scenario.aggregates || self.scenario.dictionaries {
            let alive = self.peers.values().filter(|peer| !peer.gone).count();
            assert!(alive <= 1, "{alive} executors have a pinned stream");
        }
    }
}

impl Peer {
    fn has_to_say(&self) -> bool {
        !self.queue.is_empty()
    }
}
