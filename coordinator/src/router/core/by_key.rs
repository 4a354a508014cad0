//! Aggregations whose groups are spread: each partition of the keys has an exchange of its own, with an interpreter that
//! holds the groups of these keys, and gets its rows in their order.
//!
//! Each piece of a batch, and the end of the input for each partition, has a position of its own, so that it is sent,
//! tried again and answered as a batch is. The last piece closes its batch, and the last end the results.

use std::time::Instant;

use arrow_flight::FlightData;
use rand::Rng as _;
use udfleet_proto::error::Error;
use udfleet_proto::limits::STREAM_WINDOW;

use super::batches::Label;
use super::key_cutter::{KeyCutter, Piece};
use super::pick::load_of;
use super::{Candidate, ExchangeCore, Routing};

/// The most partitions of a stream: with more, pieces of usual batches become too small to be worth a call.
const MAX_PARTITIONS: u32 = 32;

/// Which rows of a batch a piece is, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyShare {
    pub partition: usize,
    /// Rows of the client's batch; `None`: all, or none of any.
    pub rows: Option<Vec<u32>>,
}

/// See the module.
pub(super) struct KeyRouting {
    cutter: KeyCutter,
    partitions: Vec<Partition>,
    /// An exchange that no partition has yet: it was opened to have the schema looked at.
    spare: Option<usize>,
}

#[derive(Debug, Default, Clone)]
struct Partition {
    /// Any row has come for it.
    used: bool,
    /// Its exchange, while there is one.
    upstream: Option<usize>,
}

impl KeyRouting {
    fn new(cutter: KeyCutter) -> Self {
        Self { partitions: vec![Partition::default(); cutter.partitions()], cutter, spare: None }
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    fn cut(&mut self, message: FlightData) -> Result<Vec<Piece>, Error> {
        let pieces = self.cutter.cut(message)?;
        pieces.iter().for_each(|piece| self.partitions[piece.partition].used = true);
        Ok(pieces)
    }

    /// The exchange of a partition, or the spare one.
    fn upstream(&mut self, partition: Option<usize>) -> Option<usize> {
        let Some(partition) = partition else { return self.spare };
        let owner = &mut self.partitions[partition].upstream;
        if owner.is_none() {
            *owner = self.spare.take();
        }
        *owner
    }

    fn assign(&mut self, partition: Option<usize>, upstream: usize) {
        match partition {
            Some(partition) => self.partitions[partition].upstream = Some(upstream),
            None => self.spare = Some(upstream),
        }
    }

    /// The exchange is gone.
    pub fn forget(&mut self, upstream: usize) {
        let owners = self.partitions.iter_mut().map(|partition| &mut partition.upstream);
        owners.chain([&mut self.spare]).filter(|owner| **owner == Some(upstream)).for_each(|owner| *owner = None);
    }

    /// Who is to hear of the end: where no row has come, one that says so.
    fn ends(&self) -> Vec<Option<KeyShare>> {
        let used = (0..self.partitions.len()).filter(|partition| self.partitions[*partition].used);
        let mut ends: Vec<_> = used.map(|partition| Some(KeyShare { partition, rows: None })).collect();
        if ends.is_empty() {
            ends.push(Some(KeyShare { partition: 0, rows: None }));
        }
        ends
    }
}

impl<S: Candidate> ExchangeCore<S> {
    /// How the stream's batches go, now that its schema is known.
    pub(super) fn route(&mut self, dictionaries: bool) {
        self.routing = Routing::without_keys(self.spec.aggregates, dictionaries);
        let interpreters = self.interpreters().min(MAX_PARTITIONS);
        if self.spec.partition_by.is_empty() || dictionaries || interpreters < 2 {
            return;
        }
        let cutter = self.input.schema().and_then(|s| KeyCutter::new(s, &self.spec.partition_by, interpreters));
        if let Some(cutter) = cutter {
            self.routing = Routing::ByKey(KeyRouting::new(cutter));
        }
    }

    /// Interpreters that could take a partition each. Those that long calls hold count only where all are held.
    fn interpreters(&self) -> u32 {
        let count = |held: bool| {
            let some = self.servers().iter().filter(|server| server.is_blocked() == held);
            some.fold(0_u32, |sum, server| sum.saturating_add(server.interpreters()))
        };
        match count(false) {
            0 => count(true),
            free => free,
        }
    }

    /// Keeps a batch, in pieces where it is cut.
    pub(super) fn accept(&mut self, position: u64, label: Label, message: FlightData) {
        let Routing::ByKey(keys) = &mut self.routing else {
            return self.batches.accept(position, label, message, None);
        };
        let pieces = match keys.cut(message.clone()) {
            Ok(pieces) => pieces,
            Err(error) => {
                self.batches.accept(position, label, message, None);
                return self.fail(position, error);
            }
        };
        let last = pieces.len() - 1;
        for (index, Piece { partition, rows, message }) in pieces.into_iter().enumerate() {
            let label = Label { closes: label.closes && index == last, ..label.clone() };
            self.batches.accept(position + index as u64, label, message, Some(KeyShare { partition, rows }));
        }
        self.input.reach(position + last as u64 + 1);
    }

    /// Keeps the end of the input, once for each executor that is to answer it.
    pub(super) fn accept_end(&mut self) {
        let Some((position, label)) = self.input.end_marker(&self.spec) else { return };
        let ends = match &self.routing {
            Routing::ByKey(keys) => keys.ends(),
            Routing::Any | Routing::Pinned => vec![None],
        };
        let last = ends.len() - 1;
        for (index, share) in ends.into_iter().enumerate() {
            let label = Label { closes: index == last, ..label.clone() };
            self.batches.accept(position + index as u64, label, FlightData::default(), share);
        }
        self.input.reach(position + last as u64 + 1);
    }

    /// The exchange for the piece at `position`, opened if need be.
    pub(super) fn of_partition(&mut self, position: u64, now: Instant) -> Option<usize> {
        let partition = self.batches.get(position).and_then(|pending| pending.share.as_ref()).map(|s| s.partition);
        let Routing::ByKey(keys) = &mut self.routing else { return None };
        if let Some(id) = keys.upstream(partition) {
            let upstream = self.upstreams.get(id)?;
            return (!upstream.is_closed() && upstream.in_flight() < STREAM_WINDOW).then_some(id);
        }
        let server = self.server_for_partition(now)?;
        let id = self.open(server)?;
        if let Routing::ByKey(keys) = &mut self.routing {
            keys.assign(partition, id);
        }
        Some(id)
    }

    /// Where the stream has the fewest partitions for each interpreter; of these the least loaded.
    fn server_for_partition(&mut self, now: Instant) -> Option<S> {
        let servers = &self.serving.as_ref().ok()?.servers;
        let start = if servers.is_empty() { 0 } else { self.random.random_range(0..servers.len()) };
        let cost = |server: &S| {
            let held = self.upstreams.iter().filter(|(_, upstream)| upstream.executor() == server.executor()).count();
            let share = (held + 1) as f64 / f64::from(server.interpreters().max(1));
            (server.is_blocked(), share, load_of(server))
        };
        let in_turn = servers.iter().cycle().skip(start).take(servers.len());
        let able = in_turn.filter(|server| !self.ejected.contains(server.executor(), now));
        let best = able
            .map(|server| (cost(server), server))
            .min_by(|(a, _), (b, _)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2)));
        best.map(|(_, server)| server.clone())
    }
}
