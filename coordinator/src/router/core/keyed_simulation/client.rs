//! The client: sends batches, and collects the groups that it hears.

use arrow_flight::FlightData;
use prost::Message as _;
use udfleet_proto::ipc;
use udfleet_proto::v1::{BatchHeader, BatchResult};

use super::super::Event;
use super::super::simulated_shell::SimulatedShell as _;
use super::{KeyedSimulation, batch, collect, decoded};

impl KeyedSimulation {
    pub(super) fn send(&mut self, keys: Vec<Option<i64>>) {
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

    pub(super) fn input(&mut self, message: FlightData) {
        self.handle(Event::Input { message, results_sequence: None });
    }

    pub(super) fn hear(&mut self, message: &FlightData) {
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
}
