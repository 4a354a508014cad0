//! The fleet in one look.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use schemars::JsonSchema;
use serde::Serialize;

use super::Http;
use super::rows::{FunctionRow, Latency, Rates, TimeSplit};
use crate::monitor::Moment;
use crate::monitor::activity::{Activity, Severity};
use crate::monitor::waiting::Waiting;

/// Lines of each list.
const TOP: usize = 5;
const EVENTS: usize = 20;
/// Executors whose interpreters are drawn.
const MOST_EXECUTORS: usize = 200;

/// How the fleet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthLevel {
    /// Nothing needs anybody.
    Good,
    /// Something may.
    Warning,
    /// Something does.
    Bad,
}

/// How the fleet is, in a sentence.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Health {
    level: HealthLevel,
    text: String,
}

/// A coordinator of the fleet.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CoordinatorRow {
    id: String,
    address: String,
    http_address: String,
    /// It places functions.
    leads: bool,
    /// It has told this.
    here: bool,
}

/// Interpreters of one executor.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Slots {
    executor: String,
    state: String,
    interpreters: u32,
    max_interpreters: u32,
    in_flight: u32,
    /// Interpreters that are busy with user code, on average.
    busy: f32,
}

/// A function among those that do most.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TopFunction {
    function: String,
    rates: Rates,
    latency: Latency,
    split: TimeSplit,
    errors: u64,
}

/// See the module.
#[derive(Serialize, JsonSchema)]
pub struct Overview {
    /// Of this coordinator.
    version: &'static str,
    /// Of this coordinator's start, in milliseconds since 1970.
    started_unix_ms: u64,
    health: Health,
    coordinators: Vec<CoordinatorRow>,
    rates: Rates,
    latency: Latency,
    split: TimeSplit,
    /// Batches accepted and not yet answered.
    in_flight: u64,
    /// Flight streams open at this coordinator.
    streams_open: u64,
    interpreters: u32,
    max_interpreters: u32,
    memory_bytes: u64,
    /// How many are in each state.
    executors: BTreeMap<String, u32>,
    /// Newest versions, how many are in each state.
    functions: BTreeMap<String, u32>,
    /// By time in the function's code.
    top: Vec<TopFunction>,
    /// By errors of now, then of all.
    failing: Vec<TopFunction>,
    slots: Vec<Slots>,
    /// What waits and matters most.
    notices: Vec<Waiting>,
    /// How many wait.
    waiting: usize,
    /// The newest first.
    activity: Vec<Activity>,
}

impl Overview {
    /// Of one moment.
    pub fn of(http: &Http, moment: &Moment) -> Self {
        let (snapshot, monitor) = (&*moment.snapshot, &*http.monitor);
        let (mut executors, mut functions) = (BTreeMap::new(), BTreeMap::new());
        let (mut interpreters, mut max_interpreters, mut memory_bytes) = (0, 0, 0);
        for executor in snapshot.executors.values() {
            *executors.entry(executor.state.word().to_owned()).or_default() += 1;
            if executor.state.attached() {
                interpreters += executor.interpreters;
                max_interpreters += executor.hello.max_interpreters;
                memory_bytes += executor.rss_bytes;
            }
        }
        let newest = snapshot.newest();
        for entry in &newest {
            *functions.entry(entry.state().as_str_name().to_owned()).or_default() += 1;
        }
        let rows: Vec<_> = newest
            .iter()
            .filter(|entry| snapshot.numbers.contains_key(&entry.name))
            .map(|entry| FunctionRow::of(entry, snapshot, monitor))
            .collect();
        let (rates, latency, split) =
            monitor.fleet(|track| (Rates::of(track), Latency::of(track), TimeSplit::of(track)));
        let in_flight = rows.iter().map(|row| row.totals.in_flight).sum();
        let slots = snapshot.executors.values().filter(|executor| executor.state.attached()).take(MOST_EXECUTORS);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            started_unix_ms: http.started_unix_ms,
            health: health(&moment.waiting, &rates, newest.len()),
            coordinators: coordinators(http),
            rates,
            latency,
            split,
            in_flight,
            streams_open: http.stats.active.load(Ordering::Relaxed),
            interpreters,
            max_interpreters,
            memory_bytes,
            executors,
            functions,
            top: top(&rows, |row| (row.split.total(), row.rates.busy)),
            failing: top(&rows, |row| (row.rates.errors, row.totals.errors as f32)),
            slots: slots
                .map(|executor| Slots {
                    executor: executor.hello.executor.clone(),
                    state: executor.state.word().to_owned(),
                    interpreters: executor.interpreters,
                    max_interpreters: executor.hello.max_interpreters,
                    in_flight: executor.in_flight,
                    busy: monitor.executor(&executor.hello.executor, |track| Rates::of(track).busy).unwrap_or_default(),
                })
                .collect(),
            notices: moment.waiting.iter().filter(|one| one.severity > Severity::Info).take(TOP).cloned().collect(),
            waiting: moment.waiting_count,
            activity: monitor.activity(None, EVENTS, |_| true),
        }
    }
}

