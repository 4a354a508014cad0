//! Latency histogram with buckets that grow geometrically: quantiles within 4.5 %, merged by adding counts.

use crate::v1;

/// Buckets per doubling.
const PER_DOUBLING: f64 = 8.0;
/// 1 µs to about 12 days.
const BUCKETS: usize = 320;

/// Counts of durations; bucket `i` holds those up to `2^(i/8)` microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS] }
    }
}

impl Histogram {
    /// The bucket of a duration in nanoseconds.
    #[must_use]
    pub fn bucket(nanos: u64) -> usize {
        let micros = nanos as f64 / 1e3;
        if micros <= 1.0 {
            return 0;
        }
        ((micros.log2() * PER_DOUBLING).ceil() as usize).min(BUCKETS - 1)
    }

    /// Counts one duration in nanoseconds.
    pub fn record(&mut self, nanos: u64) {
        self.counts[Self::bucket(nanos)] += 1;
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }

    /// What has been counted since this was as `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let counts = self.counts.iter().zip(&earlier.counts).map(|(now, before)| now.saturating_sub(*before));
        Self { counts: counts.collect() }
    }

    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many durations of at most `2^doubling` microseconds were counted.
    #[must_use]
    pub fn up_to_micros_log2(&self, doubling: u32) -> u64 {
        let last = doubling as usize * PER_DOUBLING as usize;
        self.counts.iter().take(last + 1).sum()
    }

    /// The duration in milliseconds below which the share `q` (0 to 1) lies; 0 when nothing was counted.
    #[must_use]
    pub fn quantile_ms(&self, q: f64) -> f64 {
        let rank = (q.clamp(0.0, 1.0) * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if *count > 0 && seen >= rank {
                // The middle of the bucket, in its own geometric scale.
                return ((index as f64 - 0.5).max(0.0) / PER_DOUBLING).exp2() / 1e3;
            }
        }
        0.0
    }

    /// Only the buckets that hold anything travel.
    #[must_use]
    pub fn to_proto(&self) -> v1::Histogram {
        let held = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let (bucket, count) = held.map(|(index, count)| (index as u32, *count)).unzip();
        v1::Histogram { bucket, count }
    }

    /// Buckets outside the range are counted in the last one.
    #[must_use]
    pub fn from_proto(proto: &v1::Histogram) -> Self {
        let mut histogram = Self::default();
        for (bucket, count) in proto.bucket.iter().zip(&proto.count) {
            histogram.counts[(*bucket as usize).min(BUCKETS - 1)] += count;
        }
        histogram
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn quantiles_are_near_and_merge_exactly(mut values in prop::collection::vec(2_000u64..10_000_000_000, 1..200)) {
            let (mut whole, mut left, mut right) = (Histogram::default(), Histogram::default(), Histogram::default());
            for (index, value) in values.iter().enumerate() {
                whole.record(*value);
                if index % 2 == 0 { left.record(*value) } else { right.record(*value) }
            }
            left.merge(&right);
            prop_assert_eq!(&left, &whole);
            prop_assert_eq!(&whole.since(&right).count(), &(values.len().div_ceil(2) as u64));
            prop_assert_eq!(&Histogram::from_proto(&whole.to_proto()), &whole);
            values.sort_unstable();
            for q in [0.5, 0.95, 0.99] {
                let rank = ((q * values.len() as f64).ceil() as usize).max(1) - 1;
                let exact = values[rank] as f64 / 1e6;
                let near = whole.quantile_ms(q);
                prop_assert!((near / exact - 1.0).abs() < 0.05, "q={q} exact={exact} near={near}");
            }
        }
    }
}
