//! Metrics of one function version over the whole fleet: executors report cumulative values, and the totals of their
//! earlier processes are added here.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use udfleet_proto::batch_rows;
use udfleet_proto::error_groups;
use udfleet_proto::histogram::Histogram;
use udfleet_proto::user_metrics::Sum;
use udfleet_proto::v1::{ExecutorMetrics, FunctionMetrics, FunctionProgress};

use super::Map;

/// See the module.
#[derive(Debug, Default)]
pub struct FunctionNumbers {
    executors: Map<Arc<ExecutorNumbers>>,
    /// Of executors that are forgotten.
    gone: Option<Arc<FunctionMetrics>>,
    /// Worked out when first asked for.
    sums: OnceLock<FunctionProgress>,
}

/// What one executor has counted.
#[derive(Debug, Default, Clone)]
struct ExecutorNumbers {
    /// As last reported by the process that runs.
    now: Option<Arc<FunctionMetrics>>,
    /// Of its earlier processes, and of earlier times that it held the function.
    past: Option<Arc<FunctionMetrics>>,
}

impl ExecutorNumbers {
    /// What is counted now will not change any more.
    fn closed(mut self) -> Self {
        if let Some(ended) = self.now.take() {
            add_to(&mut self.past, &ended);
        }
        self
    }
}

fn add_to(sum: &mut Option<Arc<FunctionMetrics>>, more: &FunctionMetrics) {
    let sum = Arc::make_mut(sum.get_or_insert_default());
    add(sum, more);
    sum.in_flight = 0;
}

impl FunctionNumbers {
    fn replacing(&self, executor: &Arc<str>, numbers: ExecutorNumbers) -> Self {
        let executors = self.executors.insert(Arc::clone(executor), Arc::new(numbers));
        Self { executors, gone: self.gone.clone(), sums: OnceLock::new() }
    }

    fn of(&self, executor: &str) -> ExecutorNumbers {
        self.executors.get(executor).map(|numbers| ExecutorNumbers::clone(numbers)).unwrap_or_default()
    }

    /// Merges a new report of an executor; `None` if nothing has changed.
    pub(super) fn reported(&self, executor: &Arc<str>, mut metrics: FunctionMetrics) -> Option<Self> {
        let mut numbers = self.of(executor);
        if std::mem::take(&mut metrics.failures_unchanged)
            && let Some(before) = &numbers.now
        {
            metrics.failures.clone_from(&before.failures);
        }
        match &numbers.now {
            Some(before) if **before == metrics => return None,
            // It had let the function go meanwhile, and counts from zero.
            Some(before) if metrics.calls < before.calls => numbers = numbers.closed(),
            _ => {}
        }
        numbers.now = Some(Arc::new(metrics));
        Some(self.replacing(executor, numbers))
    }

    /// The executor, or its process, counts this function no more.
    pub(super) fn ended(&self, executor: &Arc<str>) -> Option<Self> {
        let numbers = self.of(executor);
        numbers.now.is_some().then(|| self.replacing(executor, numbers.closed()))
    }

    /// Nothing is in flight at an executor that has gone.
    pub(super) fn idle(&self, executor: &Arc<str>) -> Option<Self> {
        let mut numbers = self.of(executor);
        let now = numbers.now.as_mut().filter(|now| now.in_flight > 0)?;
        Arc::make_mut(now).in_flight = 0;
        Some(self.replacing(executor, numbers))
    }

    /// Keeps only the executor's sums.
    pub(super) fn forgotten(&self, executor: &str) -> Option<Self> {
        let numbers = ExecutorNumbers::clone(self.executors.get(executor)?).closed();
        let mut gone = self.gone.clone();
        if let Some(past) = &numbers.past {
            add_to(&mut gone, past);
        }
        Some(Self { executors: self.executors.remove(executor), gone, sums: OnceLock::new() })
    }

    /// Over the fleet and by executor.
    pub fn sums(&self) -> &FunctionProgress {
        self.sums.get_or_init(|| {
            let mut total = FunctionMetrics::default();
            self.gone.iter().for_each(|gone| add(&mut total, gone));
            let mut executors = Vec::new();
            for (executor, numbers) in self.executors.iter() {
                let mut sum = FunctionMetrics::default();
                numbers.past.iter().chain(&numbers.now).for_each(|part| add(&mut sum, part));
                if sum.calls > 0 || sum.in_flight > 0 || !sum.user.is_empty() {
                    add(&mut total, &sum);
                    executors.push(ExecutorMetrics { executor: executor.to_string(), metrics: Some(sum) });
                }
            }
            with_quantiles(total, executors)
        })
    }
}

