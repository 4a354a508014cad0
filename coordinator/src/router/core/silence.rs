//! Executors that say nothing. Each is asked to say every so often how its stream stands, so that one that is silent
//! hangs, however long its calls may take.
//!
//! Silence is counted in ticks, and a tick is no sooner than a period after the one before: while nobody reads the stream,
//! or this process is suspended, no more than one passes.

use std::time::{Duration, Instant};

use udfleet_proto::v1::StreamProgress;

use super::Candidate;
use super::upstreams::Upstreams;

/// Ticks in which nothing is heard until an executor counts as silent. It says something in each.
const TICKS: u32 = 6;

/// How often executors are asked to say how a stream stands, where they count as silent after this time.
pub(in crate::router) fn period(silence: Duration) -> Duration {
    silence / TICKS
}

/// Something that is due every so often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticks {
    period: Duration,
    next: Option<Instant>,
}

impl Ticks {
    pub fn every(period: Duration) -> Self {
        Self { period, next: None }
    }

    /// True where a period has passed.
    pub fn passed(&mut self, now: Instant) -> bool {
        let next = *self.next.get_or_insert(now + self.period);
        let passed = now >= next;
        if passed {
            self.next = Some(now + self.period);
        }
        passed
    }

    /// When that is the case next.
    pub fn next(&self) -> Option<Instant> {
        self.next
    }
}

/// What an executor has said of a stream.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Ticks since it has said anything.
    silent: u32,
    pub progress: StreamProgress,
}

impl Heard {
    /// It has said something.
    pub fn now(&mut self) {
        self.silent = 0;
    }
}

impl<S: Candidate> Upstreams<S> {
    /// A tick has passed: those that count as silent now. One that is not read may say what it likes, and one of an older
    /// version says nothing between answers.
    pub fn silent(&mut self) -> Vec<usize> {
        let count = |(id, upstream): (usize, &mut super::upstreams::Upstream<S>)| {
            let judged = upstream.is_read() && upstream.reports_progress();
            let heard = &mut upstream.heard;
            heard.silent = if judged { heard.silent + 1 } else { 0 };
            (heard.silent >= TICKS).then_some(id)
        };
        self.iter_mut().filter_map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn time_in_which_nobody_looks_is_one_tick() {
        let start = Instant::now();
        let mut ticks = Ticks::every(SECOND);
        assert!(!ticks.passed(start));
        assert_eq!(ticks.next(), Some(start + SECOND));
        assert!(ticks.passed(start + SECOND * 60));
        assert!(!ticks.passed(start + SECOND * 60));
        assert_eq!(ticks.next(), Some(start + SECOND * 61));
    }
}
