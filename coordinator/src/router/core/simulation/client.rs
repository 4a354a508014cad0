//! The client: sends batches, and looks at what it hears.

use arrow_flight::FlightData;
use bytes::Bytes;
use prost::Message as _;
use udfleet_proto::limits::STREAM_WINDOW;
use udfleet_proto::v1::{BatchHeader, BatchResult};

use super::super::batches::size;
use super::super::simulated_shell::SimulatedShell as _;
use super::super::{Event, MAX_HELD_BYTES, MAX_IN_FLIGHT};
use super::Simulation;

/// A batch of the client.
pub(super) struct SentByClient {
    pub(super) body: Bytes,
    pub(super) size: usize,
    /// The dictionary in force.
    pub(super) dictionary: Option<Bytes>,
    /// Tries that count.
    pub(super) losses: u32,
    /// The core has its whole answer.
    pub(super) answered: bool,
    /// Bytes of parts that the core has and the client has not.
    pub(super) early: usize,
}

impl Simulation {
    /// What the client calls a batch, whether it is the last of that name, and what executors call it.
    pub(super) fn names(&self, index: usize) -> (u64, bool, u64) {
        let index = index as u64;
        if self.scenario.from_stage { (index / 2, index % 2 == 1, index) } else { (5 + 3 * index, true, 5 + 3 * index) }
    }

    pub(super) fn send(&mut self, large: bool, dictionary: bool) {
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
        let given = SentByClient {
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
    pub(super) fn pass_silent(&mut self) {
        while self.scenario.aggregates
            && self.given.get(self.next_answer).is_some_and(|given| given.answered)
            && !self.names(self.next_answer).1
        {
            self.next_answer += 1;
        }
    }

    /// The bounds, counted independently of the core.
    pub(super) fn check_room(&mut self) {
        self.pass_silent();
        let outstanding = self.given.len() - self.next_answer;
        let pinned = self.scenario.aggregates || self.scenario.dictionaries;
        let executors = if pinned { 1 } else { self.servers.len() };
        let input: usize = self.given.iter().filter(|given| !given.answered).map(|given| given.size).sum();
        let window = (STREAM_WINDOW * executors).min(MAX_IN_FLIGHT);
        let within = outstanding < window && input + self.early() < MAX_HELD_BYTES;
        assert!(outstanding == 0 || within, "{outstanding} batches, {input} bytes of input, {} early", self.early());
    }

    pub(super) fn early(&self) -> usize {
        self.given.iter().map(|given| given.early).sum()
    }

    pub(super) fn input(&mut self, message: FlightData) {
        self.handle(Event::Input { message, results_sequence: None });
    }

    pub(super) fn end_input(&mut self) {
        if !self.input_ended {
            self.input_ended = true;
            self.handle(Event::InputEnded);
        }
    }

    pub(super) fn hear(&mut self, message: FlightData) {
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
}
