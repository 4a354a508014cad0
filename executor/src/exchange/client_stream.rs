//! The identity of a stream's client, and which of its batches may have run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ExchangeRequest, StreamProgress};

/// A client that has other executors at hand gets a batch back after this time: by then a call is a long one.
const DIRECT_GIVE_BACK: Duration = Duration::from_millis(100);

/// A stream, as its client has named it.
#[derive(Debug)]
pub(super) struct ClientStream {
    pub(super) producer: String,
    pub(super) job: String,
    /// When a batch that has not begun goes back to the client, where others can run it.
    pub(super) give_back: Option<GiveBack>,
    /// How often the client wants to hear how the stream stands.
    pub(super) progress_every: Option<Duration>,
    begun: Mutex<BegunBatches>,
}

/// When a batch that waits behind long calls goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GiveBack {
    /// It has waited for so long.
    pub(super) after: Duration,
    /// A long call of another function is in its way: among calls of its own function it keeps its place in line.
    pub(super) behind_others_only: bool,
}

impl GiveBack {
    fn of(request: &ExchangeRequest) -> Option<Self> {
        match request.give_back_after_ms {
            0 if request.refuse_if_busy => Some(Self { after: DIRECT_GIVE_BACK, behind_others_only: false }),
            0 => None,
            ms => Some(Self { after: Duration::from_millis(u64::from(ms)), behind_others_only: request.forwarded }),
        }
    }
}

/// What of a stream has begun to run.
#[derive(Debug)]
struct BegunBatches {
    /// The place of the latest batch that has begun.
    latest: u64,
    /// The place of the first batch that was refused: neither it nor any after it begins.
    refused: u64,
    /// Since when batches run that have begun and are not answered yet.
    running: Vec<Instant>,
    /// Batches that are not answered yet.
    in_flight: u32,
}

/// A batch of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchIdentity {
    /// The producer's number of it.
    pub(super) sequence: u64,
    /// Counts from 1 over all executors.
    pub(super) attempt: u32,
    /// Counts from 1 on this stream.
    pub(super) place: u64,
}

/// A batch counts as running until this is dropped.
#[derive(Debug)]
pub(super) struct Begun(Arc<ClientStream>, Instant);

impl Drop for Begun {
    fn drop(&mut self) {
        let running = &mut self.0.begun.lock().running;
        if let Some(index) = running.iter().position(|since| *since == self.1) {
            running.swap_remove(index);
        }
    }
}

/// A batch counts as in flight until this is dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<ClientStream>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.begun.lock().in_flight -= 1;
    }
}

impl ClientStream {
    pub(super) fn of(request: &ExchangeRequest) -> Arc<Self> {
        Arc::new(Self {
            producer: request.producer.clone(),
            job: request.job.clone(),
            give_back: GiveBack::of(request),
            progress_every: Some(request.progress_every_ms)
                .filter(|ms| *ms > 0)
                .map(|ms| Duration::from_millis(u64::from(ms))),
            begun: Mutex::new(BegunBatches { latest: 0, refused: u64::MAX, running: Vec::new(), in_flight: 0 }),
        })
    }

    /// The batch is about to run.
    ///
    /// # Errors
    /// When it or one before it was refused: its client takes none of them for run.
    pub(super) fn begin(self: &Arc<Self>, place: u64) -> Result<Begun, Error> {
        let mut begun = self.begun.lock();
        if begun.refused <= place {
            return Err(Error::internal("the batch or one before it was refused"));
        }
        begun.latest = begun.latest.max(place);
        let now = Instant::now();
        begun.running.push(now);
        Ok(Begun(Arc::clone(self), now))
    }

    /// A batch has come.
    pub(super) fn arrived(self: &Arc<Self>) -> InFlight {
        self.begun.lock().in_flight += 1;
        InFlight(Arc::clone(self))
    }

    /// How the stream stands.
    pub(super) fn progress(&self) -> StreamProgress {
        let begun = self.begun.lock();
        let longest = begun.running.iter().map(Instant::elapsed).max().unwrap_or_default();
        StreamProgress {
            in_flight: begun.in_flight,
            running: begun.running.len() as u32,
            running_ms: longest.as_millis() as u64,
        }
    }

    /// The batch was not run, and those after it will not be: true where none of them has begun.
    pub(super) fn refuse(&self, place: u64) -> bool {
        let mut begun = self.begun.lock();
        begun.refused = begun.refused.min(place);
        begun.latest <= place
    }

    /// Refuses a batch that waits, unless it, a later one, or any other that the client has no answer to has begun.
    pub(super) fn give_back(&self, place: u64) -> bool {
        let mut begun = self.begun.lock();
        let free = begun.running.is_empty() && begun.latest < place;
        if free {
            begun.refused = begun.refused.min(place);
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Arc<ClientStream> {
        ClientStream::of(&ExchangeRequest::default())
    }

    #[test]
    fn a_refusal_says_whether_a_later_batch_may_have_run() {
        let in_order = stream();
        in_order.begin(1).unwrap();
        assert!(in_order.refuse(2), "only one before has run");
        assert!(in_order.begin(3).is_err() && in_order.begin(2).is_err(), "and none from it on does");
        in_order.begin(1).unwrap();

        let overtaken = stream();
        overtaken.begin(3).unwrap();
        assert!(!overtaken.refuse(2));
    }

    #[test]
    fn only_a_stream_of_which_nothing_runs_gets_a_batch_back() {
        let stream = stream();
        let first = stream.begin(1).unwrap();
        assert!(!stream.give_back(2), "its client would hear of it behind the first one's answer only");
        let again = stream.begin(1).unwrap();
        drop(first);
        assert!(!stream.give_back(2), "the first one's second try");
        drop(again);
        assert!(!stream.give_back(1), "it has begun");
        assert!(stream.give_back(2));
        assert!(stream.begin(2).is_err() && stream.begin(3).is_err(), "another executor runs them");
    }

    #[test]
    fn a_stream_knows_how_it_stands() {
        let stream = stream();
        let (first, second) = (stream.arrived(), stream.arrived());
        let begun = stream.begin(1).unwrap();
        let now = stream.progress();
        assert_eq!((now.in_flight, now.running), (2, 1), "one waits");
        drop((begun, first));
        let now = stream.progress();
        assert_eq!((now.in_flight, now.running, now.running_ms), (1, 0, 0));
        drop(second);
        assert_eq!(stream.progress(), StreamProgress::default());
    }

    #[test]
    fn a_batch_that_a_later_one_has_overtaken_stays() {
        let stream = stream();
        drop(stream.begin(2).unwrap());
        assert!(!stream.give_back(1));
        stream.begin(1).unwrap();
    }

    #[test]
    fn clients_with_other_executors_at_hand_get_batches_back() {
        let of = |request: ExchangeRequest| GiveBack::of(&request);
        assert_eq!(of(ExchangeRequest::default()), None);
        let direct = of(ExchangeRequest { refuse_if_busy: true, ..ExchangeRequest::default() });
        assert_eq!(direct, Some(GiveBack { after: DIRECT_GIVE_BACK, behind_others_only: false }));
        let routed = ExchangeRequest { forwarded: true, give_back_after_ms: 7, ..ExchangeRequest::default() };
        assert_eq!(of(routed), Some(GiveBack { after: Duration::from_millis(7), behind_others_only: true }));
    }
}