/// Those that have most of it; none that has nothing.
fn top(rows: &[FunctionRow], by: impl Fn(&FunctionRow) -> (f32, f32)) -> Vec<TopFunction> {
    let mut rows: Vec<_> = rows.iter().map(|row| (by(row), row)).filter(|(by, _)| by.0 + by.1 > 0.0).collect();
    rows.sort_by(|(a, _), (b, _)| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)));
    let of = |(_, row): &(_, &FunctionRow)| TopFunction {
        function: row.function.clone(),
        rates: row.rates.clone(),
        latency: row.latency.clone(),
        split: row.split,
        errors: row.totals.errors,
    };
    rows.iter().take(TOP).map(of).collect()
}

fn coordinators(http: &Http) -> Vec<CoordinatorRow> {
    let peers = http.session.peers();
    let peers = peers.borrow();
    let me = &http.session.me().owner.coordinator;
    let leader = peers.leader.as_ref().map(|leader| leader.coordinator.as_str());
    let row = |(id, peer): (&String, &crate::leader::Announcement)| CoordinatorRow {
        id: id.clone(),
        address: peer.address.clone(),
        http_address: peer.http_address.clone(),
        leads: leader == Some(id),
        here: id == me,
    };
    peers.coordinators.iter().map(row).collect()
}

/// What somebody who looks once wants to hear.
fn health(waiting: &[Waiting], rates: &Rates, functions: usize) -> Health {
    let count = |severity| waiting.iter().filter(|one| one.severity == severity).count();
    let (bad, warnings) = (count(Severity::Error), count(Severity::Warning));
    let things = |count: usize| if count == 1 { "1 thing needs".to_owned() } else { format!("{count} things need") };
    let (level, text) = if bad > 0 {
        (HealthLevel::Bad, format!("{} attention: {}", things(bad), waiting[0].evidence))
    } else if rates.errors > 0.0 {
        let share = f64::from(rates.errors) / f64::from(rates.calls.max(rates.errors)) * 100.0;
        (HealthLevel::Warning, format!("{share:.0} % of batches fail"))
    } else if warnings > 0 {
        let first = &waiting[0];
        (HealthLevel::Warning, format!("{} {}", first.subject, first.evidence))
    } else if functions == 0 {
        (HealthLevel::Good, "The fleet is ready: no function is registered yet".to_owned())
    } else if rates.calls > 0.0 {
        (HealthLevel::Good, "All is well".to_owned())
    } else {
        (HealthLevel::Good, "All is well, and nothing is called".to_owned())
    };
    Health { level, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::activity::SubjectKind;

    #[test]
    fn health_says_the_worst() {
        let waiting = |severity, evidence: &str| Waiting {
            reason: "X".to_owned(),
            severity,
            kind: SubjectKind::Function,
            subject: "f@1".to_owned(),
            evidence: evidence.to_owned(),
            remedy: String::new(),
            since_unix_ms: 0,
        };
        let (quiet, busy) = (Rates::default(), Rates { calls: 4.0, ..Rates::default() });
        let failing = Rates { calls: 4.0, errors: 1.0, ..Rates::default() };
        assert_eq!(health(&[], &busy, 1).level, HealthLevel::Good);
        assert_ne!(health(&[], &busy, 1), health(&[], &quiet, 1));
        assert_ne!(health(&[], &quiet, 0), health(&[], &quiet, 1));
        assert_eq!(health(&[], &failing, 1).text, "25 % of batches fail");
        let lost = waiting(Severity::Warning, "is silent");
        assert_eq!(health(std::slice::from_ref(&lost), &busy, 1).text, "f@1 is silent");
        let both = [waiting(Severity::Error, "it can't be built"), lost];
        assert_eq!(health(&both, &failing, 1).text, "1 thing needs attention: it can't be built");
        assert_eq!(health(&[waiting(Severity::Info, "building")], &busy, 1).level, HealthLevel::Good);
    }
}
