//! User metrics, summed: over interpreters in an executor, over executors in a coordinator.

use std::collections::BTreeMap;

use crate::limits::{MAX_METRIC_GROUPS, MAX_METRIC_TEXT};
use crate::sketch::Sketch;
use crate::v1::{MetricKind, UserMetric};

/// What makes two numbers the same metric: groups, name and kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    groups: Vec<(String, String)>,
    name: String,
    kind: i32,
}

impl Identity {
    /// Of a metric.
    #[must_use]
    pub fn of(metric: &UserMetric) -> Self {
        let groups = metric.groups.iter().map(|group| (group.name.clone(), group.value.clone())).collect();
        Self { groups, name: metric.name.clone(), kind: metric.kind }
    }
}

/// The most buckets of one sign that a sketch of a double has: 1 % apart from the least to the greatest.
const MAX_BUCKETS: usize = 1 << 17;

/// True for a metric whose texts and sketch are within their bounds. The SDK makes no other, but who reports may not be the SDK.
#[must_use]
pub fn is_bounded(metric: &UserMetric) -> bool {
    let short = |text: &String| text.len() <= MAX_METRIC_TEXT;
    let buckets =
        [metric.positive.len(), metric.positive_count.len(), metric.negative.len(), metric.negative_count.len()];
    short(&metric.name)
        && metric.groups.len() <= MAX_METRIC_GROUPS
        && metric.groups.iter().all(|group| short(&group.name) && short(&group.value))
        && buckets.iter().all(|buckets| *buckets <= MAX_BUCKETS)
}

/// The metrics of a function from several sources, each of which says only once what it has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sum {
    metrics: BTreeMap<Identity, UserMetric>,
}

impl Sum {
    /// Adds what one source has.
    pub fn add<'a>(&mut self, metrics: impl IntoIterator<Item = &'a UserMetric>) {
        for metric in metrics {
            match self.metrics.entry(Identity::of(metric)) {
                std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(metric.clone())),
                std::collections::btree_map::Entry::Occupied(mut entry) => merge(entry.get_mut(), metric),
            }
        }
    }

    /// Adds what one source has, without more metrics than `most`.
    pub fn add_within<'a>(&mut self, most: usize, metrics: impl IntoIterator<Item = &'a UserMetric>) {
        for metric in metrics {
            if self.metrics.len() < most || self.metrics.contains_key(&Identity::of(metric)) {
                self.add([metric]);
            }
        }
    }

    /// The sums, in order of groups and names.
    #[must_use]
    pub fn metrics(&self) -> Vec<UserMetric> {
        self.metrics.values().cloned().collect()
    }
}

/// Adds a metric to another of the same identity: of gauges the newest value stays, everything else adds up.
pub fn merge(into: &mut UserMetric, from: &UserMetric) {
    match into.kind() {
        MetricKind::Counter | MetricKind::Meter | MetricKind::Unspecified => into.count += from.count,
        MetricKind::Gauge => {
            if from.unix_ms >= into.unix_ms {
                (into.value, into.unix_ms) = (from.value, from.unix_ms);
            }
        }
        MetricKind::Distribution => merge_values(into, from),
        MetricKind::Histogram => {
            merge_values(into, from);
            let mut sketch = Sketch::of(into);
            sketch.merge(&Sketch::of(from));
            sketch.put(into);
        }
    }
    into.span_seconds = into.span_seconds.max(from.span_seconds);
}

fn merge_values(into: &mut UserMetric, from: &UserMetric) {
    match (into.count, from.count) {
        (_, 0) => return,
        // Least and greatest of nothing are no values.
        (0, _) => (into.min, into.max) = (from.min, from.max),
        _ => (into.min, into.max) = (into.min.min(from.min), into.max.max(from.max)),
    }
    into.count += from.count;
    into.sum += from.sum;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::MetricGroup;

    fn metric(name: &str, kind: MetricKind) -> UserMetric {
        let groups = vec![MetricGroup { name: "g".to_owned(), value: String::new() }];
        UserMetric { groups, name: name.to_owned(), kind: kind as i32, ..UserMetric::default() }
    }

    fn sum(a: &UserMetric, b: &UserMetric) -> UserMetric {
        let mut sum = Sum::default();
        sum.add([a]);
        sum.add([b]);
        assert_eq!(sum.metrics().len(), 1);
        sum.metrics().remove(0)
    }

    #[test]
    fn each_kind_is_summed_as_it_should() {
        let counter = |count| UserMetric { count, ..metric("c", MetricKind::Counter) };
        assert_eq!(sum(&counter(5), &counter(-2)).count, 3);
        let gauge = |value, unix_ms| UserMetric { value, unix_ms, ..metric("g", MetricKind::Gauge) };
        assert_eq!(sum(&gauge(1.0, 20), &gauge(2.0, 10)).value, 1.0);
        assert_eq!(sum(&gauge(1.0, 20), &gauge(2.0, 30)).value, 2.0);
        let empty = metric("d", MetricKind::Distribution);
        let held = UserMetric { count: 2, sum: 7.0, min: 3.0, max: 4.0, ..empty.clone() };
        for (a, b) in [(&empty, &held), (&held, &empty)] {
            let both = sum(a, b);
            assert_eq!((both.count, both.sum, both.min, both.max), (2, 7.0, 3.0, 4.0));
        }
        let twice = sum(&held, &UserMetric { min: 1.0, ..held.clone() });
        assert_eq!((twice.count, twice.sum, twice.min, twice.max), (4, 14.0, 1.0, 4.0));
        let histogram = |value: f64| {
            let mut made =
                UserMetric { count: 1, sum: value, min: value, max: value, ..metric("h", MetricKind::Histogram) };
            let mut sketch = Sketch::default();
            sketch.record(value);
            sketch.put(&mut made);
            made
        };
        let both = sum(&histogram(-1.0), &histogram(100.0));
        assert_eq!((both.count, both.min, both.max, Sketch::of(&both).count()), (2, -1.0, 100.0, 2));
    }

    #[test]
    fn groups_and_kinds_keep_metrics_apart() {
        let mut all = Sum::default();
        let (counter, meter) = (metric("x", MetricKind::Counter), metric("x", MetricKind::Meter));
        let other = UserMetric { groups: Vec::new(), ..counter.clone() };
        all.add([&counter, &meter, &other]);
        assert_eq!(all.metrics().len(), 3);
    }
}
