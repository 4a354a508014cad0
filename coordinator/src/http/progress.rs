//! Metrics of functions in the JSON API: the fields of the SDK's `ProgressView`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use udfleet_proto::sketch::Sketch;
use udfleet_proto::v1::{FunctionMetrics, FunctionProgress, MetricKind, UserMetric};

/// User metrics of a function on one page: names come from user code, which may make any number of them.
const MOST_METRICS: usize = 1_000;

/// How a function is doing, over the fleet and per executor.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Progress {
    function: String,
    total: Counters,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    executors: BTreeMap<String, Counters>,
}

impl Progress {
    /// Of the sums that the coordinator keeps.
    pub fn of(progress: &FunctionProgress) -> Self {
        let total = progress.total.as_ref().map(Counters::of).unwrap_or_default();
        let of = |metrics: &FunctionMetrics| Counters::of(metrics);
        let executors = progress.executors.iter().filter_map(|e| Some((e.executor.clone(), of(e.metrics.as_ref()?))));
        Self {
            function: total.function.clone(),
            total,
            p50_ms: progress.p50_ms,
            p95_ms: progress.p95_ms,
            p99_ms: progress.p99_ms,
            executors: executors.collect(),
        }
    }
}

#[derive(Debug, Default, Serialize, JsonSchema)]
struct Counters {
    function: String,
    calls: u64,
    rows: u64,
    errors: u64,
    retries: u64,
    merged: u64,
    row_errors: u64,
    bytes_in: u64,
    bytes_out: u64,
    in_flight: u64,
    queue_seconds: f64,
    transfer_seconds: f64,
    convert_seconds: f64,
    run_seconds: f64,
    cpu_seconds: f64,
    peak_memory_bytes: u64,
    metrics: Vec<Metric>,
}

impl Counters {
    fn of(metrics: &FunctionMetrics) -> Self {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        Self {
            function: metrics.function.clone(),
            calls: metrics.calls,
            rows: metrics.rows,
            errors: metrics.errors,
            retries: metrics.retries,
            merged: metrics.merged,
            row_errors: metrics.row_errors,
            bytes_in: metrics.bytes_in,
            bytes_out: metrics.bytes_out,
            in_flight: metrics.in_flight,
            queue_seconds: seconds(metrics.queue_ns),
            transfer_seconds: seconds(metrics.transfer_ns),
            convert_seconds: seconds(metrics.convert_ns),
            run_seconds: seconds(metrics.run_ns),
            cpu_seconds: seconds(metrics.cpu_ns),
            peak_memory_bytes: metrics.peak_memory_bytes,
            metrics: metrics.user.iter().take(MOST_METRICS).map(Metric::of).collect(),
        }
    }
}

/// A metric that the function keeps itself; what its kind has not is null.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Metric {
    /// With its groups: `my_group.key=value.name`.
    name: String,
    kind: String,
    count: i64,
    value: Option<f64>,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

impl Metric {
    fn of(metric: &UserMetric) -> Self {
        let kind = metric.kind();
        let group = |g: &udfleet_proto::v1::MetricGroup| match g.value.as_str() {
            "" => g.name.clone(),
            value => format!("{}={value}", g.name),
        };
        let ranged = metric.count > 0 && matches!(kind, MetricKind::Histogram | MetricKind::Distribution);
        let sketch = (metric.count > 0 && kind == MetricKind::Histogram).then(|| Sketch::of(metric));
        let quantile = |q: f64| sketch.as_ref().and_then(|sketch| sketch.quantile(q));
        Self {
            name: metric.groups.iter().map(group).chain([metric.name.clone()]).collect::<Vec<_>>().join("."),
            kind: kind.as_str_name().to_lowercase(),
            count: metric.count,
            value: (kind == MetricKind::Gauge).then_some(metric.value),
            sum: metric.sum,
            min: ranged.then_some(metric.min),
            max: ranged.then_some(metric.max),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use udfleet_proto::v1::MetricGroup;

    #[test]
    fn metrics_show_what_their_kind_has() {
        let group = |name: &str, value: &str| MetricGroup { name: name.to_owned(), value: value.to_owned() };
        let metric = UserMetric {
            groups: vec![group("io", ""), group("region", "eu")],
            name: "rows".to_owned(),
            kind: MetricKind::Counter as i32,
            count: -3,
            ..UserMetric::default()
        };
        let shown = Metric::of(&metric);
        assert_eq!((shown.name.as_str(), shown.kind.as_str(), shown.count), ("io.region=eu.rows", "counter", -3));
        assert_eq!((shown.value, shown.min, shown.p50), (None, None, None));

        let mut histogram = UserMetric { kind: MetricKind::Histogram as i32, count: 2, ..metric };
        assert_eq!(Metric::of(&UserMetric { count: 0, ..histogram.clone() }).p50, None, "nothing was seen");
        let mut sketch = Sketch::default();
        sketch.record(10.0);
        sketch.record(10.0);
        sketch.put(&mut histogram);
        assert!((Metric::of(&histogram).p99.unwrap() / 10.0 - 1.0).abs() < 0.01);
    }
}
