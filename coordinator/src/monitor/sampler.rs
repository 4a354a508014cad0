//! What happened since the snapshot before: rates and quantiles of functions, executors and the fleet.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use udfleet_edge::tracked::{Difference, TrackedMap};
use udfleet_proto::histogram::Histogram;
use udfleet_proto::v1::{ExecutorState, FunctionMetrics, FunctionProgress};

use super::ring::{Field, Fold};
use crate::snapshot::{FunctionNumbers, Snapshot};

const fn mean(name: &'static str) -> Field {
    Field { name, fold: Fold::Mean }
}

const fn max(name: &'static str) -> Field {
    Field { name, fold: Fold::Max }
}

/// Of a function; of the fleet and its executors there are more behind. Rates are per second, times in seconds.
macro_rules! with_work {
    ($($more:expr),*) => {
        &[
            mean("rows"), mean("calls"), mean("errors"), mean("row_errors"), mean("bytes"), mean("queue"),
            mean("transfer"), mean("convert"), mean("run"), mean("cpu"), mean("in_flight"), $($more),*
        ]
    };
}

/// Numbers that are counted: their differences are rates.
const COUNTED: usize = 10;
/// Position of batches in flight among the fields.
pub const IN_FLIGHT: usize = COUNTED;
/// Positions of rates.
pub const ROWS: usize = 0;
/// See [`ROWS`].
pub const CALLS: usize = 1;
/// See [`ROWS`].
pub const ERRORS: usize = 2;
/// See [`ROWS`].
pub const ROW_ERRORS: usize = 3;
/// See [`ROWS`]: queue, transfer, convert and run follow one another.
pub const QUEUE: usize = 5;
/// See [`ROWS`].
pub const RUN: usize = 8;
/// Position of the first of three quantiles, of functions and the fleet.
pub const P50: usize = IN_FLIGHT + 1;

/// What is kept of a function.
pub const FUNCTION: &[Field] = with_work![max("p50"), max("p95"), max("p99")];
/// What is kept of an executor.
pub const EXECUTOR: &[Field] = with_work![mean("interpreters"), mean("memory")];
/// What is kept of the fleet.
pub const FLEET: &[Field] =
    with_work![max("p50"), max("p95"), max("p99"), mean("interpreters"), mean("memory"), mean("executors")];

/// One sample of everything.
#[derive(Debug, Default)]
pub struct FleetSample {
    /// By function that has counted anything since the sample before, or has batches in flight.
    pub functions: Vec<(Arc<str>, Vec<f32>)>,
    /// By attached executor.
    pub executors: Vec<(Arc<str>, Vec<f32>)>,
    /// The sums.
    pub fleet: Vec<f32>,
}

/// Remembers the snapshot before: a sample costs what has changed since, however many functions there are.
#[derive(Debug, Default)]
pub struct Sampler {
    numbers: TrackedMap<Arc<str>, Arc<FunctionNumbers>>,
    /// Batches in flight, of functions that have any.
    in_flight: BTreeMap<Arc<str>, u64>,
    executors: HashSet<Arc<str>>,
    begun: bool,
}

type Counts = [u64; COUNTED];

fn counts(m: &FunctionMetrics) -> Counts {
    [
        m.rows,
        m.calls,
        m.errors,
        m.row_errors,
        m.bytes_in + m.bytes_out,
        m.queue_ns,
        m.transfer_ns,
        m.convert_ns,
        m.run_ns,
        m.cpu_ns,
    ]
}

/// Per second; what is counted in nanoseconds becomes seconds.
fn rates(counts: &Counts, seconds: f64) -> impl Iterator<Item = f32> {
    let rate = move |(index, count): (usize, &u64)| {
        let unit = if index >= QUEUE { 1e9 } else { 1.0 };
        (*count as f64 / unit / seconds) as f32
    };
    counts.iter().enumerate().map(rate)
}

fn quantiles(latency: Option<&Histogram>) -> [f32; 3] {
    match latency.filter(|latency| latency.count() > 0) {
        Some(latency) => [0.5, 0.95, 0.99].map(|q| (latency.quantile_ms(q) / 1e3) as f32),
        None => [f32::NAN; 3],
    }
}

