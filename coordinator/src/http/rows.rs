//! Functions, executors and environments as the dashboard lists them: how they stand, and what they do now.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use udfleet_proto::batch_rows;
use udfleet_proto::v1::LoadState;

use crate::monitor::ring::{Track, Window};
use crate::monitor::{Monitor, NOW_SECONDS, sampler};
use crate::snapshot::{EnvironmentEntry, ExecutorEntry, FunctionEntry, Snapshot};

/// Samples of ten seconds in a small chart.
const SPARK: usize = 30;
/// Where the time went is told of so many seconds.
const SPLIT_SECONDS: usize = 60;

/// Four digits tell enough, and make short text. None: not known.
#[must_use]
pub fn tidy(value: f32) -> Option<f32> {
    if !value.is_finite() {
        return None;
    }
    if value == 0.0 {
        return Some(0.0);
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    let scale = 10f64.powi(digits);
    Some(((f64::from(value) * scale).round() / scale) as f32)
}

fn number(value: f32) -> f32 {
    tidy(value).unwrap_or_default()
}

/// Where batches spend their time: seconds per second, over the last minute.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct TimeSplit {
    /// Waiting for an interpreter.
    pub queue: f32,
    /// To the interpreter and back.
    pub transfer: f32,
    /// Between Arrow and Python.
    pub convert: f32,
    /// In the user's code.
    pub run: f32,
}

impl TimeSplit {
    /// Of a history.
    #[must_use]
    pub fn of(track: &Track) -> Self {
        let part = |index| number(track.recent(SPLIT_SECONDS, sampler::QUEUE + index));
        Self { queue: part(0), transfer: part(1), convert: part(2), run: part(3) }
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> f32 {
        self.queue + self.transfer + self.convert + self.run
    }
}

/// What something does now: means over a few seconds.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Rates {
    /// Rows in a second.
    pub rows: f32,
    /// Batches answered in a second.
    pub calls: f32,
    /// Of these, with an error.
    pub errors: f32,
    /// Interpreters that are busy with user code, on average.
    pub busy: f32,
    /// Rows in a second over the last five minutes, by ten seconds, the oldest first.
    pub spark: Vec<f32>,
}

impl Rates {
    /// Of a history.
    #[must_use]
    pub fn of(track: &Track) -> Self {
        let now = |field| number(track.recent(NOW_SECONDS, field));
        let rows = track.values(Window::Hour, sampler::ROWS);
        let spark = rows[rows.len().saturating_sub(SPARK)..].iter().copied().map(number).collect();
        let (rows, calls, errors) = (now(sampler::ROWS), now(sampler::CALLS), now(sampler::ERRORS));
        Self { rows, calls, errors, busy: now(sampler::RUN), spark }
    }
}

/// Seconds from the arrival of a batch to its answer, over the last minute; null: nothing was called.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Latency {
    /// Half are faster.
    pub p50: Option<f32>,
    /// 19 of 20 are faster.
    pub p95: Option<f32>,
    /// 99 of 100 are faster.
    pub p99: Option<f32>,
}

impl Latency {
    /// Of a history of a function or the fleet.
    #[must_use]
    pub fn of(track: &Track) -> Self {
        let of = |index| tidy(track.recent(SPLIT_SECONDS, sampler::P50 + index)).filter(|value| *value > 0.0);
        Self { p50: of(0), p95: of(1), p99: of(2) }
    }
}

/// Numbers since the function was registered, as far as this coordinator has heard.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Totals {
    /// Batches answered.
    pub calls: u64,
    /// Rows answered.
    pub rows: u64,
    /// Batches answered with an error.
    pub errors: u64,
    /// Rows that failed and became null or were left out.
    pub row_errors: u64,
    /// Batches accepted and not yet answered.
    pub in_flight: u64,
    /// The most memory that an interpreter took.
    pub peak_memory_bytes: u64,
}

