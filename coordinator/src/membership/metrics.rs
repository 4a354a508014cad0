//! Numbers of the whole fleet: executors report cumulative ones, past incarnations included here.

use std::collections::BTreeMap;

use udfleet_proto::histogram::Histogram;
use udfleet_proto::user_metrics::Sum;
use udfleet_proto::v1::{ExecutorMetrics, FunctionMetrics, FunctionProgress};

type ByFunction = BTreeMap<String, FunctionMetrics>;

/// What one executor process has reported.
#[derive(Default)]
struct Reported {
    incarnation: String,
    now: ByFunction,
    /// Summed over its earlier incarnations.
    past: ByFunction,
}

/// Metrics by executor and function.
#[derive(Default)]
pub(super) struct MetricsBook {
    executors: BTreeMap<String, Reported>,
    /// Of executors that are forgotten.
    gone: ByFunction,
}

impl MetricsBook {
    /// Takes in the numbers of one report: of each function that it names they replace those of the same incarnation.
    /// Those that are `forgotten` count from zero should they come back.
    pub fn report(&mut self, executor: &str, incarnation: &str, metrics: Vec<FunctionMetrics>, forgotten: &[String]) {
        let book = self.executors.entry(executor.to_owned()).or_default();
        if book.incarnation != incarnation {
            incarnation.clone_into(&mut book.incarnation);
            close(&mut book.past, std::mem::take(&mut book.now));
        }
        let ended = forgotten.iter().filter_map(|function| book.now.remove_entry(function)).collect();
        close(&mut book.past, ended);
        for metrics in metrics {
            if let Some(before) = book.now.insert(metrics.function.clone(), metrics.clone())
                && metrics.calls < before.calls
            {
                close(&mut book.past, ByFunction::from([(before.function.clone(), before)]));
            }
        }
    }

    /// Nothing is in flight at an executor that is lost.
    pub fn lost(&mut self, executor: &str) {
        if let Some(book) = self.executors.get_mut(executor) {
            book.now.values_mut().for_each(|m| m.in_flight = 0);
        }
    }

    /// Keeps only an executor's sums.
    pub fn forget(&mut self, executor: &str) {
        if let Some(book) = self.executors.remove(executor) {
            close(&mut self.gone, book.past);
            close(&mut self.gone, book.now);
        }
    }

    /// Drops functions that are no longer registered: their numbers are never used again.
    pub fn retain(&mut self, registered: impl Fn(&str) -> bool) {
        let books = self.executors.values_mut().flat_map(|book| [&mut book.now, &mut book.past]);
        for book in books.chain([&mut self.gone]) {
            book.retain(|function, _| registered(function));
        }
    }

    /// The sum of `functions` (versions of one name, or one version), shown as `label`.
    pub fn progress(&self, label: &str, functions: &[String]) -> FunctionProgress {
        let mut total = FunctionMetrics { function: label.to_owned(), ..FunctionMetrics::default() };
        let mut executors = Vec::new();
        for function in functions {
            add(&mut total, self.gone.get(function));
        }
        for (executor, book) in &self.executors {
            let mut sum = FunctionMetrics { function: label.to_owned(), ..FunctionMetrics::default() };
            for function in functions {
                add(&mut sum, book.past.get(function));
                add(&mut sum, book.now.get(function));
            }
            if sum.calls > 0 || sum.in_flight > 0 || !sum.user.is_empty() {
                add(&mut total, Some(&sum));
                executors.push(ExecutorMetrics { executor: executor.clone(), metrics: Some(sum) });
            }
        }
        let latency = total.latency.as_ref().map(Histogram::from_proto).unwrap_or_default();
        FunctionProgress {
            total: Some(total),
            executors,
            p50_ms: latency.quantile_ms(0.5),
            p95_ms: latency.quantile_ms(0.95),
            p99_ms: latency.quantile_ms(0.99),
        }
    }
}

/// Adds up what will not change any more.
fn close(past: &mut ByFunction, ended: ByFunction) {
    for (function, mut metrics) in ended {
        metrics.in_flight = 0;
        add(
            past.entry(function.clone()).or_insert_with(|| FunctionMetrics { function, ..Default::default() }),
            Some(&metrics),
        );
    }
}