fn with_quantiles(total: FunctionMetrics, executors: Vec<ExecutorMetrics>) -> FunctionProgress {
    let latency = total.latency.as_ref().map(Histogram::from_proto).unwrap_or_default();
    FunctionProgress {
        total: Some(total),
        executors,
        p50_ms: latency.quantile_ms(0.5),
        p95_ms: latency.quantile_ms(0.95),
        p99_ms: latency.quantile_ms(0.99),
    }
}

/// The sum over versions of one function, shown as `label`.
pub(super) fn sum<'a>(label: &str, versions: impl Iterator<Item = &'a Arc<FunctionNumbers>>) -> FunctionProgress {
    let mut versions = versions.map(|version| version.sums());
    let (first, second) = (versions.next(), versions.next());
    let mut progress = match (first, second) {
        (Some(one), None) => one.clone(),
        _ => merged(first.into_iter().chain(second).chain(versions)),
    };
    let all = progress.executors.iter_mut().filter_map(|e| e.metrics.as_mut()).chain(&mut progress.total);
    all.for_each(|metrics| label.clone_into(&mut metrics.function));
    progress
}

fn merged<'a>(versions: impl Iterator<Item = &'a FunctionProgress>) -> FunctionProgress {
    let mut total = FunctionMetrics::default();
    let mut executors: BTreeMap<&str, FunctionMetrics> = BTreeMap::new();
    for version in versions {
        version.total.iter().for_each(|metrics| add(&mut total, metrics));
        for ExecutorMetrics { executor, metrics } in &version.executors {
            let sum = executors.entry(executor).or_default();
            metrics.iter().for_each(|metrics| add(sum, metrics));
        }
    }
    let of = |(executor, metrics): (&str, FunctionMetrics)| ExecutorMetrics {
        executor: executor.to_owned(),
        metrics: Some(metrics),
    };
    with_quantiles(total, executors.into_iter().map(of).collect())
}

fn add(sum: &mut FunctionMetrics, more: &FunctionMetrics) {
    sum.calls += more.calls;
    sum.rows += more.rows;
    sum.errors += more.errors;
    sum.retries += more.retries;
    sum.merged += more.merged;
    sum.bytes_in += more.bytes_in;
    sum.bytes_out += more.bytes_out;
    sum.in_flight += more.in_flight;
    sum.queue_ns += more.queue_ns;
    sum.transfer_ns += more.transfer_ns;
    sum.convert_ns += more.convert_ns;
    sum.run_ns += more.run_ns;
    sum.cpu_ns += more.cpu_ns;
    sum.latency_ns += more.latency_ns;
    sum.row_errors += more.row_errors;
    batch_rows::merge(&mut sum.batch_rows, &more.batch_rows);
    error_groups::merge(&mut sum.failures, &more.failures);
    if !more.user.is_empty() {
        let mut user = Sum::default();
        user.add(&sum.user);
        user.add(&more.user);
        sum.user = user.metrics();
    }
    sum.peak_memory_bytes = sum.peak_memory_bytes.max(more.peak_memory_bytes);
    if let Some(latency) = &more.latency {
        let mut merged = sum.latency.as_ref().map(Histogram::from_proto).unwrap_or_default();
        merged.merge(&Histogram::from_proto(latency));
        sum.latency = Some(merged.to_proto());
    }
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::ErrorGroup;

    use super::*;

    #[test]
    fn what_fails_stays_as_it_was_where_a_report_says_so() {
        let executor = Arc::from("e");
        let failures = vec![ErrorGroup { count: 3, line: 7, ..ErrorGroup::default() }];
        let first = FunctionMetrics { calls: 3, failures: failures.clone(), ..FunctionMetrics::default() };
        let numbers = FunctionNumbers::default().reported(&executor, first).unwrap();
        let later = FunctionMetrics { calls: 4, failures_unchanged: true, ..FunctionMetrics::default() };
        let numbers = numbers.reported(&executor, later.clone()).unwrap();
        let total = numbers.sums().total.clone().unwrap();
        assert_eq!((total.calls, total.failures), (4, failures));
        assert!(numbers.reported(&executor, later).is_none(), "nothing new");
    }
}
