//! Executors: take batches, answer them, and fail.

use std::collections::VecDeque;

use arrow_flight::FlightData;
use bytes::Bytes;
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::limits::STREAM_WINDOW;
use udfleet_proto::v1::{BatchHeader, BatchResult, BatchTiming, ErrorCode, StreamProgress};

use super::super::batches::size;
use super::super::simulated_shell::SimulatedShell as _;
use super::super::{Event, Failure, MAX_HELD_BYTES, Serving};
use super::Simulation;
use super::server::CandidateExecutor;

/// The executor's side of an exchange.
#[derive(Default)]
pub(super) struct SimulatedExecutor {
    pub(super) schema: bool,
    pub(super) dictionary: Option<Bytes>,
    /// Indices of batches, oldest first; that of the end is one more than there are.
    pub(super) queue: VecDeque<usize>,
    /// What has been said of the oldest one's answer.
    pub(super) said: u64,
    pub(super) last_sequence: Option<u64>,
    pub(super) input_ended: bool,
    pub(super) end_queued: bool,
    pub(super) not_read: bool,
    pub(super) gone: bool,
    /// It takes what it is sent and says nothing.
    pub(super) hangs: bool,
    /// It answers, and says nothing meanwhile.
    pub(super) older: bool,
}

impl Simulation {
    pub(super) fn add_executor(&mut self) {
        let executor = format!("e{}", self.names);
        self.names += 1;
        let older = self.older;
        self.servers.push(CandidateExecutor { executor, interpreters: 2, older, ..CandidateExecutor::default() });
        self.tell_servers();
    }

    pub(super) fn tell_servers(&mut self) {
        let servers = self.servers.clone().into();
        self.handle(Event::ServersChanged(Ok(Serving { servers, unserved: None })));
    }

    pub(super) fn receive(&mut self, id: usize, message: &FlightData) {
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

    pub(super) fn answer(&mut self, id: usize, large: bool) {
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
    pub(super) fn lose(&mut self, id: usize) {
        self.turned_away = true;
        let begun = self.give_back(id, true);
        let error = Error::new(ErrorCode::ExecutorLost, "gone");
        match begun && id.is_multiple_of(2) {
            true => self.handle(Event::UpstreamEnded(id)),
            false => self.handle(Event::UpstreamFailed(id, Failure::Elsewhere(error))),
        }
    }

    pub(super) fn refuse(&mut self, id: usize, busy: bool) {
        self.turned_away |= !busy;
        self.give_back(id, false);
        self.in_band(id, Error::new(ErrorCode::NoCapacity, "draining").with(|info| info.busy = busy));
    }

    /// Those that do not hang say how the stream stands.
    pub(super) fn tell_progress(&mut self) {
        let result = BatchResult { progress: Some(StreamProgress::default()), ..Default::default() };
        let message = FlightData::new().with_app_metadata(result.encode_to_vec());
        let well = self.peers.iter().filter(|(_, peer)| !(peer.gone || peer.hangs || peer.older || peer.not_read));
        for id in well.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.handle(Event::UpstreamMessage(id, message.clone()));
        }
    }

    pub(super) fn give_back(&mut self, id: usize, ran: bool) -> bool {
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

    pub(super) fn in_band(&mut self, id: usize, error: Error) {
        self.peers.get_mut(&id).unwrap().gone = true;
        let result = BatchResult { last: true, error: Some(error.into_info()), ..Default::default() };
        self.handle(Event::UpstreamMessage(id, FlightData::new().with_app_metadata(result.encode_to_vec())));
        self.handle(Event::UpstreamEnded(id));
    }

    pub(super) fn end(&mut self, id: usize) {
        self.peers.get_mut(&id).unwrap().gone = true;
        self.handle(Event::UpstreamEnded(id));
    }
}

impl SimulatedExecutor {
    pub(super) fn has_to_say(&self) -> bool {
        !self.queue.is_empty() && !self.hangs
    }
}
