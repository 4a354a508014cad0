//! Measures the memory of interpreters, with what functions have started in them, and kills those beyond their limit.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use udfleet_edge::tracked::Difference;
use udfleet_proto::config::{MEMORY_LIMIT, MEMORY_MANAGED};
use udfleet_proto::v1::FunctionDefinition;

use super::process_tree::{ProcessMemory, ProcessTable, taken};
use crate::link::Interpreter;
use crate::metrics::FunctionStats;
use crate::oom;

/// How often the memory of interpreters themselves is measured.
const PERIOD: Duration = Duration::from_millis(100);
/// Every so many times that of the processes that they have started is measured too, which costs more.
const WHOLE_EVERY: u32 = 5;

/// The most processes that the functions of an interpreter may have started.
const MOST_PROCESSES: usize = 512;

/// What the functions of an environment say about memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryRule {
    /// The smallest `udfleet.memory.limit`.
    pub explicit: Option<u64>,
    /// No function has turned `python.fn-execution.memory.managed` off.
    pub managed: bool,
}

/// The functions of an interpreter, as far as its rule is concerned.
#[derive(Debug, Default)]
pub struct MemoryRules {
    /// How many functions set each limit.
    limits: BTreeMap<u64, usize>,
    /// How many have turned off that it is managed.
    unmanaged: usize,
}

impl MemoryRules {
    /// A function is there that was not, or another, or none any more.
    pub fn change(&mut self, before: Option<&FunctionDefinition>, now: Option<&FunctionDefinition>) {
        let limit = |function: Option<&FunctionDefinition>| function.and_then(|f| MEMORY_LIMIT.size(&f.config));
        let unmanaged = |function: Option<&FunctionDefinition>| {
            usize::from(function.is_some_and(|f| !MEMORY_MANAGED.boolean(&f.config)))
        };
        if let Some(limit) = limit(now) {
            *self.limits.entry(limit).or_default() += 1;
        }
        if let Some(limit) = limit(before)
            && let Some(count) = self.limits.get_mut(&limit)
        {
            *count -= 1;
            if *count == 0 {
                self.limits.remove(&limit);
            }
        }
        self.unmanaged = (self.unmanaged + unmanaged(now)).saturating_sub(unmanaged(before));
    }

    /// What they say together.
    #[must_use]
    pub fn rule(&self) -> MemoryRule {
        MemoryRule { explicit: self.limits.keys().next().copied(), managed: self.unmanaged == 0 }
    }
}

impl MemoryRule {
    /// The bytes that one of `interpreters` may take of `budget`; `None`: no limit.
    #[must_use]
    pub fn limit(self, budget: u64, interpreters: usize) -> Option<u64> {
        let share = self.managed.then(|| budget / interpreters.max(1) as u64);
        self.explicit.or(share)
    }
}

/// Functions are told of a peak that is higher by so much, bytes: each loads a little, and all are reported when it changes.
const PEAK_STEP: u64 = 1 << 20;

/// A share of the budget leaves an interpreter this much more than the largest takes, in halves.
const HEADROOM_HALVES: u64 = 3;
/// The least that an interpreter should have.
const LEAST_SHARE: u64 = 128 << 20;

/// How many more interpreters like these the budget bears, so that the share of each leaves the largest some headroom.
fn room(budget: u64, taken: impl ExactSizeIterator<Item = u64>) -> u32 {
    let count = taken.len() as u64;
    let largest = taken.max().unwrap_or(0);
    let share = (largest / 2 * HEADROOM_HALVES).max(LEAST_SHARE);
    u32::try_from((budget / share).saturating_sub(count)).unwrap_or(u32::MAX)
}

struct Watched {
    interpreter: Interpreter,
    rule: MemoryRule,
    /// Of its functions, by their numbers.
    stats: BTreeMap<u32, Arc<FunctionStats>>,
    rss: u64,
    /// What is to be added to the memory of the interpreter's own process, when last measured.
    beside: i64,
    /// The last peak that its functions were told.
    told: u64,
}

impl Watched {
    /// The bytes that it takes; `None` for one that has just ended. With `table` all of it is measured anew.
    fn measure(&mut self, pid: u32, table: Option<&ProcessTable>) -> Option<u64> {
        let carries = self.interpreter.shared_bytes();
        let own = ProcessMemory::whole(pid)?;
        let own = own.private + own.shared.saturating_sub(carries);
        if let Some(table) = table {
            let started = table.started_by(pid);
            if started.len() > MOST_PROCESSES {
                tracing::warn!(pid, processes = started.len(), "interpreter with too many processes is killed");
                self.interpreter.kill_for_processes(MOST_PROCESSES);
                return None;
            }
            let whole = taken(pid, &started, carries)?;
            self.beside = whole.cast_signed() - own.cast_signed();
        }
        Some(own.saturating_add_signed(self.beside))
    }
}

