//! The call that an interpreter runs, and its deadline.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a call may go on whose caller has gone. Short calls end by themselves within it; ending one costs its
/// interpreter and what functions have loaded there.
pub(super) const ABANDONED_GRACE: Duration = Duration::from_secs(1);

/// Why the call that runs is to be ended at its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// It may run for no longer than this.
    Timeout(Duration),
    /// Nobody waits for it any more.
    Abandoned {
        /// What its caller holds at the interpreter.
        holds: usize,
    },
}

#[derive(Debug)]
struct Timed {
    id: u64,
    timeout: Duration,
    /// When its caller went, and what that one holds at the interpreter.
    abandoned: Option<(Instant, usize)>,
}

/// The calls that an interpreter holds, in the order in which it works on them: it has one thread.
#[derive(Debug, Default)]
pub struct Running {
    queue: VecDeque<Timed>,
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
        self.queue.push_back(Timed { id, timeout, abandoned: None });
        self.sleeps_too_long()
    }

    /// Notes an answer. True where the watchdog must be woken: the next call may have less time.
    #[must_use]
    pub fn remove(&mut self, id: u64, now: Instant) -> bool {
        let first = self.queue.front().is_some_and(|front| front.id == id);
        self.queue.retain(|other| other.id != id);
        if first {
            self.since = self.queue.front().map(|_| now);
        }
        self.sleeps_too_long()
    }

    /// Nobody waits for the call any more: it has a short time from now, or from when it begins. True where the watchdog
    /// must be woken.
    #[must_use]
    pub fn abandon(&mut self, id: u64, holds: usize, now: Instant) -> bool {
        if let Some(call) = self.queue.iter_mut().find(|call| call.id == id) {
            call.abandoned = Some((now, holds));
        }
        self.sleeps_too_long()
    }

    /// The call that runs has its whole time after all.
    pub fn spare(&mut self) {
        if let Some(front) = self.queue.front_mut() {
            front.abandoned = None;
        }
    }

    fn sleeps_too_long(&self) -> bool {
        self.deadline().is_some_and(|(deadline, _)| self.armed.is_none_or(|armed| deadline < armed))
    }

    /// The deadline that the watchdog will sleep for from now on.
    pub fn arm(&mut self) -> Option<(Instant, Overdue)> {
        let deadline = self.deadline();
        self.armed = deadline.map(|(at, _)| at);
        deadline
    }

    /// The call that runs now.
    #[must_use]
    pub fn current(&self) -> Option<u64> {
        self.queue.front().map(|call| call.id)
    }

    /// When the running call must be done, and what it has exceeded then.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, Overdue)> {
        let (call, since) = (self.queue.front()?, self.since?);
        let timeout = (since + call.timeout, Overdue::Timeout(call.timeout));
        let abandoned =
            call.abandoned.map(|(at, holds)| (at.max(since) + ABANDONED_GRACE, Overdue::Abandoned { holds }));
        Some(abandoned.filter(|(at, _)| *at < timeout.0).unwrap_or(timeout))
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
        assert_eq!(running.deadline(), Some((start + 5 * second, Overdue::Timeout(5 * second))));
        assert!(!running.remove(1, start + 4 * second), "it wakes at 5 s and sees");
        let deadline = Some((start + 7 * second, Overdue::Timeout(3 * second)));
        assert_eq!((running.current(), running.deadline()), (Some(2), deadline));
        assert!(!running.remove(2, start + 5 * second));
        assert_eq!((running.current(), running.deadline()), (None, None));
    }

    #[test]
    fn a_short_call_behind_a_long_one_wakes_the_watchdog_when_its_turn_comes() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut running = Running::default();
        assert!(running.push(1, 120 * second, start));
        assert_eq!(running.arm(), Some((start + 120 * second, Overdue::Timeout(120 * second))));
        assert!(!running.push(2, second, start));
        assert!(running.remove(1, start + second));
        assert_eq!(running.arm(), Some((start + 2 * second, Overdue::Timeout(second))));
    }
    #[test]
    fn a_call_that_nobody_waits_for_has_a_short_time_from_when_it_runs() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut running = Running::default();
        assert!(running.push(1, 60 * second, start) && running.arm().is_some());
        assert!(!running.push(2, 60 * second, start));
        assert!(!running.abandon(2, 0, start + second), "it waits behind the first");
        assert!(running.abandon(1, 3, start + 5 * second));
        let deadline = start + 5 * second + ABANDONED_GRACE;
        assert_eq!(running.arm(), Some((deadline, Overdue::Abandoned { holds: 3 })));
        running.spare();
        assert_eq!(running.arm(), Some((start + 60 * second, Overdue::Timeout(60 * second))));
        assert!(running.remove(1, start + 9 * second), "the second has its time from now on");
        let deadline = start + 9 * second + ABANDONED_GRACE;
        assert_eq!(running.arm(), Some((deadline, Overdue::Abandoned { holds: 0 })));
        assert!(!running.remove(2, start + 9 * second));
        assert!(!running.abandon(2, 0, start), "it has been answered meanwhile");
    }
}
