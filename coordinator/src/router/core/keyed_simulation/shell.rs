//! What the shell around the core does: time passes, effects are carried out.

use std::time::Duration;

use super::super::simulation::server::CandidateExecutor;
use super::super::{Effect, Event, retry};
use super::KeyedSimulation;
use super::executors::AggregatingExecutor;

impl KeyedSimulation {
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
        self.may_fail |= self.now - self.started >= retry::REFUSAL_DEADLINE;
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
            self.hear(&message);
        }
        let alive = self.peers.values().filter(|peer| !peer.gone).count();
        assert!(alive <= self.partitions.max(1), "{alive} exchanges for {} interpreters", self.partitions);
    }

    pub(super) fn apply(&mut self, effect: Effect<CandidateExecutor>) {
        match effect {
            Effect::Open { upstream, server, .. } => {
                let peer = AggregatingExecutor { executor: server.executor.clone(), ..AggregatingExecutor::default() };
                assert!(self.peers.insert(upstream, peer).is_none(), "each exchange has a number of its own");
            }
            Effect::Send { upstream, message } => self.receive(upstream, &message),
            Effect::EndInput { upstream } => self.peers.get_mut(&upstream).unwrap().input_ended = true,
            Effect::Read { upstream, on } => self.peers.get_mut(&upstream).unwrap().not_read = !on,
        }
    }
}
