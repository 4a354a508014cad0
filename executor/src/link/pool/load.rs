//! The load of a pool: for scaling, for routing, and as text for people.

use std::sync::Arc;
use std::time::Duration;

use udfleet_proto::v1::{EnvironmentLoad, FunctionWait};

/// Shorter waits are not reported.
const REPORTED_WAIT: Duration = Duration::from_millis(100);
/// Functions of one environment whose waits are reported.
const MOST_REPORTED: usize = 20;

/// A lane whose calls wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingLane {
    /// `slow@1`
    pub name: Arc<str>,
    /// Calls that wait.
    pub calls: usize,
    /// Since the oldest of them arrived.
    pub oldest: Duration,
}

/// An interpreter that a long call holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongCall {
    /// `slow@1`
    pub name: Arc<str>,
    /// Since it began.
    pub running: Duration,
}

/// The interpreters of a pool and the calls that wait for them, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolLoad {
    /// Interpreters in service.
    pub interpreters: usize,
    /// Of these, how many have no call.
    pub idle: usize,
    /// Those that long calls hold, the longest first.
    pub held: Vec<LongCall>,
    /// Functions and stages whose calls wait.
    pub queues: Vec<WaitingLane>,
    /// Of the time of the latest calls, how much was computation rather than waiting, percent.
    pub computing_percent: u32,
}

impl PoolLoad {
    /// True where a call that came now would wait for long.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.interpreters > 0 && self.held.len() >= self.interpreters
    }

    /// True where long calls hold all interpreters, and calls of other functions wait.
    #[must_use]
    pub fn blocks_others(&self) -> bool {
        let holds = |queue: &WaitingLane| self.held.iter().any(|call| call.name == queue.name);
        self.is_blocked() && self.queues.iter().any(|queue| !holds(queue))
    }

    /// For reports. `environment`: its hash.
    #[must_use]
    pub fn report(&self, environment: &str) -> EnvironmentLoad {
        let mut late: Vec<&WaitingLane> = self.queues.iter().filter(|queue| queue.oldest >= REPORTED_WAIT).collect();
        late.sort_by_key(|queue| std::cmp::Reverse(queue.oldest));
        let mut waits: Vec<FunctionWait> = Vec::new();
        for (queue, function) in late.iter().flat_map(|queue| queue.functions().map(move |function| (queue, function)))
        {
            if waits.len() < MOST_REPORTED && waits.iter().all(|wait| wait.function != function) {
                waits.push(FunctionWait {
                    function: function.to_owned(),
                    calls: queue.calls as u32,
                    oldest_ms: queue.oldest.as_millis() as u64,
                    reason: self.reason(function),
                });
            }
        }
        EnvironmentLoad {
            environment: environment.to_owned(),
            interpreters: self.interpreters as u32,
            held: self.held.len() as u32,
            waits,
        }
    }

    /// Since the oldest call that waits arrived.
    #[must_use]
    pub fn oldest(&self) -> Option<Duration> {
        self.queues.iter().map(|queue| queue.oldest).max()
    }

    /// What the calls of a function wait for: `waiting for an interpreter: 2 busy 14 s with slow@1`. Empty where none
    /// waits.
    #[must_use]
    pub fn reason(&self, function: &str) -> String {
        let Some(queue) = self.queues.iter().find(|queue| queue.serves(function)) else { return String::new() };
        let mut text = format!("{} waiting {} for an interpreter", calls(queue.calls), seconds(queue.oldest));
        let Some(longest) = self.held.first() else {
            return if self.interpreters == 0 { text + ": none is running" } else { text };
        };
        let same = self.held.iter().filter(|call| call.name == longest.name).count();
        text += &format!(": {same} busy {} with {}", seconds(longest.running), longest.name);
        let others = self.held.len() - same;
        if others > 0 {
            text += &format!(", {others} with others");
        }
        text
    }
}

impl WaitingLane {
    /// The function, or those of the stage.
    fn functions(&self) -> impl Iterator<Item = &str> {
        self.name.split(", ")
    }

    /// True for the queue of a function, and of a stage that the function is part of.
    #[must_use]
    pub fn serves(&self, function: &str) -> bool {
        self.functions().any(|name| name == function)
    }
}

fn calls(count: usize) -> String {
    if count == 1 { "1 call".to_owned() } else { format!("{count} calls") }
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds == 0 { format!("{} ms", time.as_millis()) } else { format!("{seconds} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str, calls: usize, seconds: u64) -> WaitingLane {
        WaitingLane { name: Arc::from(name), calls, oldest: Duration::from_secs(seconds) }
    }

    #[test]
    fn reasons_say_who_holds_interpreters_and_for_how_long() {
        let call = |name: &str, seconds| LongCall { name: Arc::from(name), running: Duration::from_secs(seconds) };
        let mut load = PoolLoad {
            interpreters: 3,
            idle: 0,
            held: vec![call("slow@1", 14), call("slow@1", 3), call("other@2", 1)],
            queues: vec![queue("quick@1", 2, 5), queue("a@1, b@2", 1, 0)],
            computing_percent: 0,
        };
        assert!(load.is_blocked() && load.blocks_others());
        assert!(!PoolLoad { queues: vec![queue("slow@1", 9, 9)], ..load.clone() }.blocks_others());
        assert_eq!(
            load.reason("quick@1"),
            "2 calls waiting 5 s for an interpreter: 2 busy 14 s with slow@1, 1 with others"
        );
        assert!(load.reason("b@2").starts_with("1 call waiting 0 ms for an interpreter"));
        assert_eq!(load.reason("slow@1"), "");
        let report = load.report("h");
        let waits: Vec<_> = report.waits.iter().map(|wait| (wait.function.as_str(), wait.oldest_ms)).collect();
        assert_eq!((report.interpreters, report.held, waits), (3, 3, vec![("quick@1", 5000)]), "long waits only");
        load.held.truncate(2);
        assert!(!load.is_blocked());
        assert_eq!(load.reason("quick@1"), "2 calls waiting 5 s for an interpreter: 2 busy 14 s with slow@1");
        load = PoolLoad { interpreters: 0, held: Vec::new(), ..load };
        assert_eq!(load.reason("quick@1"), "2 calls waiting 5 s for an interpreter: none is running");
        assert_eq!(load.oldest(), Some(Duration::from_secs(5)));
    }
}
