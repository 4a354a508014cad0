//! Handles messages of executors: answers, errors, and the end of exchanges.

use std::time::{Duration, Instant};

use arrow_flight::FlightData;
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{BatchResult, BundleProgress, ErrorCode};

use super::message::{self, Kind};
use super::upstreams::Upstream;
use super::{Candidate, Effect, ExchangeCore, Failure, Routing, failure, retry, slice};

impl<S: Candidate> ExchangeCore<S> {
    pub(super) fn on_message(&mut self, id: usize, data: FlightData, now: Instant) {
        if let Some(upstream) = self.upstreams.get_mut(id) {
            upstream.heard.now();
        }
        if let Err(error) = self.take_answer(id, data) {
            self.on_failure(id, failure::of_error(error), now);
        }
    }

    pub(super) fn on_end(&mut self, id: usize, now: Instant) {
        let Some(upstream) = self.upstreams.get(id) else { return };
        // One that holds groups and has not been asked for them would take them along.
        if upstream.in_flight() == 0 && !upstream.holds_groups {
            self.remove(id);
            return;
        }
        let executor = upstream.executor();
        let error = Error::new(ErrorCode::ExecutorLost, format!("executor {executor} ended the exchange early"))
            .with(|info| executor.clone_into(&mut info.executor));
        self.on_failure(id, Failure::Elsewhere(error), now);
    }

    /// An executor says nothing: its batches go elsewhere, where they may run again.
    pub(super) fn on_silence(&mut self, id: usize, now: Instant) {
        let Some(upstream) = self.upstreams.get(id) else { return };
        upstream.note_silent(true);
        let executor = upstream.executor().to_owned();
        let error = failure::silent(&executor, upstream.in_flight(), upstream.heard.progress);
        self.effects.push_back(Effect::Abandon { upstream: id });
        self.on_failure(id, Failure::Elsewhere(error), now);
        self.ejected.fell_silent(&executor, now);
    }

    fn take_answer(&mut self, id: usize, data: FlightData) -> Result<(), Error> {
        let kind = message::kind(&data)?;
        if matches!(kind, Kind::Schema { .. }) || (kind == Kind::Empty && data.app_metadata.is_empty()) {
            return Ok(());
        }
        let result = BatchResult::decode(data.app_metadata.clone())
            .map_err(|e| Error::internal(format!("an executor's app_metadata is no BatchResult: {e}")))?;
        if let Some(info) = result.error {
            return Err(info.into());
        }
        if let Some(bundle) = result.bundle {
            self.tell_of_bundle(id, bundle);
            return Ok(());
        }
        let Some(upstream) = self.upstreams.get_mut(id) else { return Ok(()) };
        if let Some(progress) = result.progress {
            upstream.heard.progress = progress;
            return Ok(());
        }
        let Some(position) = upstream.position(result.sequence) else { return Ok(()) };
        self.refusals.accepted();
        self.ejected.readmit(upstream.executor());
        upstream.note_silent(false);
        if result.last {
            upstream.answered(position);
        }
        upstream.finished = result.last && self.input.is_end(position);
        upstream.holds_groups = self.spec.aggregates && !upstream.finished;
        self.keep(position, &result, data)?;
        if result.last {
            self.complete(position);
        }
        Ok(())
    }

    /// Progress of bundles is passed on at once, whichever batch is next.
    fn tell_of_bundle(&mut self, upstream: usize, bundle: BundleProgress) {
        let number = self.bundles.number(upstream, bundle.bundle, bundle.completed);
        let told = BundleProgress { bundle: number, ..bundle };
        let result = BatchResult { bundle: Some(told), ..BatchResult::default() };
        self.responses.push_ready(FlightData::new().with_app_metadata(result.encode_to_vec()));
    }

