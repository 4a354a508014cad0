//! Where an exchange's batches go, and what it does with what comes back.

use std::time::Duration;

use arrow_flight::FlightData;
use prost::Message as _;
use tokio::time::Instant;
use tonic::Status;
use udfleet_proto::error::Error;
use udfleet_proto::ipc::schema_message;
use udfleet_proto::limits::STREAM_WINDOW;
use udfleet_proto::v1::{BatchResult, ErrorCode};

use super::exchange::Exchange;
use super::failure::{self, Failure};
use super::message::{self, Kind};
use super::output;
use super::pending::Tag;
use super::pick::pick;
use super::retry;
use super::slice;
use super::upstream::{self, Upstream};
use crate::routes::Server;

impl Exchange {
    /// Sends what can be sent.
    pub(super) fn dispatch(&mut self) {
        if let Some(dictionaries) = &mut self.dictionaries {
            dictionaries.settle(self.reorder.next());
        }
        self.look_again = None;
        self.end_of_input();
        // One moment for all: an executor that is back after it is noted, and looked at again at once.
        let now = Instant::now();
        while let Some(sequence) = self.batches.first_unsent() {
            match self.choose(sequence, now) {
                Some(id) => self.send(id, sequence, now),
                None => return self.hold(sequence, now),
            }
        }
        // The first executor hears of the schema at once: it may refuse it.
        if self.schema.is_some() && self.opened == 0 {
            let _ = self.choose(0, now);
        }
        if self.is_closed() {
            self.upstreams.values_mut().for_each(Upstream::close);
        }
    }

    /// What has been gathered comes once the input ends: that is asked for, and answered, as a batch is.
    fn end_of_input(&mut self) {
        if !self.work.gathers || !self.is_closed() || self.failed || self.tail.is_some() {
            return;
        }
        if self.schema.is_none() {
            let schema = self.work.inputs.clone().unwrap_or_else(arrow_schema::Schema::empty);
            self.schema = Some(schema_message(&schema));
        }
        self.tail = Some(self.next);
        let tag = Tag { sequence: self.client_end, closes: true };
        self.batches.accept(self.next, tag, FlightData::default());
        self.next += 1;
    }

    /// True where waiting for answers makes room again.
    fn has_usable_upstream(&self) -> bool {
        self.upstreams.values().any(|upstream| upstream.in_flight() > 0 && upstream.gate.is_open())
    }

    /// No executor can take the batch now. An answer may change that, new routes, or the end of a pause.
    fn hold(&mut self, sequence: u64, now: Instant) {
        self.look_again = self.avoided.next_back(now);
        if !self.has_usable_upstream() {
            self.note_stuck(sequence, now);
            self.look_again = self.look_again.into_iter().chain(self.patience.end()).min();
        }
    }

    fn note_stuck(&mut self, sequence: u64, now: Instant) {
        if let Err(dropped) = self.servers() {
            return self.fail(sequence, dropped);
        }
        self.patience.begin(now);
        if self.patience.waited(now) >= retry::PATIENCE {
            let pending = self.batches.get_mut(sequence);
            let cause = pending.and_then(|p| p.last_error.clone().map(|error| (error, p.attempts)));
            let error = match cause {
                Some((error, attempts)) => failure::exhausted(&error, self.work.function(), attempts),
                None => self.work.no_capacity(&self.shared.routes.load()),
            };
            self.fail(sequence, error);
        }
    }

