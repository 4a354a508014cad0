//! When a batch that was not answered is sent again, and when it fails.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use udfleet_proto::error::Error;

/// How long batches wait for an executor that takes them.
pub(super) const REFUSAL_DEADLINE: Duration = Duration::from_secs(10);
/// How long an executor is ejected when it has failed once; it doubles with each further time.
const FIRST_EJECTION: Duration = Duration::from_millis(100);
/// How long one is ejected that hangs: those that are there besides have taken its batches by then.
const SILENT_EJECTION: Duration = Duration::from_secs(5);
/// The longest ejection: well below [`REFUSAL_DEADLINE`], so that one that has become free is found.
const MAX_EJECTION: Duration = Duration::from_millis(1600);

/// The rule for a batch that came back. Where nothing of it can have run (the executor drains, is full, can't be reached,
/// or has the function no more or not yet) it was only refused: that is no attempt, and only time bounds it. Whatever else
/// brings a batch back may be the batch's own doing, and may have had side effects: that is counted. `attempts` are
/// without refusals, `waited` is how long no executor has taken any batch of the stream.
pub(super) fn is_given_up(cause: &Error, attempts: u32, max_attempts: u32, waited: Duration) -> bool {
    if cause.has_no_side_effects() { waited >= REFUSAL_DEADLINE } else { attempts >= max_attempts }
}

/// How long a stream's batches have waited for an executor that takes them. To be sent is not to be taken: what was
/// sent may be refused, so the time runs on until there is an answer.
#[derive(Default)]
pub(super) struct RefusalDeadline {
    since: Option<Instant>,
}

impl RefusalDeadline {
    /// No executor is there for a batch, or none has taken it.
    pub fn begin(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// The executor that had a batch since `sent` refuses it. Where it had it for long, it had taken it: the batch lay
    /// in line there, and waits for an executor from now on.
    pub fn refused(&mut self, sent: Instant, now: Instant) {
        if now.duration_since(sent) >= REFUSAL_DEADLINE {
            self.since = None;
        }
        self.begin(now);
    }

    /// An executor has taken a batch: it has answered, or was lost under it.
    pub fn accepted(&mut self) {
        self.since = None;
    }

    pub fn waited(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.duration_since(since))
    }

    /// When it has lasted long enough.
    pub fn expires_at(&self) -> Option<Instant> {
        self.since.map(|since| since + REFUSAL_DEADLINE)
    }
}

struct Ejection {
    length: Duration,
    until: Instant,
}

/// Executors that have failed this stream, until when they get no batches of it.
#[derive(Default)]
pub(super) struct EjectedExecutors {
    executors: HashMap<String, Ejection>,
}

impl EjectedExecutors {
    /// It is ejected, for twice as long as the last time.
    pub fn failed(&mut self, executor: &str, now: Instant) {
        let last = self.executors.get(executor).map(|ejection| ejection.length);
        let length = last.map_or(FIRST_EJECTION, |last| (last * 2).min(MAX_EJECTION));
        self.executors.insert(executor.to_owned(), Ejection { length, until: now + length });
    }

    /// It hangs.
    pub fn fell_silent(&mut self, executor: &str, now: Instant) {
        let ejection = Ejection { length: MAX_EJECTION, until: now + SILENT_EJECTION };
        self.executors.insert(executor.to_owned(), ejection);
    }

    /// It works: what was is forgotten.
    pub fn readmit(&mut self, executor: &str) {
        if !self.executors.is_empty() {
            self.executors.remove(executor);
        }
    }

    pub fn contains(&self, executor: &str, now: Instant) -> bool {
        self.executors.get(executor).is_some_and(|ejection| ejection.until > now)
    }

    /// When the first of those that are ejected now is back.
    pub fn next_readmission(&self, now: Instant) -> Option<Instant> {
        self.executors.values().map(|ejection| ejection.until).filter(|until| *until > now).min()
    }
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::ErrorCode;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn tries_are_counted_and_refusals_are_bounded_by_time() {
        let (refused, lost) = (Error::new(ErrorCode::NoCapacity, "full"), Error::new(ErrorCode::ExecutorLost, "gone"));
        assert!(!is_given_up(&refused, 3, 3, REFUSAL_DEADLINE - SECOND), "however often it was tried");
        assert!(is_given_up(&refused, 0, 3, REFUSAL_DEADLINE), "never tried, yet refused for long enough");
        assert!(!is_given_up(&lost, 2, 3, REFUSAL_DEADLINE * 9));
        assert!(is_given_up(&lost, 3, 3, Duration::ZERO));
        let unreached = lost.with(|info| info.has_no_side_effects = true);
        assert!(!is_given_up(&unreached, 3, 3, REFUSAL_DEADLINE - SECOND), "it never had the batch");
    }

    #[test]
    fn only_an_executor_that_takes_a_batch_ends_the_wait() {
        let start = Instant::now();
        let mut refusals = RefusalDeadline::default();
        assert_eq!((refusals.waited(start), refusals.expires_at()), (Duration::ZERO, None));
        refusals.begin(start);
        refusals.refused(start + SECOND, start + SECOND * 2);
        refusals.begin(start + SECOND * 3);
        assert_eq!(
            (refusals.waited(start + SECOND * 4), refusals.expires_at()),
            (SECOND * 4, Some(start + REFUSAL_DEADLINE))
        );

        // In line for a minute at the second executor, then refused: that was no wait for an executor.
        let minute = start + SECOND * 60;
        refusals.refused(start + SECOND * 4, minute);
        assert_eq!(refusals.waited(minute + SECOND), SECOND);
        refusals.accepted();
        assert_eq!(refusals.expires_at(), None);
    }

    #[test]
    fn an_executor_that_keeps_failing_is_asked_less_and_less() {
        let start = Instant::now();
        let mut ejected = EjectedExecutors::default();
        let (mut now, mut asked) = (start, 0);
        while now < start + REFUSAL_DEADLINE {
            asked += 1;
            ejected.failed("a", now);
            assert!(ejected.contains("a", now) && !ejected.contains("b", now));
            now = ejected.next_readmission(now).unwrap();
            assert!(!ejected.contains("a", now), "it is asked again once it is back");
        }
        assert!((8..=12).contains(&asked), "{asked} times in {REFUSAL_DEADLINE:?}");
        assert_eq!(ejected.next_readmission(now), None, "those that are back wake nobody");

        ejected.failed("b", now);
        ejected.failed("a", now);
        assert_eq!(ejected.next_readmission(now), Some(now + FIRST_EJECTION), "the first of all");
        ejected.readmit("a");
        ejected.failed("a", now);
        assert_eq!(ejected.next_readmission(now + FIRST_EJECTION), None, "after an answer it begins anew");
    }
}
