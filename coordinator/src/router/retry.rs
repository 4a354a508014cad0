//! When a batch that came back unanswered is sent again, and when it is given up.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use udfleet_proto::v1::ErrorCode;

/// How long batches wait for an executor that takes them.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long an executor is passed over when it has failed once; it doubles with each further time.
const AVOID: Duration = Duration::from_millis(100);
/// The longest that one is passed over: well below [`PATIENCE`], so that one that has become free is found.
const AVOID_MOST: Duration = Duration::from_millis(1600);

/// True where the executor only refused: it drains, is full, or has the function no more or not yet. That says nothing
/// about the batch. Whatever else brings a batch back may be the batch's own doing.
pub(super) fn is_refusal(cause: ErrorCode) -> bool {
    cause == ErrorCode::NoCapacity
}

/// The rule for a batch that came back: tries of it are counted, refusals are not, and only time bounds them. `attempts`
/// are without refusals, `waited` is how long no executor has taken any batch of the stream.
pub(super) fn is_given_up(cause: ErrorCode, attempts: u32, max_attempts: u32, waited: Duration) -> bool {
    if is_refusal(cause) { waited >= PATIENCE } else { attempts >= max_attempts }
}

/// How long a stream's batches have waited for an executor that takes them. To be sent is not to be taken: what was
/// sent may be refused, so the time runs on until there is an answer.
#[derive(Default)]
pub(super) struct Patience {
    since: Option<Instant>,
}

impl Patience {
    /// No executor is there for a batch, or none has taken it.
    pub fn begin(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// The executor that had a batch since `sent` refuses it. Where it had it for long, it had taken it: the batch lay
    /// in line there, and waits for an executor from now on.
    pub fn refused(&mut self, sent: Instant, now: Instant) {
        if now.duration_since(sent) >= PATIENCE {
            self.since = None;
        }
        self.begin(now);
    }

    /// An executor has taken a batch: it has answered, or was lost under it.
    pub fn taken(&mut self) {
        self.since = None;
    }

    pub fn waited(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.duration_since(since))
    }

    /// When it has lasted long enough.
    pub fn end(&self) -> Option<Instant> {
        self.since.map(|since| since + PATIENCE)
    }
}

struct Pause {
    length: Duration,
    until: Instant,
}

/// Executors that have failed this stream, until when they are passed over.
#[derive(Default)]
pub(super) struct Avoided {
    executors: HashMap<String, Pause>,
}

impl Avoided {
    /// It is passed over, for twice as long as the last time.
    pub fn failed(&mut self, executor: &str, now: Instant) {
        let last = self.executors.get(executor).map(|pause| pause.length);
        let length = last.map_or(AVOID, |last| (last * 2).min(AVOID_MOST));
        self.executors.insert(executor.to_owned(), Pause { length, until: now + length });
    }

    /// It works: what was is forgotten.
    pub fn answered(&mut self, executor: &str) {
        if !self.executors.is_empty() {
            self.executors.remove(executor);
        }
    }

    pub fn contains(&self, executor: &str, now: Instant) -> bool {
        self.executors.get(executor).is_some_and(|pause| pause.until > now)
    }

    /// When the first of those that are passed over now is back.
    pub fn next_back(&self, now: Instant) -> Option<Instant> {
        self.executors.values().map(|pause| pause.until).filter(|until| *until > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn tries_are_counted_and_refusals_are_bounded_by_time() {
        assert!(!is_given_up(ErrorCode::NoCapacity, 3, 3, PATIENCE - SECOND), "however often it was tried");
        assert!(is_given_up(ErrorCode::NoCapacity, 0, 3, PATIENCE), "never tried, yet refused for long enough");
        assert!(!is_given_up(ErrorCode::ExecutorLost, 2, 3, PATIENCE * 9));
        assert!(is_given_up(ErrorCode::ExecutorLost, 3, 3, Duration::ZERO));
    }

    #[test]
    fn only_an_executor_that_takes_a_batch_ends_the_wait() {
        let start = Instant::now();
        let mut patience = Patience::default();
        assert_eq!((patience.waited(start), patience.end()), (Duration::ZERO, None));
        patience.begin(start);
        patience.refused(start + SECOND, start + SECOND * 2);
        patience.begin(start + SECOND * 3);
        assert_eq!((patience.waited(start + SECOND * 4), patience.end()), (SECOND * 4, Some(start + PATIENCE)));

        // In line for a minute at the second executor, then refused: that was no wait for an executor.
        let minute = start + SECOND * 60;
        patience.refused(start + SECOND * 4, minute);
        assert_eq!(patience.waited(minute + SECOND), SECOND);
        patience.taken();
        assert_eq!(patience.end(), None);
    }

    #[test]
    fn an_executor_that_keeps_failing_is_asked_less_and_less() {
        let start = Instant::now();
        let mut avoided = Avoided::default();
        let (mut now, mut asked) = (start, 0);
        while now < start + PATIENCE {
            asked += 1;
            avoided.failed("a", now);
            assert!(avoided.contains("a", now) && !avoided.contains("b", now));
            now = avoided.next_back(now).unwrap();
            assert!(!avoided.contains("a", now), "it is asked again once it is back");
        }
        assert!((8..=12).contains(&asked), "{asked} times in {PATIENCE:?}");
        assert_eq!(avoided.next_back(now), None, "those that are back wake nobody");

        avoided.failed("b", now);
        avoided.failed("a", now);
        assert_eq!(avoided.next_back(now), Some(now + AVOID), "the first of all");
        avoided.answered("a");
        avoided.failed("a", now);
        assert_eq!(avoided.next_back(now + AVOID), None, "after an answer it begins anew");
    }
}
