//! User metrics, summed over interpreters, past ones included.

use std::collections::{BTreeMap, HashMap};

use udfleet_proto::limits::MAX_USER_METRICS;
use udfleet_proto::user_metrics::{Identity, Sum, is_bounded};
use udfleet_proto::v1::UserMetric;

/// The user metrics of one function.
#[derive(Debug, Default)]
pub(super) struct UserNumbers {
    /// Of interpreters that have ended.
    past: Sum,
    /// What each interpreter that runs has said last.
    live: HashMap<u64, BTreeMap<Identity, UserMetric>>,
}

impl UserNumbers {
    /// An interpreter says what has changed; its numbers count from its start. What is beyond the bounds is left out.
    pub(super) fn tell(&mut self, interpreter: u64, metrics: Vec<UserMetric>) {
        let known = self.live.entry(interpreter).or_default();
        for metric in metrics.into_iter().filter(is_bounded) {
            let identity = Identity::of(&metric);
            if known.len() < MAX_USER_METRICS || known.contains_key(&identity) {
                known.insert(identity, metric);
            }
        }
    }

    /// An interpreter says no more.
    pub(super) fn ended(&mut self, interpreter: u64) {
        if let Some(last) = self.live.remove(&interpreter) {
            self.past.add_within(MAX_USER_METRICS, last.values());
        }
    }

    /// The sums.
    pub(super) fn sum(&self) -> Vec<UserMetric> {
        if self.live.is_empty() {
            return self.past.metrics();
        }
        let mut sum = self.past.clone();
        self.live.values().for_each(|metrics| sum.add_within(MAX_USER_METRICS, metrics.values()));
        sum.metrics()
    }
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::{MetricGroup, MetricKind};

    use super::*;

    #[test]
    fn counters_add_up_exactly_over_interpreters_that_come_and_go() {
        let counter = |name: &str, count| {
            vec![UserMetric { name: name.into(), kind: MetricKind::Counter as i32, count, ..Default::default() }]
        };
        let mut numbers = UserNumbers::default();
        numbers.tell(1, counter("c", 5));
        numbers.tell(2, counter("c", 3));
        numbers.tell(1, counter("c", 6));
        numbers.tell(1, counter("d", 1));
        let counts = |numbers: &UserNumbers| numbers.sum().iter().map(|m| m.count).collect::<Vec<_>>();
        assert_eq!(counts(&numbers), [9, 1], "what has not changed is not told again");
        numbers.ended(1);
        numbers.ended(1);
        numbers.tell(3, counter("c", 10));
        assert_eq!(counts(&numbers), [19, 1]);
        numbers.tell(3, (0..2 * MAX_USER_METRICS).flat_map(|i| counter(&i.to_string(), 1)).collect());
        numbers.tell(3, counter("c", 11));
        assert_eq!(numbers.sum().len(), MAX_USER_METRICS);
        assert!(counts(&numbers).contains(&20));
    }

    #[test]
    fn names_without_end_and_new_ones_without_end_are_left_out() {
        let counter =
            |name: String| UserMetric { name, kind: MetricKind::Counter as i32, count: 1, ..Default::default() };
        let mut numbers = UserNumbers::default();
        numbers.tell(1, vec![counter("x".repeat(40 << 20)), counter("short".to_owned())]);
        let group = MetricGroup { name: "g".to_owned(), value: "v".repeat(100 << 10) };
        numbers.tell(1, vec![UserMetric { groups: vec![group], ..counter("grouped".to_owned()) }]);
        assert_eq!(numbers.sum().len(), 1);
        // Interpreters that come and go, each with names of its own.
        for interpreter in 2..20 {
            numbers.tell(interpreter, (0..200).map(|n| counter(format!("{interpreter}-{n}"))).collect());
            numbers.ended(interpreter);
        }
        assert_eq!((numbers.past.metrics().len(), numbers.sum().len()), (MAX_USER_METRICS, MAX_USER_METRICS));
    }
}