/// The sample of a function that has counted nothing.
pub fn quiet(in_flight: u64) -> Vec<f32> {
    [0.0; COUNTED].into_iter().chain([in_flight as f32]).chain(quantiles(None)).collect()
}

fn latency(progress: &FunctionProgress) -> Histogram {
    let total = progress.total.as_ref().and_then(|total| total.latency.as_ref());
    total.map(Histogram::from_proto).unwrap_or_default()
}

/// What one function did.
struct Change {
    total: Counts,
    executors: Vec<(String, Counts)>,
    /// None where some of it may have happened long before.
    latency: Option<Histogram>,
}

impl Sampler {
    /// What has happened in the `seconds` since this was last asked.
    pub fn sample(&mut self, snapshot: &Snapshot, seconds: f64) -> FleetSample {
        let seconds = seconds.max(1e-3);
        let mut by_executor: HashMap<String, Counts> = HashMap::new();
        let (mut sample, mut all) = (FleetSample::default(), Counts::default());
        let mut fleet_latency = Histogram::default();
        let differences = snapshot.numbers.since(&self.numbers, Arc::ptr_eq);
        let changed: HashSet<&Arc<str>> = differences.iter().map(|difference| difference.key).collect();
        let still: Vec<Arc<str>> = self.in_flight.keys().filter(|name| !changed.contains(name)).cloned().collect();
        for Difference { key: name, before, now } in differences {
            self.in_flight.remove(name);
            let Some(now) = now else { continue };
            let change = self.change(before, now);
            let flying = now.sums().total.as_ref().map_or(0, |total| total.in_flight);
            if flying > 0 {
                self.in_flight.insert(Arc::clone(name), flying);
            }
            let mut values: Vec<f32> = rates(&change.total, seconds).chain([flying as f32]).collect();
            values.extend(quantiles(change.latency.as_ref()));
            sample.functions.push((Arc::clone(name), values));
            add(&mut all, &change.total);
            change.latency.iter().for_each(|latency| fleet_latency.merge(latency));
            for (executor, counts) in change.executors {
                add(by_executor.entry(executor).or_default(), &counts);
            }
        }
        for name in still {
            let flying = self.in_flight.get(&name).copied().unwrap_or_default();
            sample.functions.push((name, quiet(flying)));
        }
        let in_flight: u64 = self.in_flight.values().sum();
        self.numbers = snapshot.numbers.clone();
        sample.fleet = rates(&all, seconds).chain([in_flight as f32]).collect();
        sample.fleet.extend(quantiles(Some(&fleet_latency)));
        let (mut interpreters, mut memory, mut ready) = (0, 0, 0);
        self.executors.clear();
        for (id, executor) in snapshot.executors.iter().filter(|(_, executor)| executor.state.attached()) {
            let counts = by_executor.remove(&**id).unwrap_or_default();
            let mut values: Vec<f32> = rates(&counts, seconds).chain([executor.in_flight as f32]).collect();
            values.extend([executor.interpreters as f32, executor.rss_bytes as f32]);
            sample.executors.push((Arc::clone(id), values));
            interpreters += executor.interpreters;
            memory += executor.rss_bytes;
            ready += u32::from(executor.state == ExecutorState::Ready);
            self.executors.insert(Arc::clone(id));
        }
        sample.fleet.extend([interpreters as f32, memory as f32, ready as f32]);
        self.begun = true;
        sample
    }

    /// An executor that has just attached tells what it has counted since it started: that is not of this second.
    fn change(&self, before: Option<&Arc<FunctionNumbers>>, numbers: &FunctionNumbers) -> Change {
        let mut change = Change { total: Counts::default(), executors: Vec::new(), latency: None };
        let (now, before) = (numbers.sums(), before.map(|before| before.sums()));
        let mut whole = self.begun;
        for executor in &now.executors {
            let Some(metrics) = &executor.metrics else { continue };
            let held =
                before.and_then(|before| before.executors.iter().find(|held| held.executor == executor.executor));
            let mut counts = counts(metrics);
            match held.and_then(|held| held.metrics.as_ref()) {
                Some(held) => subtract(&mut counts, held),
                None if !self.begun || !self.executors.contains(executor.executor.as_str()) => {
                    counts = Counts::default();
                    whole = false;
                }
                None => {}
            }
            add(&mut change.total, &counts);
            change.executors.push((executor.executor.clone(), counts));
        }
        change.latency = whole.then(|| match before {
            Some(before) => latency(now).since(&latency(before)),
            None => latency(now),
        });
        change
    }
}

