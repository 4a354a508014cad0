//! The shell around a core in the simulations: time passes, effects are carried out.

use std::time::{Duration, Instant};

use arrow_flight::FlightData;

use super::simulation::server::CandidateExecutor;
use super::{Effect, Event, ExchangeCore};

/// A simulated stream.
pub(super) trait SimulatedShell {
    /// The core, and the time that it is.
    fn core(&mut self) -> (&mut ExchangeCore<CandidateExecutor>, &mut Instant);

    /// Carries an effect out.
    fn apply(&mut self, effect: Effect<CandidateExecutor>);

    /// The client gets an answer.
    fn answer(&mut self, message: FlightData);

    /// What must hold after each event.
    fn check(&self);

    /// Time has passed.
    fn waited(&mut self);

    fn wait(&mut self, time: Duration) {
        let until = *self.core().1 + time;
        loop {
            let (core, now) = self.core();
            let Some(at) = core.wake_at().filter(|at| *at <= until) else { break };
            *now = at.max(*now);
            self.handle(Event::Timer);
            if self.core().0.wake_at() == Some(at) {
                break;
            }
        }
        *self.core().1 = until;
        self.waited();
    }

    fn handle(&mut self, event: Event<CandidateExecutor>) {
        let (core, now) = self.core();
        if core.is_finished() {
            return;
        }
        core.handle(event, *now);
        while let Some(effect) = self.core().0.pop_effect() {
            self.apply(effect);
        }
        while let Some(message) = self.core().0.pop_response() {
            self.answer(message);
        }
        self.check();
    }
}