fn add(sum: &mut FunctionMetrics, more: Option<&FunctionMetrics>) {
    let Some(more) = more else { return };
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
    sum.row_errors += more.row_errors;
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
    use super::*;

    fn metrics(calls: u64, latency_ms: u64) -> Vec<FunctionMetrics> {
        let mut latency = Histogram::default();
        (0..calls).for_each(|_| latency.record(latency_ms * 1_000_000));
        vec![FunctionMetrics {
            function: "f@1".to_owned(),
            calls,
            in_flight: 1,
            latency: Some(latency.to_proto()),
            ..Default::default()
        }]
    }

    fn total(book: &MetricsBook) -> FunctionMetrics {
        book.progress("f", &["f@1".to_owned()]).total.unwrap()
    }

    #[test]
    fn repeated_reports_count_once_and_restarts_add_up() {
        let mut book = MetricsBook::default();
        book.report("a", "1", metrics(10, 1), &[]);
        book.report("a", "1", metrics(12, 1), &[]);
        book.report("b", "1", metrics(5, 1), &[]);
        assert_eq!((total(&book).calls, total(&book).in_flight), (17, 2));
        book.report("a", "2", metrics(1, 1), &[]);
        assert_eq!((total(&book).calls, total(&book).in_flight), (18, 2));
        book.lost("a");
        assert_eq!((total(&book).calls, total(&book).in_flight), (18, 1));
        book.forget("a");
        assert_eq!(total(&book).calls, 18);
        book.retain(|_| false);
        assert_eq!(total(&book).calls, 0);
    }

    #[test]
    fn user_counters_add_up_over_restarts_and_gauges_are_the_newest() {
        use udfleet_proto::v1::{MetricKind, UserMetric};
        let reported = |count: i64, level: f64, unix_ms: i64| {
            let counter = UserMetric {
                name: "seen".to_owned(),
                kind: MetricKind::Counter as i32,
                count,
                ..UserMetric::default()
            };
            let gauge = UserMetric {
                name: "level".to_owned(),
                kind: MetricKind::Gauge as i32,
                value: level,
                unix_ms,
                ..UserMetric::default()
            };
            let mut metrics = metrics(1, 1);
            (metrics[0].user, metrics[0].row_errors) = (vec![counter, gauge], count as u64);
            metrics
        };
        let mut book = MetricsBook::default();
        book.report("a", "1", reported(5, 1.0, 10), &[]);
        book.report("a", "1", reported(7, 2.0, 40), &[]);
        book.report("b", "1", reported(20, 3.0, 30), &[]);
        book.report("a", "2", reported(1, 4.0, 20), &[]);
        let sum = |book: &MetricsBook| {
            let total = total(book);
            let of = |name: &str| total.user.iter().find(|metric| metric.name == name).unwrap().clone();
            (of("seen").count, of("level").value, total.row_errors)
        };
        assert_eq!(sum(&book), (28, 2.0, 28));
        book.forget("a");
        book.forget("b");
        assert_eq!(sum(&book), (28, 2.0, 28), "nothing is lost with executors");
    }

    #[test]
    fn what_an_executor_forgets_is_remembered() {
        let mut book = MetricsBook::default();
        book.report("a", "1", metrics(10, 1), &[]);
        book.report("a", "1", Vec::new(), &[]);
        assert_eq!((total(&book).calls, total(&book).in_flight), (10, 1), "nothing has changed");
        book.report("a", "1", Vec::new(), &["f@1".to_owned()]);
        assert_eq!((total(&book).calls, total(&book).in_flight), (10, 0));
        book.report("a", "1", metrics(3, 1), &[]);
        book.report("a", "1", metrics(2, 1), &[]);
        assert_eq!(total(&book).calls, 15);
    }

    #[test]
    fn quantiles_are_of_the_whole_fleet() {
        let mut book = MetricsBook::default();
        book.report("a", "1", metrics(60, 1), &[]);
        book.report("b", "1", metrics(40, 100), &[]);
        let progress = book.progress("f", &["f@1".to_owned()]);
        assert!((0.9..1.1).contains(&progress.p50_ms), "{}", progress.p50_ms);
        assert!((90.0..110.0).contains(&progress.p95_ms), "{}", progress.p95_ms);
        assert_eq!(progress.executors.len(), 2);
    }
}
