//! Metrics of functions on this executor, cumulative since the process started.

mod registry;
mod user;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use udfleet_proto::batch_rows;
use udfleet_proto::error_groups;
use udfleet_proto::histogram::Histogram;
use udfleet_proto::v1::{ErrorGroup, ErrorInfo, FunctionMetrics, FunctionRowErrors, KeptRowErrors, UserMetric};

use crate::capsules::CapsuleStore;

pub use registry::{MetricsNews, StatsRegistry};
use user::UserNumbers;

/// Of the rows of a function that failed and did not fail their stream, so many errors are kept whole.
const KEPT_ERRORS: usize = 10;

/// What one answered batch adds.
#[derive(Debug, Clone, Copy, Default)]
pub struct BatchRecord {
    /// Rows of the input.
    pub rows: u64,
    /// Bytes of the input's body.
    pub bytes_in: u64,
    /// Bytes of the output's body.
    pub bytes_out: u64,
    /// Waiting for an interpreter, nanoseconds.
    pub queue_ns: u64,
    /// To the interpreter and back, nanoseconds.
    pub transfer_ns: u64,
    /// Between Arrow and Python, nanoseconds.
    pub convert_ns: u64,
    /// In the user's code, nanoseconds.
    pub run_ns: u64,
    /// CPU of the interpreter, nanoseconds.
    pub cpu_ns: u64,
    /// From arrival to answer, nanoseconds.
    pub total_ns: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// It failed.
    pub failed: bool,
    /// It went to an interpreter together with others.
    pub merged: bool,
}

/// Functions whose counters have changed since they were last looked at, each once.
#[derive(Debug, Default)]
struct ChangeMarks(Mutex<Vec<Arc<str>>>);

impl ChangeMarks {
    fn take(&self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.0.lock())
    }
}

/// Counters of one function.
#[derive(Debug, Default)]
pub struct FunctionStats {
    name: Arc<str>,
    marks: Arc<ChangeMarks>,
    /// It is among the marked ones.
    marked: AtomicBool,
    in_flight: AtomicU64,
    /// Of all functions.
    all_in_flight: Arc<AtomicU64>,
    counted: Mutex<Counted>,
    user: Mutex<UserNumbers>,
    first_errors: Mutex<Vec<ErrorInfo>>,
    failures: Mutex<Vec<ErrorGroup>>,
    /// Of all functions.
    capsules: Arc<CapsuleStore>,
}

#[derive(Debug, Default)]
struct Counted {
    metrics: FunctionMetrics,
    latency: Histogram,
}

/// Counts a batch as in flight until dropped.
#[derive(Debug)]
pub struct InFlight(Arc<FunctionStats>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.all_in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.mark();
    }
}

impl FunctionStats {
    fn of(name: &str, marks: &Arc<ChangeMarks>, all_in_flight: &Arc<AtomicU64>, capsules: &Arc<CapsuleStore>) -> Self {
        let (marks, all_in_flight, capsules) = (Arc::clone(marks), Arc::clone(all_in_flight), Arc::clone(capsules));
        Self { name: name.into(), marks, all_in_flight, capsules, ..Self::default() }
    }

    /// Where batches are kept that failed.
    #[must_use]
    pub fn capsules(&self) -> &CapsuleStore {
        &self.capsules
    }

    /// After each change. Calls pay for one flag, which is set already unless a report was made since.
    fn mark(&self) {
        if !self.marked.swap(true, Ordering::AcqRel) {
            self.marks.0.lock().push(Arc::clone(&self.name));
        }
    }

    fn unmark(&self) {
        self.marked.swap(false, Ordering::AcqRel);
    }

    /// A batch has arrived.
    #[must_use]
    pub fn arrived(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.all_in_flight.fetch_add(1, Ordering::Relaxed);
        self.mark();
        InFlight(Arc::clone(self))
    }

    /// Batches that have arrived and are not answered.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// A batch has been answered.
    pub fn answered(&self, batch: &BatchRecord) {
        let mut counted = self.counted.lock();
        let m = &mut counted.metrics;
        m.calls += 1;
        m.rows += batch.rows;
        batch_rows::record(&mut m.batch_rows, batch.rows);
        m.errors += u64::from(batch.failed);
        m.retries += batch.retries;
        m.merged += u64::from(batch.merged);
        m.bytes_in += batch.bytes_in;
        m.bytes_out += batch.bytes_out;
        m.queue_ns += batch.queue_ns;
        m.transfer_ns += batch.transfer_ns;
        m.convert_ns += batch.convert_ns;
        m.run_ns += batch.run_ns;
        m.cpu_ns += batch.cpu_ns;
        m.latency_ns += batch.total_ns;
        counted.latency.record(batch.total_ns);
        drop(counted);
        self.mark();
    }