    /// Keeps a part of an answer. What the client has from an earlier try is left out.
    fn keep(&mut self, position: u64, result: &BatchResult, mut data: FlightData) -> Result<(), Error> {
        let Some(pending) = self.batches.get_mut(position) else { return Ok(()) };
        if pending.skip > 0 && result.rows <= pending.skip {
            pending.skip -= result.rows;
            if !result.last {
                return Ok(());
            }
            let last = BatchResult { rows: 0, ..result.clone() };
            data = FlightData::new().with_app_metadata(last.encode_to_vec());
        } else if pending.skip > 0 {
            data = slice::without_first(&self.spec.result, data, result, pending.skip)?;
            pending.skip = 0;
        }
        self.responses.hold(&data);
        pending.parts.push(data);
        Ok(())
    }

    /// Nothing more goes to an exchange. What it still says is read: it is not to be reset.
    fn remove(&mut self, id: usize) -> Option<Upstream<S>> {
        let upstream = self.upstreams.remove(id)?;
        if let Routing::ByKey(keys) = &mut self.routing {
            keys.forget(id);
        }
        if !upstream.is_closed() {
            self.effects.push_back(Effect::EndInput { upstream: id });
        }
        if !upstream.is_read() {
            self.effects.push_back(Effect::Read { upstream: id, on: true });
        }
        Some(upstream)
    }

    pub(super) fn on_failure(&mut self, id: usize, failure: Failure, now: Instant) {
        let Some(upstream) = self.remove(id) else { return };
        if (self.is_answered() || upstream.finished) && upstream.in_flight() == 0 {
            return;
        }
        match failure {
            // Answers come in order: the error is about the oldest batch, or about the stream.
            Failure::Final(error) => {
                self.fail(upstream.oldest().unwrap_or(self.input.next_position()), error);
            }
            Failure::Elsewhere(error) => self.send_elsewhere(&upstream, &error, now),
        }
    }

    /// Every batch has its answer, and no other will come.
    fn is_answered(&self) -> bool {
        !self.input.is_open() && self.batches.is_empty() && self.input.next_position() > 0
    }

    fn send_elsewhere(&mut self, upstream: &Upstream<S>, error: &Error, now: Instant) {
        let unanswered = upstream.unanswered();
        let (function, producer, batches) = (&self.spec.name, &self.spec.producer, unanswered.len());
        tracing::warn!(function, producer, batches, %error, "sending batches elsewhere");
        if error.info().busy {
            upstream.note_blocked();
        } else {
            self.ejected.failed(upstream.executor(), now);
        }
        let waited = self.waited(upstream, error, now);
        if upstream.holds_groups {
            let oldest = unanswered.first().copied().unwrap_or(self.input.next_position());
            return self.fail(oldest, failure::groups_lost(error));
        }
        for position in unanswered {
            if let Some(pending) = self.batches.get_mut(position) {
                let parts = std::mem::take(&mut pending.parts);
                self.responses.release(&parts);
                if pending.delivered && !self.spec.deterministic {
                    return self.fail(position, failure::half_answered(error));
                }
            }
            let attempts = self.batches.returned(position, error);
            if retry::is_given_up(error, attempts, self.spec.max_attempts, waited) {
                let error = failure::exhausted(error, &self.spec.function, attempts);
                return self.fail(position, error);
            }
            self.counts.retries += 1;
        }
    }

    /// How long no executor has taken a batch, now that this one gives its batches back. While another works on some,
    /// the rest waits for that one: no time runs.
    fn waited(&mut self, upstream: &Upstream<S>, cause: &Error, now: Instant) -> Duration {
        let Some(sent) = upstream.busy_since() else { return Duration::ZERO };
        if cause.info().busy {
            // It lay in line there, as it will elsewhere.
            self.refusals.accepted();
        } else if !cause.has_no_side_effects() {
            self.refusals.accepted();
        } else if self.has_usable_upstream() {
            return Duration::ZERO;
        } else {
            self.refusals.refused(sent, now);
        }
        self.refusals.waited(now)
    }
}
