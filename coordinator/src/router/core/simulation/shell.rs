//! How effects are carried out, and what must hold.

use std::collections::BTreeSet;
use std::time::Instant;

use arrow_flight::FlightData;

use super::super::simulated_shell::SimulatedShell;
use super::super::{Effect, ExchangeCore, retry};
use super::Simulation;
use super::executors::SimulatedExecutor;
use super::server::CandidateExecutor;

impl SimulatedShell for Simulation {
    fn core(&mut self) -> (&mut ExchangeCore<CandidateExecutor>, &mut Instant) {
        (&mut self.core, &mut self.now)
    }

    fn answer(&mut self, message: FlightData) {
        self.hear(message);
    }

    fn waited(&mut self) {
        self.may_fail |= self.turned_away && self.now - self.started >= retry::REFUSAL_DEADLINE;
    }

    fn apply(&mut self, effect: Effect<CandidateExecutor>) {
        match effect {
            Effect::Open { upstream, server, .. } => {
                let known: BTreeSet<&str> = self.servers.iter().map(|server| server.executor.as_str()).collect();
                assert!(known.contains(server.executor.as_str()), "only executors that serve it are asked");
                let peer = SimulatedExecutor { schema: true, older: server.older, ..SimulatedExecutor::default() };
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
            Effect::Abandon { upstream } => {
                let peer = &self.peers[&upstream];
                assert!(peer.hangs && !peer.not_read, "one that says how the stream stands is not given up");
                assert!(!peer.older, "silence of one that never says it means nothing");
                self.turned_away = true;
                self.give_back(upstream, true);
            }
            Effect::Read { upstream, on } => self.peers.get_mut(&upstream).unwrap().not_read = !on,
        }
    }

    fn check(&self) {
        if self.scenario.aggregates || self.scenario.dictionaries {
            let alive = self.peers.values().filter(|peer| !peer.gone).count();
            assert!(alive <= 1, "{alive} executors have a pinned stream");
        }
    }
}
