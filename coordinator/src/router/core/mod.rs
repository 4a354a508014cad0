//! One client stream as a state machine: events in, effects out. It knows no socket, no task and no clock: time comes in
//! with events, randomness is given, and the shell ([`super::exchange`]) does what the effects say.
//!
//! Batches have a *position* here, which counts up on the stream, and a *sequence*, which is the client's number for
//! them. Executors see the client's sequence, so that a second try is known from new work.

mod answers;
mod batches;
mod bundle;
mod by_key;
mod client_input;
mod dictionary;
mod dispatch;
mod failure;
mod key_cutter;
#[cfg(test)]
mod keyed_simulation;
mod message;
mod pick;
#[cfg(test)]
mod properties;
mod reorder;
mod response_queue;
mod retry;
mod routing;
mod silence;
#[cfg(test)]
mod simulated_shell;
#[cfg(test)]
mod simulation;
mod slice;
mod upstreams;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::FlightData;
use arrow_schema::Schema;
use rand::rngs::SmallRng;
use udfleet_proto::error::Error;
use udfleet_proto::ipc::schema_message;
use udfleet_proto::limits::STREAM_WINDOW;

use batches::PendingBatches;
use bundle::Bundles;
use client_input::{Arrival, ClientInput};
use response_queue::{Response, ResponseQueue};
use retry::{EjectedExecutors, RefusalDeadline};
use routing::Routing;
use silence::Ticks;
use upstreams::Upstreams;

pub(super) use failure::{Failure, of_error, too_large};
pub(super) use silence::period as progress_period;

/// Input and early answers that a stream holds before it takes no more in, bytes. One batch may be larger.
const MAX_HELD_BYTES: usize = 64 << 20;
/// The most batches of one stream that are in flight, however large the fleet.
const MAX_IN_FLIGHT: usize = 256;

/// An executor that serves the stream.
pub(super) trait Candidate: Clone {
    /// Counts one batch as in flight there until it is dropped.
    type InFlight;
    /// Its id.
    fn executor(&self) -> &str;
    /// Batches of all streams that it has and has not answered.
    fn in_flight(&self) -> usize;
    /// Interpreters that serve the function there.
    fn interpreters(&self) -> u32;
    /// Long calls hold all of these, as far as is known.
    fn is_blocked(&self) -> bool;
    /// It has said so itself; its next report tells more.
    fn note_blocked(&self);
    /// It says how streams stand: only then does its silence mean anything.
    fn reports_progress(&self) -> bool;
    /// A stream of it hangs, as was found a short while ago.
    fn is_silent(&self) -> bool;
    /// One does, or one is answered again.
    fn note_silent(&self, silent: bool);
    /// Counts one batch more.
    fn begin(&self) -> Self::InFlight;
}

/// Where the stream's messages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Client,
    /// The exchange of the stage before: its answers are this one's batches.
    Stage,
}

/// What the stream is, as far as its batches are concerned.
#[derive(Debug, Clone)]
pub(super) struct ExchangeSpec {
    /// For messages.
    pub name: String,
    /// The function that an error is about, where there is only one.
    pub function: String,
    /// The client's id of the stream: what its batches' sequences belong to.
    pub producer: String,
    pub source: Source,
    pub result: Schema,
    /// What comes in, where that is known.
    pub inputs: Option<Schema>,
    /// How often a batch may run.
    pub max_attempts: u32,
    /// The same input gives the same answer.
    pub deterministic: bool,
    /// Rows become groups, whose results come when the input has ended.
    pub aggregates: bool,
    /// Columns of the input whose equal values go to one executor, so that several may aggregate. None: one aggregates
    /// all.
    pub partition_by: Vec<u32>,
    /// An earlier stage aggregates: its results all belong to the end of the client's input.
    pub after_aggregation: bool,
    /// How often the client wants to hear how the stream stands.
    pub progress_every: Option<Duration>,
}

/// Executors that serve the stream now.
pub(super) struct Serving<S> {
    pub servers: Arc<[S]>,
    /// Why there are none, where there are none.
    pub unserved: Option<Error>,
}

