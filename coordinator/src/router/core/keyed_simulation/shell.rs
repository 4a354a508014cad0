//! How effects are carried out, and what must hold.

use std::time::Instant;

use arrow_flight::FlightData;

use super::super::simulated_shell::SimulatedShell;
use super::super::simulation::server::CandidateExecutor;
use super::super::{Effect, ExchangeCore, retry};
use super::KeyedSimulation;
use super::executors::AggregatingExecutor;

impl SimulatedShell for KeyedSimulation {
    fn core(&mut self) -> (&mut ExchangeCore<CandidateExecutor>, &mut Instant) {
        (&mut self.core, &mut self.now)
    }

    fn answer(&mut self, message: FlightData) {
        self.hear(&message);
    }

    fn check(&self) {
        let alive = self.peers.values().filter(|peer| !peer.gone).count();
        assert!(alive <= self.partitions.max(1), "{alive} exchanges for {} interpreters", self.partitions);
    }

    fn waited(&mut self) {
        self.may_fail |= self.now - self.started >= retry::REFUSAL_DEADLINE;
    }

    fn apply(&mut self, effect: Effect<CandidateExecutor>) {
        match effect {
            Effect::Open { upstream, server, .. } => {
                let peer = AggregatingExecutor { executor: server.executor.clone(), ..AggregatingExecutor::default() };
                assert!(self.peers.insert(upstream, peer).is_none(), "each exchange has a number of its own");
            }
            Effect::Send { upstream, message } => self.receive(upstream, &message),
            Effect::EndInput { upstream } => self.peers.get_mut(&upstream).unwrap().input_ended = true,
            Effect::Abandon { upstream } => panic!("exchange {upstream} does not hang"),
            Effect::Read { upstream, on } => self.peers.get_mut(&upstream).unwrap().not_read = !on,
        }
    }
}
