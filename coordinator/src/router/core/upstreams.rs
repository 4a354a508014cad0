//! Exchanges with executors, and the batches in flight at each.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use udfleet_proto::v1::StreamProgress;

use super::Candidate;
use super::silence::Heard;

struct SentBatch<S: Candidate> {
    /// As the executor knows it.
    sequence: u64,
    position: u64,
    at: Instant,
    _in_flight: S::InFlight,
}

/// One exchange with an executor.
pub(super) struct Upstream<S: Candidate> {
    server: S,
    sent: VecDeque<SentBatch<S>>,
    /// What an executor that aggregates answers the end of its input with.
    end_sequence: u64,
    /// It holds groups of what it has answered.
    pub holds_groups: bool,
    /// It has answered the end of its input.
    pub finished: bool,
    closed: bool,
    reading: bool,
    /// Dictionaries below this index have been sent.
    pub dictionaries: Option<u64>,
    /// What it has said, and when.
    pub heard: Heard,
}

impl<S: Candidate> Upstream<S> {
    fn new(server: S) -> Self {
        Self {
            server,
            sent: VecDeque::new(),
            end_sequence: 0,
            holds_groups: false,
            finished: false,
            closed: false,
            reading: true,
            dictionaries: None,
            heard: Heard::default(),
        }
    }

    pub fn executor(&self) -> &str {
        self.server.executor()
    }

    pub fn note_blocked(&self) {
        self.server.note_blocked();
    }

    /// It says how its stream stands.
    pub fn reports_progress(&self) -> bool {
        self.server.reports_progress()
    }

    /// It hangs, or has answered a batch.
    pub fn note_silent(&self, silent: bool) {
        if silent || self.server.is_silent() {
            self.server.note_silent(silent);
        }
    }

    /// Batches of this stream that the executor has not answered.
    pub fn in_flight(&self) -> usize {
        self.sent.len()
    }

    /// A batch goes out.
    pub fn sent(&mut self, sequence: u64, position: u64, at: Instant) {
        self.sent.push_back(SentBatch { sequence, position, at, _in_flight: self.server.begin() });
        self.end_sequence = sequence.saturating_add(1);
    }

    /// The end of the input goes out, which is answered as a batch is.
    pub fn sent_end(&mut self, position: u64, at: Instant) {
        self.sent(self.end_sequence, position, at);
    }

    /// True where answers to this batch would not wait for those of later ones.
    pub fn in_order(&self, position: u64) -> bool {
        self.sent.back().is_none_or(|sent| sent.position < position)
    }

    /// The position of the batch that is answered next.
    pub fn oldest(&self) -> Option<u64> {
        self.sent.front().map(|sent| sent.position)
    }

    /// The position of the batch that the executor answers as `sequence`. Clients may use a number twice: answers come in
    /// order.
    pub fn position(&self, sequence: u64) -> Option<u64> {
        self.sent.iter().find(|sent| sent.sequence == sequence).map(|sent| sent.position)
    }

    /// The batch at `position` has been answered.
    pub fn answered(&mut self, position: u64) {
        self.sent.retain(|sent| sent.position != position);
    }

    /// Positions of what is still unanswered, oldest first.
    pub fn unanswered(&self) -> Vec<u64> {
        self.sent.iter().map(|sent| sent.position).collect()
    }

    /// Since when the executor has had the oldest of these.
    pub fn busy_since(&self) -> Option<Instant> {
        self.sent.front().map(|sent| sent.at)
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    pub fn is_read(&self) -> bool {
        self.reading
    }
}

/// All of a stream.
pub(super) struct Upstreams<S: Candidate> {
    open: BTreeMap<usize, Upstream<S>>,
    /// The latest one of each executor.
    by_executor: HashMap<String, usize>,
    opened: usize,
    pub last_used: Option<usize>,
}

impl<S: Candidate> Default for Upstreams<S> {
    fn default() -> Self {
        Self { open: BTreeMap::new(), by_executor: HashMap::new(), opened: 0, last_used: None }
    }
}

impl<S: Candidate> Upstreams<S> {
    /// Begins one; its number.
    pub fn open(&mut self, server: S) -> usize {
        let id = self.opened;
        self.opened += 1;
        self.by_executor.insert(server.executor().to_owned(), id);
        self.open.insert(id, Upstream::new(server));
        id
    }

    pub fn never_opened(&self) -> bool {
        self.opened == 0
    }

    pub fn get(&self, id: usize) -> Option<&Upstream<S>> {
        self.open.get(&id)
    }

    pub fn get_mut(&mut self, id: usize) -> Option<&mut Upstream<S>> {
        self.open.get_mut(&id)
    }

    pub fn remove(&mut self, id: usize) -> Option<Upstream<S>> {
        let upstream = self.open.remove(&id)?;
        if self.by_executor.get(upstream.executor()) == Some(&id) {
            self.by_executor.remove(upstream.executor());
        }
        Some(upstream)
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (usize, &Upstream<S>)> {
        self.open.iter().map(|(id, upstream)| (*id, upstream))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Upstream<S>)> {
        self.open.iter_mut().map(|(id, upstream)| (*id, upstream))
    }

    /// How a stream stands that has so many batches in flight, as the executors have said.
    pub fn progress(&self, in_flight: usize) -> StreamProgress {
        let all = self.open.values().map(|upstream| &upstream.heard.progress);
        StreamProgress {
            in_flight: u32::try_from(in_flight).unwrap_or(u32::MAX),
            running: all.clone().map(|progress| progress.running).sum(),
            running_ms: all.map(|progress| progress.running_ms).max().unwrap_or_default(),
        }
    }

    /// The latest one of an executor.
    pub fn of(&self, executor: &str) -> Option<(usize, &Upstream<S>)> {
        let id = *self.by_executor.get(executor)?;
        self.open.get(&id).map(|upstream| (id, upstream))
    }

    /// Batches of this stream that an executor has and has not answered, over all its exchanges.
    pub fn in_flight_at(&self, executor: &str) -> usize {
        self.open.values().filter(|upstream| upstream.executor() == executor).map(Upstream::in_flight).sum()
    }

    /// Nothing more goes out on any of them. Those that it is new to.
    pub fn close_all(&mut self) -> Vec<usize> {
        let open = self.open.iter_mut().filter(|(_, upstream)| !upstream.closed);
        open.map(|(id, upstream)| {
            upstream.closed = true;
            *id
        })
        .collect()
    }

    /// Which are read on; those that this changes.
    pub fn set_reading(&mut self, wanted: impl Fn(&Upstream<S>) -> bool) -> Vec<(usize, bool)> {
        let mut changed = Vec::new();
        for (id, upstream) in &mut self.open {
            let on = wanted(upstream);
            if upstream.reading != on {
                upstream.reading = on;
                changed.push((*id, on));
            }
        }
        changed
    }
}