/// Batches of a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BatchRows {
    /// The fewest rows of such a batch.
    pub from: u64,
    /// The most.
    pub to: u64,
    /// How many there were.
    pub batches: u64,
}

impl BatchRows {
    /// All sizes from the first to the last that has come.
    #[must_use]
    pub fn of(counts: &[u64]) -> Vec<Self> {
        let first = counts.iter().position(|count| *count > 0).unwrap_or(counts.len());
        let each = counts.iter().enumerate().skip(first);
        each.map(|(entry, batches)| {
            let to = if entry == 0 { 0 } else { batch_rows::least(entry) * 2 - 1 };
            Self { from: batch_rows::least(entry), to, batches: *batches }
        })
        .collect()
    }
}

/// One version of a function.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FunctionRow {
    /// `add@3`
    pub function: String,
    /// `add`
    pub name: String,
    /// 3
    pub version: u32,
    /// PENDING, BUILDING, LOADING, READY or FAILED.
    pub state: String,
    /// Why it is not ready.
    pub reason: String,
    /// scalar, table, aggregate, table_aggregate
    pub kind: String,
    /// general, pandas, arrow
    pub func_type: String,
    /// Hash of its environment.
    pub environment: String,
    /// Executors that serve it.
    pub ready_on: u32,
    /// Executors that should.
    pub placed_on: u32,
    /// What it does now.
    pub rates: Rates,
    /// Of its batches.
    pub latency: Latency,
    /// Of its batches.
    pub split: TimeSplit,
    /// Since it was registered.
    pub totals: Totals,
}

impl FunctionRow {
    /// Of a snapshot's entry.
    #[must_use]
    pub fn of(entry: &FunctionEntry, snapshot: &Snapshot, monitor: &Monitor) -> Self {
        let definition = &entry.function.definition;
        let (rates, latency, split) = monitor
            .function(&entry.name, |track| (Rates::of(track), Latency::of(track), TimeSplit::of(track)))
            .unwrap_or_default();
        let total = snapshot.numbers.get(&entry.name).and_then(|numbers| numbers.sums().total.as_ref());
        let ready = entry.on.values().filter(|status| status.state() == LoadState::Ready).count();
        Self {
            function: entry.name.to_string(),
            name: definition.name.clone(),
            version: definition.version,
            state: entry.state().as_str_name().to_owned(),
            reason: entry.reason().to_owned(),
            kind: definition.kind().as_str_name().to_lowercase(),
            func_type: definition.func_type().as_str_name().to_lowercase(),
            environment: entry.function.environment.clone(),
            ready_on: ready as u32,
            placed_on: entry.on.size() as u32,
            rates,
            latency,
            split,
            totals: total.map_or_else(Totals::default, |total| Totals {
                calls: total.calls,
                rows: total.rows,
                errors: total.errors,
                row_errors: total.row_errors,
                in_flight: total.in_flight,
                peak_memory_bytes: total.peak_memory_bytes,
            }),
        }
    }
}

/// One executor.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ExecutorRow {
    /// Its name.
    pub id: String,
    /// ready, draining, drained, lost, stopped or unreachable.
    pub state: String,
    /// Where it serves.
    pub address: String,
    /// Of udfleet.
    pub version: String,
    /// Python versions that it offers.
    pub pythons: Vec<String>,
    /// Of its machine, or of its share.
    pub cores: u32,
    /// What it may use.
    pub memory_bytes: u64,
    /// What its interpreters use.
    pub rss_bytes: u64,
    /// Interpreters that run.
    pub interpreters: u32,
    /// The most that it runs.
    pub max_interpreters: u32,
    /// Batches accepted and not yet answered.
    pub in_flight: u32,
    /// Milliseconds since 1970 of its last report.
    pub reported_unix_ms: u64,
    /// Functions by state: READY, FAILED.
    pub functions: BTreeMap<String, u32>,
    /// As it was started with.
    pub labels: BTreeMap<String, String>,
    /// What it does now.
    pub rates: Rates,
}

