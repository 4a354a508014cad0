//! Which call of an interpreter runs, and until when.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The calls that an interpreter holds, in the order in which it works on them: it has one thread.
#[derive(Debug, Default)]
pub struct Running {
    queue: VecDeque<(u64, Duration)>,
    /// Since when the first of them has been running.
    since: Option<Instant>,
    /// What the watchdog sleeps for.
    armed: Option<Instant>,
}

impl Running {
    /// Notes a call that is being sent. True where the watchdog must be woken.
    #[must_use]
    pub fn push(&mut self, id: u64, timeout: Duration, now: Instant) -> bool {
        if self.queue.is_empty() {
            self.since = Some(now);
        }
        self.queue.push_back((id, timeout));
        self.sleeps_too_long()
    }

    /// Notes an answer. True where the watchdog must be woken: the next call may have less time.
    #[must_use]
    pub fn remove(&mut self, id: u64, now: Instant) -> bool {
        let first = self.queue.front().is_some_and(|(front, _)| *front == id);
        self.queue.retain(|(other, _)| *other != id);
        if first {
            self.since = self.queue.front().map(|_| now);
        }
        self.sleeps_too_long()
    }

    fn sleeps_too_long(&self) -> bool {
        self.deadline().is_some_and(|(deadline, _)| self.armed.is_none_or(|armed| deadline < armed))
    }

    /// The deadline that the watchdog will sleep for from now on.
    pub fn arm(&mut self) -> Option<(Instant, Duration)> {
        let deadline = self.deadline();
        self.armed = deadline.map(|(at, _)| at);
        deadline
    }

    /// The call that runs now.
    #[must_use]
    pub fn current(&self) -> Option<u64> {
        self.queue.front().map(|(id, _)| *id)
    }

    /// When the running call must be done, and its timeout.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, Duration)> {
        let (_, timeout) = self.queue.front()?;
        Some((self.since? + *timeout, *timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_timed_from_when_it_runs_not_from_when_it_waits() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut running = Running::default();
        assert!(running.push(1, 5 * second, start));
        running.arm();
        assert!(!running.push(2, 3 * second, start));
        assert_eq!(running.deadline(), Some((start + 5 * second, 5 * second)));
        assert!(!running.remove(1, start + 4 * second), "it wakes at 5 s and sees");
        assert_eq!((running.current(), running.deadline()), (Some(2), Some((start + 7 * second, 3 * second))));
        assert!(!running.remove(2, start + 5 * second));
        assert_eq!((running.current(), running.deadline()), (None, None));
    }

    #[test]
    fn a_short_call_behind_a_long_one_wakes_the_watchdog_when_its_turn_comes() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut running = Running::default();
        assert!(running.push(1, 120 * second, start));
        assert_eq!(running.arm(), Some((start + 120 * second, 120 * second)));
        assert!(!running.push(2, second, start));
        assert!(running.remove(1, start + second));
        assert_eq!(running.arm(), Some((start + 2 * second, second)));
    }
}
