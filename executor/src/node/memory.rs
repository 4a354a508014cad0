//! Measures the memory of interpreters and kills those beyond their limit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use udfleet_proto::config::{MEMORY_LIMIT, MEMORY_MANAGED};
use udfleet_proto::v1::FunctionDefinition;

use crate::link::Interpreter;
use crate::metrics::FunctionStats;

/// How often memory is measured.
const PERIOD: Duration = Duration::from_millis(100);

/// What the functions of an environment say about memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryRule {
    /// The smallest `udfleet.memory.limit`.
    pub explicit: Option<u64>,
    /// No function has turned `python.fn-execution.memory.managed` off.
    pub managed: bool,
}

impl MemoryRule {
    /// The rule of an environment with these functions.
    pub fn of<'a>(functions: impl Iterator<Item = &'a FunctionDefinition> + Clone) -> Self {
        Self {
            explicit: functions.clone().filter_map(|f| MEMORY_LIMIT.size(&f.config)).min(),
            managed: functions.clone().all(|f| MEMORY_MANAGED.boolean(&f.config)),
        }
    }

    /// The bytes that one of `interpreters` may take of `budget`; `None`: no limit.
    #[must_use]
    pub fn limit(self, budget: u64, interpreters: usize) -> Option<u64> {
        let share = self.managed.then(|| budget / interpreters.max(1) as u64);
        self.explicit.or(share)
    }
}

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
    stats: Vec<Arc<FunctionStats>>,
    rss: u64,
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

    /// Watches an interpreter, or changes its rule.
    pub fn set(&self, interpreter: &Interpreter, rule: MemoryRule, stats: Vec<Arc<FunctionStats>>) {
        let mut watched = self.watched.lock();
        let rss = watched.get(&interpreter.pid()).map_or(0, |w| w.rss);
        watched.insert(interpreter.pid(), Watched { interpreter: interpreter.clone(), rule, stats, rss });
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
        loop {
            ticks.tick().await;
            self.measure();
        }
    }

    fn measure(&self) {
        let mut watched = self.watched.lock();
        let count = watched.len();
        for (pid, watched) in watched.iter_mut() {
            // An interpreter that has just ended has no status.
            let Some(rss) = rss(*pid, watched.interpreter.shared_bytes()) else { continue };
            if rss > watched.rss {
                watched.stats.iter().for_each(|stats| stats.saw_memory(rss));
            }
            watched.rss = rss;
            if let Some(limit) = watched.rule.limit(self.budget, count).filter(|limit| rss > *limit) {
                tracing::warn!(pid, rss, limit, "interpreter beyond its memory limit is killed");
                watched.interpreter.kill_for_memory(rss, limit);
            }
        }
    }
}

/// Memory of a process that is its own doing, bytes.
fn rss(pid: u32, carries_batches: u64) -> Option<u64> {
    own(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?, carries_batches)
}

/// Private memory, and shared memory beyond what carries batches: regions that a function keeps referring to.
fn own(status: &str, carries_batches: u64) -> Option<u64> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
    };
    Some(field("RssAnon:")? + field("RssShmem:")?.saturating_sub(carries_batches))
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
        let limit = |functions: &[FunctionDefinition]| MemoryRule::of(functions.iter()).limit(1000, 4);
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

    #[test]
    fn own_memory_is_private_and_what_it_keeps_of_batches() {
        let status = "VmRSS:\t  9 kB\nRssAnon:\t     120 kB\nRssFile:\t 4 kB\nRssShmem:\t  50 kB";
        assert_eq!(own(status, 20 << 10), Some(150 << 10));
        assert_eq!(own(status, 60 << 10), Some(120 << 10));
        assert!(rss(std::process::id(), 0).unwrap() > 100 << 10);
        assert_eq!(rss(u32::MAX, 0), None);
    }
}