    /// The upstream for the next batch, opened if need be.
    fn choose(&mut self, sequence: u64, now: Instant) -> Option<usize> {
        let has_room = |upstream: &Upstream| !upstream.is_closed() && upstream.in_flight() < STREAM_WINDOW;
        if self.is_pinned() && !self.upstreams.is_empty() {
            return self.upstreams.iter().find(|(_, u)| has_room(u)).map(|(id, _)| *id);
        }
        let servers = self.servers().ok()?;
        if let Some(id) = self.idle(&servers) {
            return Some(id);
        }
        // A batch that comes back never waits behind later ones: where early answers are held back, they would wait for
        // it in turn. It goes over an exchange of its own, then even to an executor that has its share.
        let mine = |server: &Server| {
            let id = self.by_executor.get(&server.endpoint.executor)?;
            let open = |upstream: &&Upstream| !upstream.is_closed() && upstream.in_order(sequence);
            self.upstreams.get(id).filter(open).map(|_| *id)
        };
        let urgent = self.gated && sequence == self.reorder.next();
        let share = |server: &Server| {
            let its = self.upstreams.values().filter(|u| u.endpoint.executor == server.endpoint.executor);
            its.map(Upstream::in_flight).sum::<usize>()
        };
        let load = |index: usize| {
            let server = &servers[index];
            let avoided = self.avoided.contains(&server.endpoint.executor, now);
            let free = urgent || share(server) < STREAM_WINDOW;
            (free && !avoided).then(|| server.endpoint.in_flight() as f64 / f64::from(server.interpreters))
        };
        let mut random = self.random.clone();
        let chosen = pick(servers.len(), load, &mut random);
        let open = chosen.map(|index| (&servers[index], mine(&servers[index])));
        let (server, open) = open?;
        self.random = random;
        let id = match open {
            Some(id) => id,
            None => self.open(server)?,
        };
        self.last_used = Some(id);
        Some(id)
    }

    /// The executor of the last batch, where it has an interpreter to spare: a stream with one batch at a time stays
    /// where its exchange is open.
    fn idle(&self, servers: &[Server]) -> Option<usize> {
        let id = self.last_used?;
        let upstream = self.upstreams.get(&id).filter(|u| u.in_flight() == 0 && !u.is_closed())?;
        // With few executors this finds it at once; with many, the search would cost more than it saves.
        let server = servers.iter().take(16).find(|s| s.endpoint.executor == upstream.endpoint.executor)?;
        (server.endpoint.in_flight() < server.interpreters as usize).then_some(id)
    }

    fn open(&mut self, server: &Server) -> Option<usize> {
        let schema = self.schema.as_ref()?;
        let id = self.opened;
        self.opened += 1;
        let token = self.shared.token.clone();
        let (upstream, answers) = upstream::open(id, &server.endpoint, token, &self.work.request, schema);
        self.by_executor.insert(server.endpoint.executor.clone(), id);
        self.upstreams.insert(id, upstream);
        self.answers.push(answers);
        Some(id)
    }

    fn send(&mut self, id: usize, sequence: u64, now: Instant) {
        let Some(upstream) = self.upstreams.get_mut(&id) else { return };
        if let Some(dictionaries) = &self.dictionaries {
            let (messages, had) = dictionaries.before(sequence, upstream.dictionaries);
            messages.into_iter().for_each(|message| upstream.forward(message));
            upstream.dictionaries = Some(had);
        }
        match self.batches.send(sequence) {
            Some(_) if self.tail == Some(sequence) => upstream.send_end(sequence, now),
            Some((message, attempt)) => upstream.send(sequence, attempt, message, now),
            None => {}
        }
    }

    /// Takes what an executor sends.
    pub(super) fn on_answer(&mut self, id: usize, answer: Option<Result<FlightData, Status>>) {
        let Some(upstream) = self.upstreams.get(&id) else { return };
        let executor = upstream.endpoint.executor.clone();
        let failure = match answer {
            Some(Ok(data)) => match self.on_data(id, data) {
                Ok(()) => return,
                Err(error) => failure::of_error(error),
            },
            Some(Err(status)) => failure::of_status(&status, &executor),
            None if upstream.in_flight() == 0 => {
                self.upstreams.remove(&id);
                return;
            }
            None => Failure::Elsewhere(
                Error::new(ErrorCode::ExecutorLost, format!("executor {executor} ended the exchange early"))
                    .with(|info| info.executor.clone_from(&executor)),
            ),
        };
        self.on_failure(id, failure);
    }