/// What happens to a stream.
pub(super) enum Event<S> {
    Input {
        message: FlightData,
        /// Under which sequence the stage before answers what it has aggregated, once it knows.
        results_sequence: Option<u64>,
    },
    InputEnded,
    InputFailed(Error),
    UpstreamMessage(usize, FlightData),
    UpstreamFailed(usize, Failure),
    UpstreamEnded(usize),
    /// Other executors serve it, or a function of it is gone.
    ServersChanged(Result<Serving<S>, Error>),
    /// The time that was asked for has come.
    Timer,
}

/// What the shell is to do.
pub(super) enum Effect<S> {
    /// Open an exchange with this executor; the schema goes first.
    Open {
        upstream: usize,
        server: S,
        schema: FlightData,
    },
    Send {
        upstream: usize,
        message: FlightData,
    },
    /// Nothing more will be sent: end that side of the exchange, and read the rest of it.
    EndInput {
        upstream: usize,
    },
    /// It hangs: cancel the exchange, so that what it has not begun does not run later.
    Abandon {
        upstream: usize,
    },
    /// Whether its messages are read: HTTP/2 stops an executor that is not.
    Read {
        upstream: usize,
        on: bool,
    },
}

/// Events of the stream that are counted over all streams.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub batches: u64,
    pub retries: u64,
}

/// See the module.
pub(super) struct ExchangeCore<S: Candidate> {
    spec: ExchangeSpec,
    routing: Routing,
    input: ClientInput,
    batches: PendingBatches,
    upstreams: Upstreams<S>,
    responses: ResponseQueue,
    bundles: Bundles,
    serving: Result<Serving<S>, Error>,
    ejected: EjectedExecutors,
    refusals: RefusalDeadline,
    /// When to look for an executor again, where the next batch found none.
    look_again_at: Option<Instant>,
    /// When executors are looked at that have said nothing.
    silence: Ticks,
    /// When the client is told how the stream stands.
    progress: Option<Ticks>,
    random: SmallRng,
    effects: VecDeque<Effect<S>>,
    counts: Counts,
}

impl<S: Candidate> ExchangeCore<S> {
    /// A stream whose client hears of the result's schema first. An executor that says nothing for as long as `silence`,
    /// while it is read, hangs.
    pub fn new(spec: ExchangeSpec, serving: Serving<S>, silence: Duration, random: SmallRng) -> Self {
        Self {
            routing: Routing::without_keys(spec.aggregates, false),
            input: ClientInput::default(),
            batches: PendingBatches::default(),
            upstreams: Upstreams::default(),
            responses: ResponseQueue::beginning_with(schema_message(&spec.result)),
            bundles: Bundles::default(),
            serving: Ok(serving),
            ejected: EjectedExecutors::default(),
            refusals: RefusalDeadline::default(),
            look_again_at: None,
            silence: Ticks::every(progress_period(silence)),
            progress: spec.progress_every.map(Ticks::every),
            random,
            effects: VecDeque::new(),
            counts: Counts::default(),
            spec,
        }
    }

    /// The client's first message.
    ///
    /// # Errors
    /// When it is malformed: then the stream is to be refused.
    pub fn begin(&mut self, message: FlightData, now: Instant) -> Result<(), Error> {
        self.take_in(message, None)?;
        self.tick(now);
        self.advance(now);
        Ok(())
    }

    /// Takes what has happened at `now`.
    pub fn handle(&mut self, event: Event<S>, now: Instant) {
        match event {
            Event::Input { message, results_sequence } => {
                if let Err(error) = self.take_in(message, results_sequence) {
                    self.fail(self.input.next_position(), error);
                }
            }
            Event::InputEnded => self.input.end(),
            Event::InputFailed(error) => self.fail(self.input.next_position(), error),
            Event::UpstreamMessage(id, message) => self.on_message(id, message, now),
            Event::UpstreamFailed(id, failure) => self.on_failure(id, failure, now),
            Event::UpstreamEnded(id) => self.on_end(id, now),
            Event::ServersChanged(serving) => self.serving = serving,
            Event::Timer => {}
        }
        self.tick(now);
        self.advance(now);
    }

    /// Looks for executors that hang, and tells the client that the stream does not, where it is time.
    fn tick(&mut self, now: Instant) {
        if self.silence.passed(now) {
            for id in self.upstreams.silent() {
                self.on_silence(id, now);
            }
        }
        if self.progress.as_mut().is_some_and(|progress| progress.passed(now)) {
            self.responses.tell(self.upstreams.progress(self.batches.len()));
        }
    }

