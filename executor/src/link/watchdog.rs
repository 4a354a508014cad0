//! Which call of an interpreter runs, and until when.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The calls that an interpreter holds, in the order in which it works on them: it has one thread.
#[derive(Debug, Default)]
pub struct Running {
    queue: VecDeque<(u64, Duration)>,
    /// Since when the first of them has been running.
    since: Option<Instant>,
}

impl Running {
    /// Notes a call that has been sent.
    pub fn push(&mut self, id: u64, timeout: Duration, now: Instant) {
        if self.queue.is_empty() {
            self.since = Some(now);
        }
        self.queue.push_back((id, timeout));
    }

    /// Notes an answer.
    pub fn remove(&mut self, id: u64, now: Instant) {
        let first = self.queue.front().is_some_and(|(front, _)| *front == id);
        self.queue.retain(|(other, _)| *other != id);
        if first {
            self.since = self.queue.front().map(|_| now);
        }
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
        running.push(1, 5 * second, start);
        running.push(2, 3 * second, start);
        assert_eq!(running.deadline(), Some((start + 5 * second, 5 * second)));
        running.remove(1, start + 4 * second);
        assert_eq!((running.current(), running.deadline()), (Some(2), Some((start + 7 * second, 3 * second))));
        running.remove(2, start + 5 * second);
        assert_eq!((running.current(), running.deadline()), (None, None));
    }
}
