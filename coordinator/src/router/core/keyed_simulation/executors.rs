//! Executors: collect rows by key, give them back at the end, and fail.

use std::collections::VecDeque;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_flight::FlightData;
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::ipc;
use udfleet_proto::limits::STREAM_WINDOW;
use udfleet_proto::v1::{BatchHeader, BatchResult, ErrorCode};

use super::super::simulated_shell::SimulatedShell as _;
use super::super::simulation::server::CandidateExecutor;
use super::super::{Event, Failure, Serving};
use super::{Groups, KeyedSimulation, batch, collect, decoded};

/// The executor's side of an exchange, and the groups that it holds.
#[derive(Default)]
pub(super) struct AggregatingExecutor {
    pub(super) executor: String,
    /// Batches that it has not answered.
    pub(super) queue: VecDeque<(BatchHeader, RecordBatch)>,
    pub(super) groups: Groups,
    pub(super) fed: bool,
    pub(super) next_sequence: u64,
    pub(super) input_ended: bool,
    pub(super) end_answered: bool,
    pub(super) not_read: bool,
    pub(super) gone: bool,
}

impl KeyedSimulation {
    pub(super) fn add_executor(&mut self, interpreters: u32) {
        let executor = format!("e{}", self.servers.len() + self.peers.len());
        self.servers.push(CandidateExecutor { executor, interpreters, ..CandidateExecutor::default() });
        self.tell_servers();
    }

    pub(super) fn tell_servers(&mut self) {
        let servers = self.servers.clone().into();
        self.handle(Event::ServersChanged(Ok(Serving { servers, unserved: None })));
    }

    pub(super) fn receive(&mut self, id: usize, message: &FlightData) {
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

    pub(super) fn answer(&mut self, id: usize) {
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
    pub(super) fn fails_where_it_holds_groups(&mut self, id: usize) {
        let peer = self.peers.get_mut(&id).unwrap();
        peer.gone = true;
        self.may_fail |= peer.fed && !peer.end_answered;
    }

    pub(super) fn lose(&mut self, id: usize) {
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
    pub(super) fn raise(&mut self, id: usize) {
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

    pub(super) fn in_band(&mut self, id: usize, error: Error) {
        let result = BatchResult { last: true, error: Some(error.into_info()), ..Default::default() };
        self.handle(Event::UpstreamMessage(id, FlightData::new().with_app_metadata(result.encode_to_vec())));
        self.handle(Event::UpstreamEnded(id));
    }
}

impl AggregatingExecutor {
    pub(super) fn has_to_say(&self) -> bool {
        !self.queue.is_empty() || (self.input_ended && !self.end_answered)
    }
}
