//! How many rows a second: a bucket that may go into debt, because a batch is known only once it is here.

use std::time::{Duration, Instant};

/// The longest that one tenant's rows hold up its next ones, whatever it has sent: a huge batch must not shut it out for
/// an hour.
const LONGEST_DEBT: Duration = Duration::from_secs(10);

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

    /// Takes rows that have come.
    pub fn take(&mut self, rows: u64, rate: u64, now: Instant) {
        self.fill(rate, now);
        self.level = (self.level - rows as f64).max(-(rate as f64) * LONGEST_DEBT.as_secs_f64());
    }

    /// How long until rows may come again; none where they may now.
    pub fn wait(&mut self, rate: u64, now: Instant) -> Option<Duration> {
        self.fill(rate, now);
        match rate {
            0 => Some(LONGEST_DEBT),
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
    fn no_batch_shuts_a_tenant_out_for_long() {
        let start = Instant::now();
        let mut bucket = RowBucket::new(10, start);
        bucket.take(1_000_000, 10, start);
        assert!(bucket.wait(10, start).unwrap() <= LONGEST_DEBT + Duration::from_millis(1));
        assert!(bucket.wait(0, start + LONGEST_DEBT * 100).is_some(), "0 allows none");
    }
}
