//! Bundles: runs of batches of one stream, for clients that watch its progress. Sans-I/O; the stream sends the
//! messages.

use std::time::{Duration, Instant};

use udfleet_proto::v1::{BatchTiming, BundleProgress};

/// How often progress of an open bundle is reported.
const PERIOD: Duration = Duration::from_millis(500);

/// When a bundle ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// `python.fn-execution.bundle.size`: rows of the input.
    pub(super) rows: u64,
    /// `python.fn-execution.bundle.time`
    pub(super) time: Duration,
}

/// A batch of the client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Intake {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) arrived: Instant,
}

struct Open {
    since: Instant,
    told: Instant,
    /// There is progress since the last report.
    news: bool,
    /// Between two batches: it may end.
    even: bool,
    progress: BundleProgress,
}

/// The bundles of one stream.
pub(super) struct Bundles {
    bounds: Bounds,
    next: u64,
    open: Option<Open>,
}

impl Bundles {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, next: 0, open: None }
    }

    /// A part of an answer goes out. A bundle begins with the arrival of its first batch.
    pub(super) fn part(&mut self, of: &Intake, rows: u64, bytes: usize, timing: &BatchTiming) {
        let next = &mut self.next;
        let open = self.open.get_or_insert_with(|| {
            let bundle = *next;
            *next += 1;
            let progress = BundleProgress { bundle, timing: Some(BatchTiming::default()), ..BundleProgress::default() };
            Open { since: of.arrived, told: of.arrived, news: false, even: false, progress }
        });
        (open.news, open.even) = (true, false);
        open.progress.rows_out += rows;
        open.progress.bytes_out += bytes as u64;
        let sum = open.progress.timing.get_or_insert_default();
        sum.queue += timing.queue;
        sum.transfer += timing.transfer;
        sum.convert += timing.convert;
        sum.run += timing.run;
    }

    /// That was the last part.
    pub(super) fn answered(&mut self, batch: &Intake) {
        if let Some(open) = &mut self.open {
            open.even = true;
            open.progress.batches += 1;
            open.progress.rows_in += batch.rows;
            open.progress.bytes_in += batch.bytes;
        }
    }

    /// The message that is due now.
    pub(super) fn due(&mut self, now: Instant) -> Option<BundleProgress> {
        let open = self.open.as_mut()?;
        let full = open.progress.rows_in >= self.bounds.rows || now >= open.since + self.bounds.time;
        if open.even && full {
            return self.end(now);
        }
        if !open.news || now < open.told + PERIOD {
            return None;
        }
        (open.news, open.told) = (false, now);
        Some(told(open, now))
    }

    /// When a message may be due without further answers.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let open = self.open.as_ref()?;
        let end = open.even.then_some(open.since + self.bounds.time);
        let period = open.news.then_some(open.told + PERIOD);
        [end, period].into_iter().flatten().min()
    }

    /// The open bundle ends, if there is one.
    pub(super) fn end(&mut self, now: Instant) -> Option<BundleProgress> {
        let open = self.open.take()?;
        Some(BundleProgress { completed: true, ..told(&open, now) })
    }
}

fn told(open: &Open, now: Instant) -> BundleProgress {
    let elapsed_ms = now.saturating_duration_since(open.since).as_millis() as u64;
    BundleProgress { elapsed_ms, ..open.progress.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn answer(bundles: &mut Bundles, rows: u64, arrived: Instant) {
        let batch = Intake { rows, bytes: 8 * rows, arrived };
        let timing = BatchTiming { run: 5, ..BatchTiming::default() };
        bundles.part(&batch, rows, 3, &timing);
        bundles.part(&batch, rows, 3, &timing);
        bundles.answered(&batch);
    }

    #[test]
    fn size_ends_a_bundle_between_batches() {
        let now = Instant::now();
        let mut bundles = Bundles::new(Bounds { rows: 250, time: 1000 * MS });
        for batch in 0..2 {
            answer(&mut bundles, 100, now);
            assert_eq!(bundles.due(now), None, "{batch}");
        }
        answer(&mut bundles, 100, now);
        let done = bundles.due(now + 7 * MS).unwrap();
        assert_eq!((done.bundle, done.completed, done.batches, done.elapsed_ms), (0, true, 3, 7));
        assert_eq!((done.rows_in, done.rows_out, done.bytes_in, done.bytes_out), (300, 600, 2400, 18));
        assert_eq!(done.timing.unwrap().run, 30);
        assert_eq!((bundles.due(now), bundles.next_due(), bundles.end(now)), (None, None, None));
        answer(&mut bundles, 1, now);
        let rest = bundles.end(now).unwrap();
        assert_eq!((rest.bundle, rest.completed, rest.rows_in), (1, true, 1), "the end of the input ends it");
    }

    #[test]
    fn time_ends_a_bundle_and_it_is_told_of_meanwhile() {
        let now = Instant::now();
        let mut bundles = Bundles::new(Bounds { rows: 1_000_000, time: 1200 * MS });
        answer(&mut bundles, 1, now);
        assert_eq!(bundles.next_due(), Some(now + PERIOD));
        let progress = bundles.due(now + PERIOD).unwrap();
        assert_eq!((progress.completed, progress.rows_in, progress.elapsed_ms), (false, 1, 500));
        assert_eq!(bundles.due(now + 2 * PERIOD), None, "nothing new");
        assert_eq!(bundles.next_due(), Some(now + 1200 * MS));
        assert!(bundles.due(now + 1200 * MS).unwrap().completed);
    }

    #[test]
    fn a_bundle_does_not_end_within_a_batch() {
        let now = Instant::now();
        let mut bundles = Bundles::new(Bounds { rows: 1, time: MS });
        let batch = Intake { rows: 10, bytes: 0, arrived: now };
        bundles.part(&batch, 5, 0, &BatchTiming::default());
        assert!(!bundles.due(now + PERIOD).unwrap().completed);
        bundles.answered(&batch);
        assert!(bundles.due(now + PERIOD).unwrap().completed);
    }
}