    /// What an answered batch has failed with.
    pub fn failed(&self, error: &ErrorInfo) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        error_groups::record(&mut self.failures.lock(), error, now.as_millis() as i64);
        self.mark();
    }

    /// Rows have failed and have not failed their stream.
    pub fn row_errors(&self, errors: FunctionRowErrors) {
        self.counted.lock().metrics.row_errors += errors.count;
        let mut kept = self.first_errors.lock();
        let room = KEPT_ERRORS.saturating_sub(kept.len());
        kept.extend(errors.first.into_iter().take(room));
        drop(kept);
        self.mark();
    }

    fn kept_row_errors(&self, executor: &str, function: &str) -> KeptRowErrors {
        let count = self.counted.lock().metrics.row_errors;
        let (function, executor) = (function.to_owned(), executor.to_owned());
        KeptRowErrors { executor, function, count, first: self.first_errors.lock().clone() }
    }

    /// An interpreter says what of its user metrics has changed. `interpreter` is never used again after its end.
    pub fn user_metrics(&self, interpreter: u64, metrics: Vec<UserMetric>) {
        self.user.lock().tell(interpreter, metrics);
        self.mark();
    }

    /// Its sums stay.
    fn interpreter_ended(&self, interpreter: u64) {
        self.user.lock().ended(interpreter);
    }

    /// The user metrics, summed over interpreters.
    #[must_use]
    pub fn user(&self) -> Vec<UserMetric> {
        self.user.lock().sum()
    }

    /// The most memory that an interpreter of the function has been seen to hold, bytes.
    pub fn saw_memory(&self, bytes: u64) {
        let mut counted = self.counted.lock();
        if bytes > counted.metrics.peak_memory_bytes {
            counted.metrics.peak_memory_bytes = bytes;
            drop(counted);
            self.mark();
        }
    }

    fn snapshot(&self, name: &str) -> FunctionMetrics {
        let counted = self.counted.lock();
        FunctionMetrics {
            function: name.to_owned(),
            in_flight: self.in_flight(),
            latency: Some(counted.latency.to_proto()),
            user: self.user.lock().sum(),
            failures: self.failures.lock().clone(),
            ..counted.metrics.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_add_up() {
        let registry = StatsRegistry::default();
        let stats = registry.function("f@1");
        let held = stats.arrived();
        for failed in [false, true] {
            stats.answered(&BatchRecord { rows: 10, run_ns: 5, total_ns: 1_000_000, failed, ..BatchRecord::default() });
        }
        stats.saw_memory(7);
        stats.saw_memory(3);
        let snapshot = registry.snapshot();
        let m = &snapshot[0];
        assert_eq!(m.batch_rows, [0, 0, 0, 0, 2], "both have 8 to 15 rows");
        assert_eq!((m.calls, m.rows, m.errors, m.run_ns, m.in_flight, m.peak_memory_bytes), (2, 20, 1, 10, 1, 7));
        assert_eq!(Histogram::from_proto(m.latency.as_ref().unwrap()).count(), 2);
        drop(held);
        assert_eq!(registry.snapshot()[0].in_flight, 0);
    }

    #[test]
    fn row_errors_are_counted_and_the_first_are_kept_whole() {
        let registry = StatsRegistry::default();
        let stats = registry.function("f@1");
        let _none = registry.function("g@1");
        for batch in 0..3 {
            let error = |row| ErrorInfo { message: format!("{batch}"), row: Some(row), ..ErrorInfo::default() };
            let first = (0..5).map(error).collect();
            stats.row_errors(FunctionRowErrors { function: 7, count: 100, first });
        }
        let kept = registry.row_errors("e", |_| true);
        assert_eq!(kept.len(), 1, "only functions that have some");
        assert_eq!((kept[0].count, kept[0].first.len(), kept[0].executor.as_str()), (300, KEPT_ERRORS, "e"));
        assert_eq!(kept[0].first[KEPT_ERRORS - 1].message, "1", "the first ones");
        assert_eq!(registry.snapshot()[0].row_errors, 300);
        assert!(registry.row_errors("e", |name| name == "g@1").is_empty());
    }
}
