//! Sends batches to executors.

use std::time::Instant;

use arrow_flight::FlightData;
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::limits::STREAM_WINDOW;
use udfleet_proto::v1::ErrorCode;

use super::pick::{is_idle, load_of, pick};
use super::upstreams::Upstream;
use super::{Candidate, Effect, ExchangeCore, Routing, failure, retry};

impl<S: Candidate> ExchangeCore<S> {
    /// Sends what can be sent.
    pub(super) fn dispatch(&mut self, now: Instant) {
        self.input.answered_before(self.responses.next_position());
        self.look_again_at = None;
        self.accept_end();
        while let Some(position) = self.batches.first_unsent() {
            match self.choose(position, now) {
                Some(id) => self.send(id, position, now),
                None => return self.wait(position, now),
            }
        }
        // The first executor hears of the schema at once: it may refuse it.
        if self.input.schema().is_some() && self.upstreams.never_opened() {
            let _ = self.choose(0, now);
        }
        if !self.input.is_open() {
            for upstream in self.upstreams.close_all() {
                self.effects.push_back(Effect::EndInput { upstream });
            }
        }
    }

    /// True where waiting for answers makes room again.
    pub(super) fn has_usable_upstream(&self) -> bool {
        self.upstreams.iter().any(|(_, upstream)| upstream.in_flight() > 0 && upstream.is_read())
    }

    /// No executor can take the batch now. An answer may change that, new routes, or the end of an ejection.
    fn wait(&mut self, position: u64, now: Instant) {
        self.look_again_at = self.ejected.next_readmission(now);
        if !self.has_usable_upstream() {
            self.note_stuck(position, now);
            self.look_again_at = self.look_again_at.into_iter().chain(self.refusals.expires_at()).min();
        }
    }

    fn note_stuck(&mut self, position: u64, now: Instant) {
        if let Err(dropped) = &self.serving {
            return self.fail(position, dropped.clone());
        }
        self.refusals.begin(now);
        if self.refusals.waited(now) >= retry::REFUSAL_DEADLINE {
            let pending = self.batches.get_mut(position);
            let cause = pending.and_then(|p| p.last_error.clone().map(|error| (error, p.attempts)));
            let error = match cause {
                Some((error, attempts)) => failure::exhausted(&error, &self.spec.function, attempts),
                None => self.unserved(),
            };
            self.fail(position, error);
        }
    }

    fn unserved(&self) -> Error {
        let known = self.serving.as_ref().ok().and_then(|serving| serving.unserved.clone());
        known.unwrap_or_else(|| {
            let message = format!("no executor takes batches of {} now", self.spec.name);
            Error::new(ErrorCode::NoCapacity, message)
                .hint("`udfleet status` shows what is pending and why; try again later")
        })
    }

    /// The upstream for the next batch, opened if need be.
    fn choose(&mut self, position: u64, now: Instant) -> Option<usize> {
        match self.routing {
            Routing::ByKey(_) => self.of_partition(position, now),
            Routing::Pinned if !self.upstreams.is_empty() => self.pinned(),
            Routing::Pinned | Routing::Any => {
                let id = self.idle().or_else(|| self.least_loaded(position, now))?;
                self.upstreams.last_used = Some(id);
                Some(id)
            }
        }
    }

    fn pinned(&self) -> Option<usize> {
        let has_room = |upstream: &Upstream<S>| !upstream.is_closed() && upstream.in_flight() < STREAM_WINDOW;
        self.upstreams.iter().find(|(_, upstream)| has_room(upstream)).map(|(id, _)| id)
    }

    /// A batch that comes back never waits behind later ones: where early answers are held back, they would wait for it
    /// in turn. It goes over an exchange of its own, then even to an executor that has its share.
    fn least_loaded(&mut self, position: u64, now: Instant) -> Option<usize> {
        let urgent = self.responses.holds_back() && position == self.responses.next_position();
        let servers = &self.serving.as_ref().ok()?.servers;
        let load = |index: usize| {
            let server = &servers[index];
            let ejected = self.ejected.contains(server.executor(), now);
            let free = urgent || self.upstreams.in_flight_at(server.executor()) < STREAM_WINDOW;
            (free && !ejected).then(|| load_of(server))
        };
        let server = &servers[pick(servers.len(), load, &mut self.random)?];
        let open = self.upstreams.of(server.executor());
        let open = open.filter(|(_, upstream)| !upstream.is_closed() && upstream.in_order(position));
        match open {
            Some((id, _)) => Some(id),
            None => {
                let server = server.clone();
                self.open(server)
            }
        }
    }

    /// Begins an exchange with an executor.
    pub(super) fn open(&mut self, server: S) -> Option<usize> {
        let schema = self.input.schema()?.clone();
        let upstream = self.upstreams.open(server.clone());
        self.effects.push_back(Effect::Open { upstream, server, schema });
        Some(upstream)
    }

    /// The executor of the last batch, where it has an interpreter to spare: a stream with one batch at a time stays
    /// where its exchange is open.
    fn idle(&self) -> Option<usize> {
        let id = self.upstreams.last_used?;
        let upstream = self.upstreams.get(id).filter(|u| u.in_flight() == 0 && !u.is_closed())?;
        // With few executors this finds it at once; with many, the search would cost more than it saves.
        let server = self.servers().iter().take(16).find(|server| server.executor() == upstream.executor())?;
        is_idle(server).then_some(id)
    }

    fn send(&mut self, id: usize, position: u64, now: Instant) {
        let Some(upstream) = self.upstreams.get_mut(id) else { return };
        if let Some(dictionaries) = self.input.dictionaries() {
            let (messages, had) = dictionaries.before(position, upstream.dictionaries);
            upstream.dictionaries = Some(had);
            let sends = messages.into_iter().map(|message| Effect::Send { upstream: id, message });
            self.effects.extend(sends);
        }
        match self.batches.send(position) {
            // The end of the input, which closing the exchange says.
            Some(_) if self.input.is_end(position) => upstream.sent_end(position, now),
            Some((message, header)) => {
                upstream.sent(header.sequence, position, now);
                let message = FlightData { app_metadata: header.encode_to_vec().into(), ..message };
                self.effects.push_back(Effect::Send { upstream: id, message });
            }
            None => {}
        }
    }
}
