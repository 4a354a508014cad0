//! DDSketch (Masson et al., VLDB 2019): quantiles within 1 %, merged by adding counts. The SDK has the same in Python.

use std::collections::BTreeMap;

use crate::v1::UserMetric;

/// Bucket `i` holds values `v` with `GAMMA^(i-1) < |v| <= GAMMA^i`.
const GAMMA: f64 = 1.01 / 0.99;
/// Of each sign: more than 17 orders of magnitude. Beyond it, the smallest values share a bucket.
const MAX_BUCKETS: usize = 2048;

/// Counts of values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch {
    positive: BTreeMap<i32, u64>,
    negative: BTreeMap<i32, u64>,
    zeros: u64,
}

fn add(buckets: &mut BTreeMap<i32, u64>, index: i32, count: u64) {
    *buckets.entry(index).or_default() += count;
    if buckets.len() > MAX_BUCKETS
        && let Some((_, smallest)) = buckets.pop_first()
        && let Some(mut next) = buckets.first_entry()
    {
        *next.get_mut() += smallest;
    }
}

/// The value that is within 1 % of all in the bucket.
fn middle(index: i32) -> f64 {
    2.0 * GAMMA.powi(index) / (GAMMA + 1.0)
}

impl Sketch {
    /// Counts a value. NaN and infinities don't count.
    pub fn record(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        let index = || (value.abs().ln() / GAMMA.ln()).ceil() as i32;
        match value {
            0.0 => self.zeros += 1,
            _ if value > 0.0 => add(&mut self.positive, index(), 1),
            _ => add(&mut self.negative, index(), 1),
        }
    }

    /// The sketch of a histogram.
    #[must_use]
    pub fn of(metric: &UserMetric) -> Self {
        let mut sketch = Self { zeros: metric.zeros, ..Self::default() };
        let pairs = |indexes: &[i32], counts: &[u64]| indexes.iter().copied().zip(counts.iter().copied()).collect();
        let (positive, negative): (Vec<_>, Vec<_>) =
            (pairs(&metric.positive, &metric.positive_count), pairs(&metric.negative, &metric.negative_count));
        positive.into_iter().for_each(|(index, count)| add(&mut sketch.positive, index, count));
        negative.into_iter().for_each(|(index, count)| add(&mut sketch.negative, index, count));
        sketch
    }

    /// Writes it into a histogram.
    pub fn put(&self, metric: &mut UserMetric) {
        metric.zeros = self.zeros;
        (metric.positive, metric.positive_count) = self.positive.iter().map(|(index, count)| (*index, *count)).unzip();
        (metric.negative, metric.negative_count) = self.negative.iter().map(|(index, count)| (*index, *count)).unzip();
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.zeros += other.zeros;
        other.positive.iter().for_each(|(index, count)| add(&mut self.positive, *index, *count));
        other.negative.iter().for_each(|(index, count)| add(&mut self.negative, *index, *count));
    }

    /// How many values were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.zeros + self.positive.values().sum::<u64>() + self.negative.values().sum::<u64>()
    }

    /// The value below which the share `q` (0 to 1) of all lies, within 1 %; `None` where nothing was counted.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = (q.clamp(0.0, 1.0) * self.count().checked_sub(1)? as f64) as u64;
        let negative = self.negative.iter().rev().map(|(index, count)| (-middle(*index), *count));
        let positive = self.positive.iter().map(|(index, count)| (middle(*index), *count));
        let mut seen = 0;
        negative.chain([(0.0, self.zeros)]).chain(positive).find_map(|(value, count)| {
            seen += count;
            (count > 0 && seen > rank).then_some(value)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quantiles_are_within_one_percent_and_merge_exactly(
            mut values in prop::collection::vec(prop_oneof![Just(0.0), -1e6..1e6f64, 1e-6..1e-3f64], 1..300),
        ) {
            let (mut whole, mut left, mut right) = (Sketch::default(), Sketch::default(), Sketch::default());
            for (index, value) in values.iter().enumerate() {
                whole.record(*value);
                if index % 3 == 0 { left.record(*value) } else { right.record(*value) }
            }
            left.merge(&right);
            prop_assert_eq!(&left, &whole);
            let mut metric = UserMetric::default();
            whole.put(&mut metric);
            prop_assert_eq!(&Sketch::of(&metric), &whole);
            values.sort_by(f64::total_cmp);
            for q in [0.0, 0.5, 0.95, 0.99, 1.0] {
                let exact = values[(q * (values.len() - 1) as f64) as usize];
                let near = whole.quantile(q).unwrap();
                prop_assert!((near - exact).abs() <= 0.0101 * exact.abs(), "q={q} exact={exact} near={near}");
            }
        }
    }

    #[test]
    fn it_stays_small_and_keeps_the_large_values() {
        let mut sketch = Sketch::default();
        (-300..300).for_each(|power| sketch.record(10f64.powi(power)));
        (0..3000).for_each(|step| sketch.record(1.02f64.powi(step)));
        assert!(sketch.positive.len() <= MAX_BUCKETS);
        assert_eq!(sketch.count(), 3600);
        assert!((sketch.quantile(1.0).unwrap() / 1e299 - 1.0).abs() < 0.011);
        assert_eq!(Sketch::default().quantile(0.5), None);
        sketch.record(f64::NAN);
        assert_eq!(sketch.count(), 3600);
    }
}
