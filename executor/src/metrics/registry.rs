//! The counters of all functions, and which of them have changed since somebody was last told: telling costs what has changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use udfleet_proto::v1::{FunctionMetrics, KeptRowErrors};

use super::{ChangeMarks, FunctionStats};
use crate::capsules::CapsuleStore;

/// Counters of a function that has left stay for several reports to each coordinator.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2);
/// Functions that are gone and are remembered. Who is further behind is told all that there are.
const GONE_KEPT: usize = 1024;

/// The counters of all functions, by `name@version`.
#[derive(Debug, Default)]
pub struct StatsRegistry {
    state: Mutex<RegistryState>,
    /// Those that have changed and have no number for it yet.
    marks: Arc<ChangeMarks>,
    /// Batches of all functions that have arrived and are not answered.
    in_flight: Arc<AtomicU64>,
    /// Batches that failed.
    capsules: Arc<CapsuleStore>,
}

#[derive(Debug, Default)]
struct RegistryState {
    functions: BTreeMap<String, CountedFunction>,
    /// The number of the last change.
    changes: u64,
    by_change: BTreeMap<u64, String>,
    /// Since when the executor has let functions go: they are forgotten once every coordinator has been told.
    left: BTreeMap<String, Instant>,
    /// Those that were forgotten last, by the numbers of these changes.
    gone: BTreeMap<u64, String>,
    /// The newest of those that are not remembered any more.
    gone_before: u64,
}

#[derive(Debug, Default)]
struct CountedFunction {
    stats: Arc<FunctionStats>,
    /// The number of its last change; 0: it has none yet.
    changed: u64,
}

/// What is new since a change.
#[derive(Debug, Default)]
pub struct MetricsNews {
    /// Functions that have changed, as they are now.
    pub changed: Vec<FunctionMetrics>,
    /// Functions that are there no more.
    pub gone: Vec<String>,
    /// `changed` is all that there are.
    pub whole: bool,
    /// The change that this leads to.
    pub change: u64,
}

impl RegistryState {
    fn next_change(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    /// Gives changes that were marked their numbers.
    fn number(&mut self, marked: Vec<Arc<str>>) {
        for name in marked {
            let change = self.next_change();
            if let Some(function) = self.functions.get_mut(&*name) {
                // Before it is read: what changes from now on is marked again.
                function.stats.unmark();
                self.by_change.remove(&function.changed);
                function.changed = change;
                self.by_change.insert(change, name.to_string());
            }
        }
    }

    fn forget_those_that_left(&mut self, now: Instant) {
        let long_ago = |_: &String, left: &mut Instant| now.saturating_duration_since(*left) >= FORGOTTEN_AFTER;
        let names: Vec<String> = self.left.extract_if(.., long_ago).map(|(name, _)| name).collect();
        for name in names {
            let Some(function) = self.functions.remove(&name) else { continue };
            self.by_change.remove(&function.changed);
            let change = self.next_change();
            self.gone.insert(change, name);
        }
        while self.gone.len() > GONE_KEPT
            && let Some((change, _)) = self.gone.pop_first()
        {
            self.gone_before = change;
        }
    }
}

impl StatsRegistry {
    /// The counters of a function, from zero where there are none.
    #[must_use]
    pub fn function(&self, versioned: &str) -> Arc<FunctionStats> {
        let mut state = self.state.lock();
        state.left.remove(versioned);
        if let Some(function) = state.functions.get(versioned) {
            return Arc::clone(&function.stats);
        }
        let stats = Arc::new(FunctionStats::of(versioned, &self.marks, &self.in_flight, &self.capsules));
        stats.mark();
        state.functions.insert(versioned.to_owned(), CountedFunction { stats: Arc::clone(&stats), changed: 0 });
        stats
    }

    /// Batches that have arrived and are not answered.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Batches of all functions that failed, where these keep them.
    #[must_use]
    pub fn capsules(&self) -> &CapsuleStore {
        &self.capsules
    }

    /// The counters of a function, where there are any.
    #[must_use]
    pub fn known(&self, versioned: &str) -> Option<Arc<FunctionStats>> {
        self.state.lock().functions.get(versioned).map(|function| Arc::clone(&function.stats))
    }

    /// An interpreter has ended: what its user code has counted stays.
    pub fn interpreter_ended(&self, interpreter: u64) {
        self.state.lock().functions.values().for_each(|function| function.stats.interpreter_ended(interpreter));
    }

    /// The rows that failed and did not fail their streams, of functions that `wanted` names.
    #[must_use]
    pub fn row_errors(&self, executor: &str, wanted: impl Fn(&str) -> bool) -> Vec<KeptRowErrors> {
        let state = self.state.lock();
        let chosen = state.functions.iter().filter(|(name, _)| wanted(name));
        let kept = chosen.map(|(name, function)| function.stats.kept_row_errors(executor, name));
        kept.filter(|errors| errors.count > 0).collect()
    }