    fn on_data(&mut self, id: usize, data: FlightData) -> Result<(), Error> {
        let kind = message::kind(&data)?;
        if matches!(kind, Kind::Schema { .. }) || (kind == Kind::Empty && data.app_metadata.is_empty()) {
            return Ok(());
        }
        let result = BatchResult::decode(data.app_metadata.clone());
        let result =
            result.map_err(|e| Error::internal(format!("an executor's app_metadata is no BatchResult: {e}")))?;
        if let Some(info) = result.error {
            return Err(info.into());
        }
        if let Some(bundle) = result.bundle {
            self.tell_of_bundle(id, bundle);
            return Ok(());
        }
        let Some(upstream) = self.upstreams.get_mut(&id) else { return Ok(()) };
        let Some(sequence) = upstream.sequence(result.sequence) else { return Ok(()) };
        self.patience.taken();
        self.avoided.answered(&upstream.endpoint.executor);
        if result.last {
            upstream.answered(result.sequence);
        }
        self.gathered |= self.work.gathers;
        self.keep(sequence, &result, data)?;
        if result.last {
            self.answered(sequence);
        }
        Ok(())
    }

    /// Keeps a part of an answer. What the client has from an earlier try is left out.
    fn keep(&mut self, sequence: u64, result: &BatchResult, mut data: FlightData) -> Result<(), Error> {
        let Some(pending) = self.batches.get_mut(sequence) else { return Ok(()) };
        if pending.skip > 0 && result.rows <= pending.skip {
            pending.skip -= result.rows;
            if !result.last {
                return Ok(());
            }
            let last = BatchResult { rows: 0, ..result.clone() };
            data = FlightData::new().with_app_metadata(last.encode_to_vec());
        } else if pending.skip > 0 {
            data = slice::without_first(&self.work.result, data, result, pending.skip)?;
            pending.skip = 0;
        }
        self.early_bytes += output::size(&data);
        pending.parts.push(data);
        Ok(())
    }

    fn on_failure(&mut self, id: usize, failure: Failure) {
        let Some(upstream) = self.upstreams.remove(&id) else { return };
        if self.is_answered() && upstream.in_flight() == 0 {
            return;
        }
        match failure {
            // Answers come in order: the error is about the oldest batch, or about the stream.
            Failure::Final(error) => self.fail(upstream.unanswered().first().copied().unwrap_or(self.next), error),
            Failure::Elsewhere(error) => self.send_elsewhere(&upstream, &error),
        }
    }

    fn send_elsewhere(&mut self, upstream: &Upstream, error: &Error) {
        let (now, unanswered) = (Instant::now(), upstream.unanswered());
        tracing::warn!(function = self.work.name, batches = unanswered.len(), %error, "sending batches elsewhere");
        self.avoided.failed(&upstream.endpoint.executor, now);
        let waited = self.waited(upstream, error.code(), now);
        if self.gathered {
            let oldest = unanswered.first().copied().unwrap_or(self.next);
            return self.fail(oldest, failure::groups_lost(error));
        }
        for sequence in unanswered {
            if let Some(pending) = self.batches.get_mut(sequence) {
                let parts = std::mem::take(&mut pending.parts);
                self.early_bytes -= parts.iter().map(output::size).sum::<usize>();
                if pending.passed && !self.work.repeatable {
                    return self.fail(sequence, failure::half_answered(error));
                }
            }
            let attempts = self.batches.returned(sequence, error);
            if retry::is_given_up(error.code(), attempts, self.work.max_attempts, waited) {
                return self.fail(sequence, failure::exhausted(error, self.work.function(), attempts));
            }
            self.shared.stats.retry();
        }
    }

    /// How long no executor has taken a batch, now that this one gives its batches back. While another works on some,
    /// the rest waits for that one: no time runs.
    fn waited(&mut self, upstream: &Upstream, cause: ErrorCode, now: Instant) -> Duration {
        let Some(sent) = upstream.busy_since() else { return Duration::ZERO };
        if !retry::is_refusal(cause) {
            self.patience.taken();
        } else if self.has_usable_upstream() {
            return Duration::ZERO;
        } else {
            self.patience.refused(sent, now);
        }
        self.patience.waited(now)
    }
}