/// All interpreters of this node.
pub struct MemoryWatch {
    budget: u64,
    watched: Mutex<HashMap<u32, Watched>>,
}

impl MemoryWatch {
    /// Divides `budget` bytes.
    #[must_use]
    pub fn new(budget: u64) -> Self {
        Self { budget, watched: Mutex::default() }
    }

    /// Watches an interpreter, or changes its rule, and what of its functions has `changed`: `stats` gives the counters of those
    /// that are new to it.
    pub fn set(
        &self,
        interpreter: &Interpreter,
        rule: MemoryRule,
        changed: &[Difference<'_, u32, Arc<FunctionDefinition>>],
        stats: impl Fn(&FunctionDefinition) -> Arc<FunctionStats>,
    ) {
        let mut watched = self.watched.lock();
        let held = watched.entry(interpreter.pid()).or_insert_with(|| Watched {
            interpreter: interpreter.clone(),
            rule,
            stats: BTreeMap::new(),
            rss: 0,
            beside: 0,
            told: 0,
        });
        held.rule = rule;
        for Difference { key: number, now, .. } in changed {
            held.stats.remove(number);
            if let Some(definition) = now {
                let stats = stats(definition);
                stats.saw_memory(held.told);
                held.stats.insert(**number, stats);
            }
        }
    }

    /// Watches it no more.
    pub fn remove(&self, pid: u32) {
        self.watched.lock().remove(&pid);
    }

    /// How many interpreters there are, and the bytes that they held when last measured.
    #[must_use]
    pub fn totals(&self) -> (u32, u64) {
        let watched = self.watched.lock();
        (watched.len() as u32, watched.values().map(|w| w.rss).sum())
    }

    /// How many more interpreters the memory budget bears.
    #[must_use]
    pub fn room(&self) -> u32 {
        room(self.budget, self.watched.lock().values().map(|watched| watched.rss))
    }

    /// Measures for ever.
    pub async fn run(&self) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        (0..2).for_each(|_| oom::note());
        for tick in (0..WHOLE_EVERY).cycle() {
            ticks.tick().await;
            let whole = tick == 0 && !self.watched.lock().is_empty();
            if tick == 0 {
                oom::note();
            }
            self.measure(whole.then(ProcessTable::read).as_ref());
        }
    }

    fn measure(&self, table: Option<&ProcessTable>) {
        let mut watched = self.watched.lock();
        let count = watched.len();
        for (pid, watched) in watched.iter_mut() {
            let Some(rss) = watched.measure(*pid, table) else { continue };
            if rss >= watched.told + PEAK_STEP {
                watched.stats.values().for_each(|stats| stats.saw_memory(rss));
                watched.told = rss;
            }
            watched.rss = rss;
            if let Some(limit) = watched.rule.limit(self.budget, count).filter(|limit| rss > *limit) {
                tracing::warn!(pid, rss, limit, "interpreter beyond its memory limit is killed");
                watched.interpreter.kill_for_memory(rss, limit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(config: &[(&str, &str)]) -> FunctionDefinition {
        let config = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        FunctionDefinition { config, ..FunctionDefinition::default() }
    }

    #[test]
    fn the_smallest_limit_wins_else_the_share() {
        let limit = |functions: &[FunctionDefinition]| {
            let mut rules = MemoryRules::default();
            let passing = function(&[(MEMORY_LIMIT.name, "1"), (MEMORY_MANAGED.name, "false")]);
            functions.iter().chain([&passing, &passing]).for_each(|f| rules.change(None, Some(f)));
            rules.change(Some(&passing), None);
            rules.change(Some(&passing), functions.first());
            functions.first().into_iter().for_each(|f| rules.change(Some(f), None));
            rules.rule().limit(1000, 4)
        };
        let (small, large) = (function(&[(MEMORY_LIMIT.name, "10")]), function(&[(MEMORY_LIMIT.name, "5000")]));
        let unmanaged = function(&[(MEMORY_MANAGED.name, "false")]);
        assert_eq!(limit(&[function(&[])]), Some(250));
        assert_eq!(limit(std::slice::from_ref(&large)), Some(5000));
        assert_eq!(limit(&[large, small.clone(), function(&[])]), Some(10));
        assert_eq!(limit(&[function(&[]), unmanaged.clone()]), None);
        assert_eq!(limit(&[small, unmanaged]), Some(10));
    }

    #[test]
    fn there_is_room_as_long_as_the_largest_keeps_headroom() {
        let gib = 1 << 30;
        assert_eq!(room(6 * gib, [gib, gib / 10].into_iter()), 2);
        assert_eq!(room(gib, [gib / 2].into_iter()), 0);
        assert_eq!(room(gib, [].into_iter()), 8);
    }
}