    /// Forgets the counters of a function that this executor has let go, once each coordinator has had a report of them.
    pub fn forget(&self, versioned: &str) {
        let mut state = self.state.lock();
        self.capsules.forget(versioned);
        if state.functions.contains_key(versioned) {
            state.left.insert(versioned.to_owned(), Instant::now());
        }
    }

    /// What has changed since a change (0: ever), for who sums it. Functions that have left are told for a while.
    #[must_use]
    pub fn news(&self, after: u64, now: Instant) -> MetricsNews {
        let mut state = self.state.lock();
        state.forget_those_that_left(now);
        state.number(self.marks.take());
        let whole = after == 0 || after < state.gone_before;
        let after = if whole { 0 } else { after };
        let metrics = |(_, name): (&u64, &String)| Some(state.functions.get(name)?.stats.snapshot(name));
        let gone = |(_, name): (&u64, &String)| (!state.functions.contains_key(name)).then(|| name.clone());
        MetricsNews {
            changed: state.by_change.range(after + 1..).filter_map(metrics).collect(),
            gone: if whole { Vec::new() } else { state.gone.range(after + 1..).filter_map(gone).collect() },
            whole,
            change: state.changes,
        }
    }

    /// All counters now.
    #[must_use]
    pub fn snapshot(&self) -> Vec<FunctionMetrics> {
        self.state.lock().functions.iter().map(|(name, function)| function.stats.snapshot(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::BatchRecord;
    use super::*;

    fn rows(news: &MetricsNews) -> Vec<(&str, u64)> {
        news.changed.iter().map(|m| (m.function.as_str(), m.rows)).collect()
    }

    fn count(registry: &StatsRegistry, name: &str) {
        registry.function(name).answered(&BatchRecord { rows: 1, ..BatchRecord::default() });
    }

    #[test]
    fn what_has_left_is_reported_to_each_coordinator_unless_it_comes_back() {
        let registry = StatsRegistry::default();
        for name in ["f@1", "g@1"] {
            count(&registry, name);
            registry.forget(name);
        }
        let _back = registry.function("g@1");
        let now = Instant::now();
        // Each coordinator has a report of its own.
        for _ in 0..3 {
            assert_eq!(rows(&registry.news(0, now)), [("f@1", 1), ("g@1", 1)]);
        }
        let told = registry.news(0, now).change;
        let news = registry.news(told, now + 2 * FORGOTTEN_AFTER);
        assert_eq!((rows(&news), news.gone.clone(), news.whole), (vec![], vec!["f@1".to_owned()], false));
        count(&registry, "f@1");
        let news = registry.news(told, now + 2 * FORGOTTEN_AFTER);
        assert_eq!((rows(&news), news.gone.len()), (vec![("f@1", 1)], 0), "it is back, from zero");
    }

    #[test]
    fn each_coordinator_is_told_what_has_changed_since_it_was_told_last() {
        let (registry, now) = (StatsRegistry::default(), Instant::now());
        for number in 0..1000 {
            let _counters = registry.function(&format!("f{number}@1"));
        }
        let first = registry.news(0, now);
        assert_eq!((first.changed.len(), first.whole), (1000, true), "also those that were never called");
        assert!(registry.news(first.change, now).changed.is_empty());
        count(&registry, "f7@1");
        let second = registry.news(first.change, now);
        assert_eq!(rows(&second), [("f7@1", 1)]);
        let held = registry.function("f8@1").arrived();
        assert_eq!(registry.in_flight(), 1);
        let third = registry.news(second.change, now);
        assert_eq!(third.changed.iter().map(|m| (m.in_flight, m.rows)).collect::<Vec<_>>(), [(1, 0)]);
        assert_eq!(rows(&registry.news(first.change, now)), [("f7@1", 1), ("f8@1", 0)], "another coordinator");
        drop(held);
        assert_eq!(registry.in_flight(), 0);
        registry.function("f8@1").saw_memory(5);
        let fourth = registry.news(third.change, now);
        assert_eq!((rows(&fourth), fourth.changed[0].peak_memory_bytes), (vec![("f8@1", 0)], 5));
        registry.function("f8@1").saw_memory(4);
        assert!(registry.news(fourth.change, now).changed.is_empty(), "no news");
    }

    #[test]
    fn who_is_far_behind_is_told_all() {
        let (registry, now) = (StatsRegistry::default(), Instant::now());
        count(&registry, "kept@1");
        let seen = registry.news(0, now).change;
        for number in 0..=GONE_KEPT {
            let name = format!("f{number}@1");
            count(&registry, &name);
            registry.forget(&name);
        }
        let later = registry.news(seen, now + 2 * FORGOTTEN_AFTER);
        assert_eq!((rows(&later), later.gone.len(), later.whole), (vec![("kept@1", 1)], 0, true));
        assert!(!registry.news(later.change, now).whole);
    }
}