impl ExecutorRow {
    /// Of a snapshot's entry; `now_unix_ms` is the time now.
    #[must_use]
    pub fn of(entry: &ExecutorEntry, monitor: &Monitor, now_unix_ms: u64) -> Self {
        let hello = &entry.hello;
        let mut functions = BTreeMap::new();
        for status in entry.functions.values() {
            *functions.entry(status.state().as_str_name().to_owned()).or_default() += 1;
        }
        Self {
            id: hello.executor.clone(),
            state: entry.state.word().to_owned(),
            address: hello.address.clone(),
            version: hello.version.clone(),
            pythons: hello.pythons.iter().map(|python| python.version.clone()).collect(),
            cores: hello.cores,
            memory_bytes: hello.memory_bytes,
            rss_bytes: entry.rss_bytes,
            interpreters: entry.interpreters,
            max_interpreters: hello.max_interpreters,
            in_flight: entry.in_flight,
            reported_unix_ms: now_unix_ms.saturating_sub(entry.report_age_ms(std::time::Instant::now())),
            functions,
            labels: hello.labels.clone().into_iter().collect(),
            rates: monitor.executor(&hello.executor, Rates::of).unwrap_or_default(),
        }
    }
}

/// One environment.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct EnvironmentRow {
    /// Of its content.
    pub hash: String,
    /// As it was asked for; empty: any.
    pub python: String,
    /// Lines as pip takes them.
    pub requirements: Vec<String>,
    /// `add@3`
    pub functions: Vec<String>,
    /// Interpreters by executor that should hold it.
    pub assigned: BTreeMap<String, u32>,
    /// Executors that have it on disk.
    pub built_on: Vec<String>,
    /// built, building, failed or waiting.
    pub state: String,
    /// Why it is not built, or not placed.
    pub reason: String,
}

impl EnvironmentRow {
    /// Of a snapshot's entry.
    #[must_use]
    pub fn of(hash: &str, entry: &EnvironmentEntry, snapshot: &Snapshot) -> Self {
        let users: Vec<_> = entry.functions.iter().filter_map(|name| snapshot.functions.get(name)).collect();
        let any = |state: LoadState| users.iter().find(|function| function.state() == state);
        let (state, reason) = match (any(LoadState::Building), any(LoadState::Failed)) {
            _ if users.iter().any(|function| function.is_served()) => ("built", String::new()),
            (Some(building), _) => ("building", building.reason().to_owned()),
            (None, Some(failed)) => ("failed", failed.reason().to_owned()),
            _ if !entry.built_on.is_empty() => ("built", String::new()),
            _ => ("waiting", entry.unplaced.clone()),
        };
        Self {
            hash: hash.to_owned(),
            python: entry.environment.python.clone(),
            requirements: entry.environment.requirements.clone(),
            functions: entry.functions.iter().map(ToString::to_string).collect(),
            assigned: entry.assigned.clone(),
            built_on: entry.built_on.iter().map(ToString::to_string).collect(),
            state: state.to_owned(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_batches_have_bounds() {
        let shown = BatchRows::of(&[0, 0, 3, 0, 1]);
        let told: Vec<_> = shown.iter().map(|one| (one.from, one.to, one.batches)).collect();
        assert_eq!(told, [(2, 3, 3), (4, 7, 0), (8, 15, 1)]);
        assert_eq!(BatchRows::of(&[7])[0], BatchRows { from: 0, to: 0, batches: 7 });
        assert!(BatchRows::of(&[]).is_empty());
    }

    #[test]
    fn numbers_have_four_digits() {
        assert_eq!(tidy(123_456.0), Some(123_500.0));
        assert_eq!(tidy(0.001_234_56), Some(0.001_235));
        assert_eq!((tidy(0.0), tidy(f32::NAN), tidy(-7.0)), (Some(0.0), None, Some(-7.0)));
    }
}
