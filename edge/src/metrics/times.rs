//! Times of functions on a page of metrics: counters of fractions of seconds, and histograms whose buckets are counted
//! elsewhere. The recorder of the other numbers has neither.

use std::fmt::Write as _;

use udfleet_proto::histogram::Histogram;
use udfleet_proto::v1::FunctionMetrics;

/// Bounds of buckets: 2^6, 2^8, ... 2^28 microseconds. The histogram has each of them as a bound of its own.
const FIRST_DOUBLING: u32 = 6;
const LAST_DOUBLING: u32 = 28;
const DOUBLINGS: usize = 2;

/// Two families, function by function.
#[derive(Debug)]
pub struct FunctionTimes {
    parts: String,
    latency: String,
    parts_name: &'static str,
    latency_name: &'static str,
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// As a label's value is written.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl FunctionTimes {
    /// Families of these names: time by part, and latency.
    #[must_use]
    pub fn new(parts_name: &'static str, latency_name: &'static str) -> Self {
        let parts = format!(
            "# HELP {parts_name} Time of batches, by where it went; cpu overlaps convert and run\n# TYPE {parts_name} counter\n"
        );
        let latency = format!(
            "# HELP {latency_name} From arrival of a batch at its executor to its answer\n# TYPE {latency_name} histogram\n"
        );
        Self { parts, latency, parts_name, latency_name }
    }

    /// Those of one function.
    #[must_use]
    pub fn with(mut self, m: &FunctionMetrics) -> Self {
        let function = escaped(&m.function);
        let parts = [
            ("queue", m.queue_ns),
            ("transfer", m.transfer_ns),
            ("convert", m.convert_ns),
            ("run", m.run_ns),
            ("cpu", m.cpu_ns),
        ];
        for (part, nanos) in parts {
            let (name, value) = (self.parts_name, seconds(nanos));
            // Writing to a string does not fail.
            let _ = writeln!(self.parts, "{name}{{function=\"{function}\",part=\"{part}\"}} {value}");
        }
        let (name, latency) = (self.latency_name, m.latency.as_ref().map(Histogram::from_proto).unwrap_or_default());
        for doubling in (FIRST_DOUBLING..=LAST_DOUBLING).step_by(DOUBLINGS) {
            let (bound, count) = (f64::from(1_u32 << doubling) / 1e6, latency.up_to_micros_log2(doubling));
            let _ = writeln!(self.latency, "{name}_bucket{{function=\"{function}\",le=\"{bound}\"}} {count}");
        }
        let (count, sum) = (latency.count(), seconds(m.latency_ns));
        let _ = writeln!(self.latency, "{name}_bucket{{function=\"{function}\",le=\"+Inf\"}} {count}");
        let _ = writeln!(self.latency, "{name}_sum{{function=\"{function}\"}} {sum}");
        let _ = writeln!(self.latency, "{name}_count{{function=\"{function}\"}} {count}");
        self
    }

    /// Both families.
    #[must_use]
    pub fn render(self) -> String {
        self.parts + &self.latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_fractions_and_buckets_add_up() {
        let mut latency = Histogram::default();
        [10_000, 64_000, 65_000, 2_000_000, 400_000_000_000].into_iter().for_each(|nanos| latency.record(nanos));
        let metrics = FunctionMetrics {
            function: "add@3".to_owned(),
            run_ns: 1_500_000,
            latency: Some(latency.to_proto()),
            latency_ns: 2_500_000_000,
            ..FunctionMetrics::default()
        };
        let page = FunctionTimes::new("f_seconds_total", "f_latency_seconds").with(&metrics).render();
        for line in [
            "# TYPE f_seconds_total counter",
            "f_seconds_total{function=\"add@3\",part=\"run\"} 0.0015",
            "# TYPE f_latency_seconds histogram",
            "f_latency_seconds_bucket{function=\"add@3\",le=\"0.000064\"} 2",
            "f_latency_seconds_bucket{function=\"add@3\",le=\"0.000256\"} 3",
            "f_latency_seconds_bucket{function=\"add@3\",le=\"0.004096\"} 4",
            "f_latency_seconds_bucket{function=\"add@3\",le=\"268.435456\"} 4",
            "f_latency_seconds_bucket{function=\"add@3\",le=\"+Inf\"} 5",
            "f_latency_seconds_sum{function=\"add@3\"} 2.5",
            "f_latency_seconds_count{function=\"add@3\"} 5",
        ] {
            assert!(page.lines().any(|other| other == line), "{line} in\n{page}");
        }
        assert_eq!(escaped("a\"\\\n"), "a\\\"\\\\\\n");
    }
}
