//! What the shell around the core does: time passes, effects are carried out.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::{Effect, Event, retry};
use super::Simulation;
use super::executors::SimulatedExecutor;
use super::server::CandidateExecutor;

impl Simulation {
    pub(super) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.core.wake_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.handle(Event::Timer);
            if self.core.wake_at() == Some(at) {
                break;
            }
        }
        self.now = until;
        self.may_fail |= self.turned_away && self.now - self.started >= retry::REFUSAL_DEADLINE;
    }

    pub(super) fn handle(&mut self, event: Event<CandidateExecutor>) {
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

    pub(super) fn apply(&mut self, effect: Effect<CandidateExecutor>) {
        match effect {
            Effect::Open { upstream, server, .. } => {
                let known: BTreeSet<&str> = self.servers.iter().map(|server| server.executor.as_str()).collect();
                assert!(known.contains(server.executor.as_str()), "only executors that serve it are asked");
                let peer = SimulatedExecutor { schema: true, ..SimulatedExecutor::default() };
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

    pub(super) fn check_pinned(&self) {
        if self.scenario.aggregates || self.scenario.dictionaries {
            let alive = self.peers.values().filter(|peer| !peer.gone).count();
            assert!(alive <= 1, "{alive} executors have a pinned stream");
        }
    }
}