fn add(sum: &mut Counts, more: &Counts) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

fn subtract(from: &mut Counts, before: &FunctionMetrics) {
    from.iter_mut().zip(counts(before)).for_each(|(now, before)| *now = now.saturating_sub(before));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::testing::{attach, counted, counted_all};

    fn metrics(calls: u64) -> FunctionMetrics {
        let mut latency = Histogram::default();
        (0..calls).for_each(|_| latency.record(4_000_000));
        let latency = Some(latency.to_proto());
        FunctionMetrics {
            function: "f@1".to_owned(),
            calls,
            rows: calls * 10,
            run_ns: calls * 1_000_000_000,
            latency,
            ..Default::default()
        }
    }

    #[test]
    fn rates_are_differences() {
        let (mut sampler, mut fleet) = (Sampler::default(), counted("f"));
        attach(&mut fleet, "e");
        sampler.sample(fleet.now(), 1.0);
        fleet.count(&Arc::from("e"), "i", vec![metrics(4)], &[]);
        let sample = sampler.sample(fleet.now(), 2.0);
        let (name, values) = &sample.functions[0];
        assert_eq!((&**name, values[CALLS], values[ROWS], values[RUN]), ("f@1", 2.0, 20.0, 2.0));
        assert!((values[P50] / 0.004 - 1.0).abs() < 0.1, "{values:?}");
        assert_eq!((sample.fleet[ROWS], sample.executors[0].1[ROWS]), (20.0, 20.0));
        assert_eq!(
            (sample.fleet.len(), values.len(), sample.executors[0].1.len()),
            (FLEET.len(), FUNCTION.len(), EXECUTOR.len())
        );
        assert!(sampler.sample(fleet.now(), 1.0).functions.is_empty(), "nothing was called");
        assert_eq!(quiet(0).len(), FUNCTION.len());
        assert!(quiet(0)[P50].is_nan());
    }

    #[test]
    fn a_sample_costs_what_has_changed() {
        let names = || (0..1000).map(|n| format!("f{n}"));
        let (mut sampler, mut fleet) = (Sampler::default(), counted_all(names()));
        attach(&mut fleet, "e");
        let of = |name: &str, calls: u64, in_flight: u64| FunctionMetrics {
            function: format!("{name}@1"),
            in_flight,
            ..metrics(calls)
        };
        fleet.count(&Arc::from("e"), "i", names().map(|name| of(&name, 1, 0)).collect(), &[]);
        assert_eq!(sampler.sample(fleet.now(), 1.0).functions.len(), 1000);
        fleet.count(&Arc::from("e"), "i", vec![of("f7", 1, 3)], &[]);
        for _ in 0..2 {
            let sample = sampler.sample(fleet.now(), 1.0);
            let [(name, values)] = &sample.functions[..] else { panic!("{:?}", sample.functions) };
            assert_eq!((&**name, values[CALLS], values[IN_FLIGHT]), ("f7@1", 0.0, 3.0), "as long as it is in flight");
            assert_eq!(sample.fleet[IN_FLIGHT], 3.0);
        }
        fleet.count(&Arc::from("e"), "i", vec![of("f7", 2, 0)], &[]);
        assert_eq!(sampler.sample(fleet.now(), 1.0).functions.len(), 1);
        assert!(sampler.sample(fleet.now(), 1.0).functions.is_empty());
    }

    #[test]
    fn what_an_executor_counted_before_it_attached_is_not_of_now() {
        let (mut sampler, mut fleet) = (Sampler::default(), counted("f"));
        sampler.sample(fleet.now(), 1.0);
        attach(&mut fleet, "e");
        fleet.count(&Arc::from("e"), "i", vec![metrics(1000)], &[]);
        let sample = sampler.sample(fleet.now(), 1.0);
        assert_eq!(sample.functions[0].1[CALLS], 0.0);
        assert!(sample.functions[0].1[P50].is_nan());
        fleet.count(&Arc::from("e"), "i", vec![metrics(1003)], &[]);
        assert_eq!(sampler.sample(fleet.now(), 1.0).fleet[CALLS], 3.0);
    }
}
