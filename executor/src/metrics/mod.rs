//! Metrics of functions on this executor, cumulative since the process started.

mod user;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use udfleet_proto::error_groups;
use udfleet_proto::histogram::Histogram;
use udfleet_proto::v1::{ErrorGroup, ErrorInfo, FunctionMetrics, FunctionRowErrors, KeptRowErrors, UserMetric};

use user::UserNumbers;

/// Of the rows of a function that failed and did not fail their stream, so many errors are kept whole.
const KEPT_ERRORS: usize = 10;
/// Counters of a function that has left stay for several reports to each coordinator.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2);

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

/// Counters of one function.
#[derive(Debug, Default)]
pub struct FunctionStats {
    in_flight: AtomicU64,
    /// Since when the executor has let the function go: they are forgotten once every coordinator has been told.
    left: Mutex<Option<Instant>>,
    counted: Mutex<Counted>,
    user: Mutex<UserNumbers>,
    first_errors: Mutex<Vec<ErrorInfo>>,
    failures: Mutex<Vec<ErrorGroup>>,
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
    }
}

impl FunctionStats {
    /// A batch has arrived.
    #[must_use]
    pub fn arrived(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
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
        counted.latency.record(batch.total_ns);
    }

    /// What an answered batch has failed with.
    pub fn failed(&self, error: &ErrorInfo) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        error_groups::record(&mut self.failures.lock(), error, now.as_millis() as i64);
    }

    /// Rows have failed and have not failed their stream.
    pub fn row_errors(&self, errors: FunctionRowErrors) {
        self.counted.lock().metrics.row_errors += errors.count;
        let mut kept = self.first_errors.lock();
        let room = KEPT_ERRORS.saturating_sub(kept.len());
        kept.extend(errors.first.into_iter().take(room));
    }

    /// An interpreter says what of its user metrics has changed. `interpreter` is never used again after its end.
    pub fn user_metrics(&self, interpreter: u64, metrics: Vec<UserMetric>) {
        self.user.lock().tell(interpreter, metrics);
    }

    /// The user metrics, summed over interpreters.
    #[must_use]
    pub fn user(&self) -> Vec<UserMetric> {
        self.user.lock().sum()
    }

    /// The most memory that an interpreter of the function has been seen to hold, bytes.
    pub fn saw_memory(&self, bytes: u64) {
        let peak = &mut self.counted.lock().metrics.peak_memory_bytes;
        *peak = bytes.max(*peak);
    }
}

/// The counters of all functions, by `name@version`.
#[derive(Debug, Default)]
pub struct StatsRegistry {
    functions: Mutex<BTreeMap<String, Arc<FunctionStats>>>,
}

impl StatsRegistry {
    /// The counters of a function, from zero where there are none.
    #[must_use]
    pub fn function(&self, versioned: &str) -> Arc<FunctionStats> {
        let mut functions = self.functions.lock();
        if let Some(stats) = functions.get(versioned) {
            *stats.left.lock() = None;
            return Arc::clone(stats);
        }
        let stats = Arc::<FunctionStats>::default();
        functions.insert(versioned.to_owned(), Arc::clone(&stats));
        stats
    }

    /// The counters of a function, where there are any.
    #[must_use]
    pub fn known(&self, versioned: &str) -> Option<Arc<FunctionStats>> {
        self.functions.lock().get(versioned).cloned()
    }

    /// An interpreter has ended: what its user code has counted stays.
    pub fn interpreter_ended(&self, interpreter: u64) {
        self.functions.lock().values().for_each(|stats| stats.user.lock().ended(interpreter));
    }

    /// The rows that failed and did not fail their streams, of functions that `wanted` names.
    #[must_use]
    pub fn row_errors(&self, executor: &str, wanted: impl Fn(&str) -> bool) -> Vec<KeptRowErrors> {
        let kept = |(function, stats): (&String, &Arc<FunctionStats>)| {
            let count = stats.counted.lock().metrics.row_errors;
            let (function, executor) = (function.clone(), executor.to_owned());
            KeptRowErrors { executor, function, count, first: stats.first_errors.lock().clone() }
        };
        let functions = self.functions.lock();
        let chosen = functions.iter().filter(|(name, _)| wanted(name)).map(kept);
        chosen.filter(|errors| errors.count > 0).collect()
    }

    /// Forgets the counters of a function that this executor has let go, once each coordinator has had a report of them.
    pub fn forget(&self, versioned: &str) {
        if let Some(stats) = self.functions.lock().get(versioned) {
            *stats.left.lock() = Some(Instant::now());
        }
    }

    /// All counters now, for who sums them: those of functions that have left are told for a while.
    #[must_use]
    pub fn report(&self, now: Instant) -> Vec<FunctionMetrics> {
        let mut functions = self.functions.lock();
        let left = |stats: &FunctionStats| *stats.left.lock();
        functions
            .retain(|_, stats| left(stats).is_none_or(|left| now.saturating_duration_since(left) < FORGOTTEN_AFTER));
        snapshot(&functions)
    }

    /// All counters now.
    #[must_use]
    pub fn snapshot(&self) -> Vec<FunctionMetrics> {
        snapshot(&self.functions.lock())
    }
}

fn snapshot(functions: &BTreeMap<String, Arc<FunctionStats>>) -> Vec<FunctionMetrics> {
    let one = |(name, stats): (&String, &Arc<FunctionStats>)| {
        let counted = stats.counted.lock();
        FunctionMetrics {
            function: name.clone(),
            in_flight: stats.in_flight(),
            latency: Some(counted.latency.to_proto()),
            user: stats.user.lock().sum(),
            failures: stats.failures.lock().clone(),
            ..counted.metrics.clone()
        }
    };
    functions.iter().map(one).collect()
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

    #[test]
    fn what_has_left_is_reported_to_each_coordinator_unless_it_comes_back() {
        let registry = StatsRegistry::default();
        for name in ["f@1", "g@1"] {
            registry.function(name).answered(&BatchRecord { rows: 1, ..BatchRecord::default() });
            registry.forget(name);
        }
        let _back = registry.function("g@1");
        let rows =
            |metrics: Vec<FunctionMetrics>| metrics.into_iter().map(|m| (m.function, m.rows)).collect::<Vec<_>>();
        let now = Instant::now();
        // Each coordinator has a report of its own.
        for _ in 0..3 {
            assert_eq!(rows(registry.report(now)), [("f@1".to_owned(), 1), ("g@1".to_owned(), 1)]);
        }
        assert_eq!(rows(registry.report(now + 2 * FORGOTTEN_AFTER)), [("g@1".to_owned(), 1)]);
    }
}
