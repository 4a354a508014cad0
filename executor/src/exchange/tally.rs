//! The cost of a batch, counted for each of its functions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use udfleet_proto::error::Error;
use udfleet_proto::v1::{BatchTiming, Done};

use super::target::Target;
use crate::link::Output;
use crate::metrics::{BatchRecord, InFlight};

/// Counts a batch as in flight until dropped, and the parts of its result until [`Tally::end`].
pub(super) struct Tally {
    target: Arc<Target>,
    arrived: Instant,
    _in_flight: Vec<InFlight>,
    record: BatchRecord,
    /// Rows and nanoseconds of each function of a stage, by slot.
    runs: Vec<(u64, u64)>,
    /// Waiting for an interpreter since the last part.
    waited_ns: u64,
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

impl Tally {
    /// A batch has arrived.
    pub(super) fn begin(target: &Arc<Target>, rows: u64, bytes_in: usize) -> Self {
        let runs = if target.stage.is_empty() { Vec::new() } else { vec![(0, 0); target.functions.len()] };
        Self {
            arrived: Instant::now(),
            _in_flight: target.functions.iter().map(|function| function.stats.arrived()).collect(),
            record: BatchRecord { rows, bytes_in: bytes_in as u64, ..BatchRecord::default() },
            runs,
            waited_ns: 0,
            target: Arc::clone(target),
        }
    }

    /// Of the batch.
    pub(super) fn rows(&self) -> u64 {
        self.record.rows
    }

    /// It has waited for an interpreter.
    pub(super) fn waited(&mut self, time: Duration) {
        self.waited_ns += nanoseconds(time);
    }

    /// Whether it was merged with others.
    pub(super) fn merged(&mut self, merged: bool) {
        self.record.merged = merged;
    }

    /// A part was received, so long after its request. Returns its timing.
    pub(super) fn record_output(&mut self, output: &Output, after: Duration) -> BatchTiming {
        let Done { convert_ns: convert, run_ns: run, cpu_ns, .. } = output.done;
        let transfer = nanoseconds(after).saturating_sub(convert + run);
        let queue = std::mem::take(&mut self.waited_ns);
        let record = &mut self.record;
        record.queue_ns += queue;
        record.transfer_ns += transfer;
        record.convert_ns += convert;
        record.run_ns += run;
        record.cpu_ns += cpu_ns;
        record.bytes_out += output.body.len() as u64;
        for ((rows, run_ns), run) in self.runs.iter_mut().zip(&output.done.runs) {
            *rows += run.rows;
            *run_ns += run.run_ns;
        }
        BatchTiming { queue, transfer, convert, run }
    }

    /// The batch has been answered.
    pub(super) fn end(mut self, retries: u64, error: Option<&Error>) {
        self.record.queue_ns += self.waited_ns;
        self.record.retries = retries;
        self.record.failed = error.is_some();
        self.record.total_ns = nanoseconds(self.arrived.elapsed());
        let functions = &self.target.functions;
        if self.target.stage.is_empty() {
            for function in functions.iter().filter(|function| function.metrics) {
                function.stats.answered(&self.record);
                error.iter().for_each(|error| function.stats.failed(error.info()));
            }
            return;
        }
        // An error that names a function counts for that one; any other counts for all.
        let named = error.map(|error| error.info().function.as_str());
        let named = named.filter(|name| functions.iter().any(|function| function.name == *name));
        for (function, share) in functions.iter().zip(shares(&self.record, &self.runs)) {
            let failed = share.failed && named.is_none_or(|name| name == function.name);
            if function.metrics {
                function.stats.answered(&BatchRecord { failed, ..share });
                error.iter().filter(|_| failed).for_each(|error| function.stats.failed(error.info()));
            }
        }
    }
}

/// Each function's share: rows and time of its own; conversion and CPU by the share of its time; queueing, transfer and
/// total time count fully for each.
fn shares(whole: &BatchRecord, runs: &[(u64, u64)]) -> impl Iterator<Item = BatchRecord> {
    let total: u64 = runs.iter().map(|(_, run_ns)| run_ns).sum();
    let count = runs.len() as u64;
    runs.iter().map(move |&(rows, run_ns)| {
        let part = |ns: u64| match total {
            0 => ns / count,
            total => (u128::from(ns) * u128::from(run_ns) / u128::from(total)) as u64,
        };
        BatchRecord { rows, run_ns, convert_ns: part(whole.convert_ns), cpu_ns: part(whole.cpu_ns), ..*whole }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_a_stage_share_what_can_be_shared() {
        let whole = BatchRecord {
            rows: 100,
            run_ns: 40,
            convert_ns: 80,
            cpu_ns: 8,
            queue_ns: 5,
            bytes_in: 7,
            ..BatchRecord::default()
        };
        let parts: Vec<_> = shares(&whole, &[(100, 30), (50, 10)]).collect();
        assert_eq!(parts.iter().map(|p| (p.rows, p.run_ns)).collect::<Vec<_>>(), [(100, 30), (50, 10)]);
        assert_eq!(parts.iter().map(|p| (p.convert_ns, p.cpu_ns)).collect::<Vec<_>>(), [(60, 6), (20, 2)]);
        assert!(parts.iter().all(|p| (p.queue_ns, p.bytes_in) == (5, 7)));
        let idle: Vec<_> = shares(&whole, &[(0, 0), (0, 0)]).map(|p| p.convert_ns).collect();
        assert_eq!(idle, [40, 40]);
    }
}
