//! User metrics as Prometheus series: the same names on coordinator and executors, except for the prefix.

use crate::sketch::Sketch;
use crate::v1::{MetricKind, UserMetric};

/// Quantiles of histograms.
const QUANTILES: [(&str, f64); 3] = [("0.5", 0.5), ("0.95", 0.95), ("0.99", 0.99)];

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The name, of characters that Prometheus allows.
    pub name: String,
    /// Names and values; of groups without a value `group`, joined by dots.
    pub labels: Vec<(String, String)>,
    /// The number.
    pub value: f64,
    /// It never falls.
    pub monotonic: bool,
}

/// The series of a function's metric. `prefix`: "udfleet_user".
#[must_use]
pub fn series(prefix: &str, function: &str, metric: &UserMetric) -> Vec<Series> {
    let name = format!("{prefix}_{}", allowed(&metric.name));
    let labels = labels(function, metric);
    let one = |suffix: &str, value: f64, monotonic: bool| Series {
        name: format!("{name}{suffix}"),
        labels: labels.clone(),
        value,
        monotonic,
    };
    let values = || vec![one("_count", metric.count as f64, true), one("_sum", metric.sum, false)];
    match metric.kind() {
        // A counter of PyFlink can be taken down.
        MetricKind::Counter | MetricKind::Unspecified => vec![one("", metric.count as f64, false)],
        MetricKind::Meter => vec![one("_total", metric.count as f64, true)],
        MetricKind::Gauge => vec![one("", metric.value, false)],
        MetricKind::Distribution => {
            let bounds = [one("_min", metric.min, false), one("_max", metric.max, false)];
            values().into_iter().chain(bounds.into_iter().filter(|_| metric.count > 0)).collect()
        }
        MetricKind::Histogram => {
            let sketch = Sketch::of(metric);
            let quantile = |(label, q): (&str, f64)| {
                let mut series = one("", sketch.quantile(q)?, false);
                series.labels.push(("quantile".to_owned(), label.to_owned()));
                Some(series)
            };
            values().into_iter().chain(QUANTILES.into_iter().filter_map(quantile)).collect()
        }
    }
}

fn labels(function: &str, metric: &UserMetric) -> Vec<(String, String)> {
    let mut labels = vec![("function".to_owned(), function.to_owned())];
    let plain = metric.groups.iter().filter(|group| group.value.is_empty()).map(|group| group.name.as_str());
    let path = plain.collect::<Vec<_>>().join(".");
    if !path.is_empty() {
        labels.push(("group".to_owned(), path));
    }
    for variable in metric.groups.iter().filter(|group| !group.value.is_empty()) {
        let mut name = allowed(&variable.name);
        // Our own names come first, and a name comes once.
        while name == "quantile" || labels.iter().any(|(taken, _)| *taken == name) {
            name.push('_');
        }
        labels.push((name, variable.value.clone()));
    }
    labels
}

/// The name with what Prometheus does not allow replaced by `_`.
fn allowed(name: &str) -> String {
    let kept: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if kept.starts_with(|c: char| c.is_ascii_digit()) { format!("_{kept}") } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::MetricGroup;

    #[test]
    fn groups_become_labels_and_names_are_made_valid() {
        let group = |name: &str, value: &str| MetricGroup { name: name.to_owned(), value: value.to_owned() };
        let metric = UserMetric {
            groups: vec![group("io", ""), group("region", "eu"), group("reads", ""), group("function", "x")],
            name: "rows seen".to_owned(),
            kind: MetricKind::Counter as i32,
            count: -3,
            ..UserMetric::default()
        };
        let all = series("udfleet_user", "f@1", &metric);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].name.as_str(), all[0].value), ("udfleet_user_rows_seen", -3.0));
        let labels: Vec<(&str, &str)> = all[0].labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(labels, [("function", "f@1"), ("group", "io.reads"), ("region", "eu"), ("function_", "x")]);
    }

    #[test]
    fn histograms_have_quantiles() {
        let (mut sketch, mut metric) = (Sketch::default(), UserMetric::default());
        (1..=100).for_each(|value| sketch.record(f64::from(value)));
        sketch.put(&mut metric);
        (metric.kind, metric.count, metric.sum, metric.name) = (MetricKind::Histogram as i32, 100, 5050.0, "t".into());
        let all = series("p", "f@1", &metric);
        let median = all.iter().find(|s| s.labels.last().is_some_and(|(_, value)| value == "0.5")).unwrap();
        assert!((median.value / 50.0 - 1.0).abs() < 0.02, "{median:?}");
        assert!(all.iter().any(|s| s.name == "p_t_count" && s.value == 100.0));
        assert!(series("p", "f@1", &UserMetric { count: 0, ..UserMetric::default() }).len() == 1);
    }
}
