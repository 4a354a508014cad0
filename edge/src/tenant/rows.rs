//! How many rows a second: a bucket that may go into debt, because a batch is known only once it is here.

use std::time::{Duration, Instant};

/// What one batch may take of the rows to come: one that would hold up the next ones for longer is refused, because a huge
/// batch must neither shut its tenant out for an hour nor pass a small rate.
pub(super) const BATCH_SECONDS: u64 = 10;
/// When to ask again where no row may ever come.
const NEVER: Duration = Duration::from_secs(BATCH_SECONDS);

/// The most rows of one batch at this rate.
pub(super) fn most_at_once(rate: u64) -> u64 {
    rate.saturating_mul(BATCH_SECONDS)
}

/// Rows of a second, and those that were sent ahead of time.
#[derive(Debug)]
pub(super) struct RowBucket {
    /// Above zero: rows that may come at once. Below: rows that came too early.
    level: f64,
    at: Instant,
}

impl RowBucket {
    /// A full one.
    pub fn new(rate: u64, now: Instant) -> Self {
        Self { level: rate as f64, at: now }
    }

    fn fill(&mut self, rate: u64, now: Instant) {
        let rate = rate as f64;
        let more = now.saturating_duration_since(self.at).as_secs_f64() * rate;
        (self.level, self.at) = ((self.level + more).min(rate), now);
    }

    /// Takes rows that have come. The next ones wait for all of them: whatever comes, no more than the rate passes.
    pub fn take(&mut self, rows: u64, rate: u64, now: Instant) {
        self.fill(rate, now);
        self.level -= rows as f64;
    }

    /// Takes rows where they may come now, else says how long to wait. Then ask again: another stream may have been first.
    pub fn try_take(&mut self, rows: u64, rate: u64, now: Instant) -> Result<(), Duration> {
        match self.wait(rate, now) {
            Some(wait) => Err(wait),
            None => {
                self.level -= rows as f64;
                Ok(())
            }
        }
    }

    /// How long until rows may come again; none where they may now.
    pub fn wait(&mut self, rate: u64, now: Instant) -> Option<Duration> {
        self.fill(rate, now);
        match rate {
            0 => Some(NEVER),
            _ if self.level >= 0.0 => None,
            // A moment more than it takes, so that who waits does not find a fraction of a row missing.
            _ => Some(Duration::from_secs_f64(-self.level / rate as f64) + Duration::from_millis(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_rows_may_come_at_once_and_more_is_waited_for() {
        let start = Instant::now();
        let mut bucket = RowBucket::new(100, start);
        bucket.take(100, 100, start);
        assert_eq!(bucket.wait(100, start), None);
        bucket.take(50, 100, start);
        let wait = bucket.wait(100, start).unwrap();
        assert!(wait > Duration::from_millis(490) && wait < Duration::from_millis(510), "{wait:?}");
        assert_eq!(bucket.wait(100, start + wait), None);
        let later = start + Duration::from_secs(3600);
        bucket.take(100, 100, later);
        assert!(bucket.wait(100, later).is_none(), "what was not used for an hour is not saved up");
        bucket.take(1, 100, later);
        assert!(bucket.wait(100, later).is_some());
    }

    #[test]
    fn what_is_sent_ahead_is_waited_for_in_full() {
        let start = Instant::now();
        let mut bucket = RowBucket::new(10, start);
        // The largest batches that may come, of several streams at once.
        (0..5).for_each(|_| bucket.take(most_at_once(10), 10, start));
        let wait = bucket.wait(10, start).unwrap();
        assert!(wait > Duration::from_secs(48) && wait < Duration::from_secs(50), "{wait:?}");
        assert_eq!(bucket.wait(10, start + wait), None);
        assert!(bucket.wait(0, start + NEVER * 100).is_some(), "0 allows none");
        assert_eq!(most_at_once(u64::MAX), u64::MAX);
    }
}