    /// Sends and answers what can be. The batch whose turn it is may go out although others fill its executor, and where
    /// nobody can take it any more, that is an answer too.
    fn advance(&mut self, now: Instant) {
        loop {
            self.dispatch(now);
            if !self.respond() {
                return;
            }
        }
    }

    fn take_in(&mut self, message: FlightData, results_sequence: Option<u64>) -> Result<(), Error> {
        match self.input.read(&self.spec, message, results_sequence)? {
            Arrival::Nothing => {}
            Arrival::Schema { dictionaries } => self.route(dictionaries),
            Arrival::Batch { position, label, message } => {
                self.counts.batches += 1;
                self.accept(position, label, message);
            }
            Arrival::WithoutRows { position, message } => self.responses.push(position, Response::Passed(message)),
            Arrival::Failure { position, sequence, error } => {
                self.input.reject();
                self.responses.push(position, Response::Failed { sequence, error });
            }
        }
        Ok(())
    }

    /// The next message for the client; errors are in-band.
    pub fn pop_response(&mut self) -> Option<FlightData> {
        self.responses.pop()
    }

    /// The next thing to do.
    pub fn pop_effect(&mut self) -> Option<Effect<S>> {
        self.effects.pop_front()
    }

    /// What has been counted since the last call.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// When a [`Event::Timer`] is wanted.
    pub fn wake_at(&self) -> Option<Instant> {
        let silence = self.silence.next().filter(|_| !self.upstreams.is_empty());
        let progress = self.progress.as_ref().and_then(Ticks::next);
        [self.look_again_at, silence, progress].into_iter().flatten().min()
    }

    /// True where there is room for another message of the client.
    pub fn wants_input(&self) -> bool {
        self.input.is_open() && self.has_room()
    }

    /// True where the client's messages are not looked at any more.
    pub fn rejects_input(&self) -> bool {
        self.input.is_rejected()
    }

    /// A new executor takes what waits, and widens the window: nobody else may have news for minutes.
    pub fn waits_for_servers(&self) -> bool {
        self.batches.first_unsent().is_some() || (self.input.is_open() && !self.has_room())
    }

    /// Nothing more will come, of executors either: those that have answered all may still tell of bundles, and refuse a
    /// schema without batches. And HTTP/2 resets a stream that is dropped before its end: what still comes of it then
    /// counts as an attack, and 1,024 of these end the connection under the streams of others.
    pub fn is_finished(&self) -> bool {
        self.responses.is_finished() || (!self.input.is_open() && self.batches.is_empty() && self.upstreams.is_empty())
    }

    /// Under which sequence the results of an aggregation, here or in an earlier stage, go to the client.
    pub fn results_sequence(&self) -> Option<u64> {
        self.input.results_sequence(&self.spec)
    }

    fn has_room(&self) -> bool {
        let outstanding = self.input.next_position() - self.responses.next_position();
        let outstanding = usize::try_from(outstanding).unwrap_or(usize::MAX);
        let executors = match &self.routing {
            Routing::Any => self.servers().len().max(1),
            Routing::Pinned => 1,
            Routing::ByKey(keys) => keys.partitions(),
        };
        let window = (STREAM_WINDOW * executors).min(MAX_IN_FLIGHT);
        let held = self.batches.bytes() + self.responses.early_bytes();
        outstanding == 0 || (outstanding < window && held < MAX_HELD_BYTES)
    }

    fn servers(&self) -> &[S] {
        self.serving.as_ref().map_or(&[], |serving| &serving.servers)
    }

    /// The stream ends with this error, once everything before the batch at `position` has been answered.
    fn fail(&mut self, position: u64, error: Error) {
        let pending = self.batches.take(position);
        self.batches.cut(position);
        self.input.reject();
        self.input.reach(position + 1);
        let sequence = pending.as_ref().map_or(self.input.end_sequence(), |pending| pending.label.sequence);
        let error = if self.spec.function.is_empty() { error } else { error.function(self.spec.function.as_str()) };
        let error = error.with(|info| {
            info.producer.clone_from(&self.spec.producer);
            info.sequence = pending.as_ref().map(|pending| pending.label.sequence);
            info.row = info.row.map(|row| pending.as_ref().map_or(row, |pending| pending.row_of_client(row)));
        });
        self.responses.push(position, Response::Failed { sequence, error });
    }
}
