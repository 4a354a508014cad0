//! One client stream: its batches spread over executors, its answers in order.
//!
//! The whole state lives in the response stream, polled by the connection that it answers: no task, no queue of its
//! own. A client that reads slowly stops the polling, and with it everything; one that vanishes drops it all. The stages
//! of a plan are exchanges in a row: each reads the one before it as if it were a client.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use arrow_flight::FlightData;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::SelectAll;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;
use udfleet_edge::engine::{Incoming, broken_input};
use udfleet_proto::error::Error;
use udfleet_proto::ipc::schema_message;
use udfleet_proto::limits::STREAM_WINDOW;

use super::bundle::Bundles;
use super::dictionary::Dictionaries;
use super::input::Input;
use super::output::Answer;
use super::pending::Batches;
use super::reorder::Reorder;
use super::retry::{Avoided, Patience};
use super::service::{ActiveStream, Shared};
use super::upstream::{Answers, Upstream};
use super::work::Work;
use crate::routes::{Routes, Server};

/// Input and early answers that a stream holds before it takes no more in, bytes. One batch may be larger.
pub(super) const BYTES: usize = 64 << 20;
/// The most batches of one stream that are in flight, however large the fleet.
const MOST_IN_FLIGHT: usize = 256;

/// See the module.
pub(super) struct Exchange {
    pub(super) shared: Arc<Shared>,
    pub(super) work: Work,
    /// Who serves the work, as of the routes that it was looked up in.
    serving: (Arc<Routes>, Arc<[Server]>),
    pub(super) input: Option<Input>,
    /// Where a stream that has failed came from.
    pub(super) rejected: Option<Input>,
    /// The client of a stream that has failed, while it still writes.
    draining: Option<Incoming>,
    pub(super) schema: Option<FlightData>,
    /// Present where the schema has dictionaries: then one executor gets all.
    pub(super) dictionaries: Option<Dictionaries>,
    /// The number of the next batch.
    pub(super) next: u64,
    /// What the client would number its next batch.
    pub(super) client_end: u64,
    /// The number under which the end of the input is answered, where it is.
    pub(super) tail: Option<u64>,
    /// The number under which results of a gathering stage before come.
    pub(super) results_of_before: Option<u64>,
    pub(super) batches: Batches,
    pub(super) reorder: Reorder<Answer>,
    /// Bytes of answers that are not passed on yet.
    pub(super) early_bytes: usize,
    pub(super) gated: bool,
    pub(super) bundles: Bundles,
    /// The executor holds groups of what it has answered.
    pub(super) gathered: bool,
    pub(super) upstreams: BTreeMap<usize, Upstream>,
    /// The upstream to send to, by executor.
    pub(super) by_executor: HashMap<String, usize>,
    pub(super) answers: SelectAll<Answers>,
    pub(super) opened: usize,
    pub(super) last_used: Option<usize>,
    pub(super) avoided: Avoided,
    pub(super) patience: Patience,
    /// When to look for an executor again, where the next batch found none.
    pub(super) look_again: Option<Instant>,
    changes: watch::Receiver<u64>,
    pub(super) random: SmallRng,
    pub(super) out: VecDeque<FlightData>,
    /// It will end with an error.
    pub(super) failed: bool,
    pub(super) finished: bool,
    /// Of the exchange that reads the client.
    _active: Option<ActiveStream>,
}

enum Event {
    Input(Result<Option<FlightData>, Status>),
    Upstream(usize, Option<Result<FlightData, Status>>),
    Wake,
}

impl Exchange {
    /// Begins to read.
    ///
    /// # Errors
    /// When a function of the work is gone.
    pub fn new(shared: Arc<Shared>, work: Work, input: Input) -> Result<Self, Error> {
        let schema = schema_message(&work.result);
        let routes = shared.routes.load_full();
        let servers = work.servers(&routes)?.into();
        Ok(Self {
            changes: shared.routes.changes(),
            _active: matches!(input, Input::Client(_)).then(|| shared.stats.stream()),
            shared,
            work,
            serving: (routes, servers),
            input: Some(input),
            rejected: None,
            draining: None,
            schema: None,
            dictionaries: None,
            next: 0,
            client_end: 0,
            tail: None,
            results_of_before: None,
            batches: Batches::default(),
            reorder: Reorder::default(),
            early_bytes: 0,
            gated: false,
            bundles: Bundles::default(),
            gathered: false,
            upstreams: BTreeMap::new(),
            by_executor: HashMap::new(),
            answers: SelectAll::new(),
            opened: 0,
            last_used: None,
            avoided: Avoided::default(),
            patience: Patience::default(),
            look_again: None,
            random: SmallRng::from_os_rng(),
            out: VecDeque::from([schema]),
            failed: false,
            finished: false,
        })
    }

    /// The next message for the client; errors are in-band. May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Option<FlightData> {
        loop {
            if let Some(message) = self.out.pop_front() {
                return Some(message);
            }
            if self.finished {
                self.drain().await;
                return None;
            }
            self.dispatch();
            self.emit();
            if !self.out.is_empty() {
                continue;
            }
            if self.is_done() {
                self.finished = true;
                continue;
            }
            match self.wait().await {
                Event::Input(Ok(Some(message))) => {
                    if let Err(error) = self.take_in(message) {
                        self.fail(self.next, error);
                    }
                }
                Event::Input(Ok(None)) => self.input = None,
                Event::Input(Err(status)) => self.fail(self.next, broken_input(&status)),
                Event::Upstream(id, answer) => self.on_answer(id, answer),
                Event::Wake => {}
            }
        }
    }

    /// For the exchange of the next stage, whose own `next` this is a part of.
    pub fn next_boxed(&mut self) -> BoxFuture<'_, Option<FlightData>> {
        Box::pin(self.next())
    }

    /// A client that still writes must read the in-band error: ending the stream under its write would make gRPC drop
    /// it. So what still comes is read, and thrown away, until the client ends the stream.
    async fn drain(&mut self) {
        if let Some(rejected) = self.rejected.take() {
            self.upstreams.clear();
            self.answers.clear();
            self.draining = rejected.abandon();
        }
        if let Some(client) = &mut self.draining {
            while let Ok(Some(_)) = client.message().await {}
            self.draining = None;
        }
    }

    /// Gives up everything but the client.
    pub fn abandon(mut self) -> Option<Incoming> {
        self.draining.take().or_else(|| self.input.take().or_else(|| self.rejected.take())?.abandon())
    }

    /// Every batch has its answer, and no other will come.
    pub(super) fn is_answered(&self) -> bool {
        self.input.is_none() && self.batches.is_empty() && self.next > 0
    }

    /// Nothing more will come, of executors either: those that have answered all may still tell of bundles, and refuse a
    /// schema without batches. And HTTP/2 resets a stream that is dropped before its end: what still comes of it then
    /// counts as an attack, and 1,024 of these end the connection under the streams of others.
    fn is_done(&self) -> bool {
        self.input.is_none() && self.batches.is_empty() && self.upstreams.is_empty()
    }

    async fn wait(&mut self) -> Event {
        let reading = self.has_room();
        let look_again = self.look_again;
        // A new executor takes what waits, and widens the window: nobody else may have news for minutes.
        let held = self.batches.first_unsent().is_some() || (self.input.is_some() && !reading);
        let input = async {
            match &mut self.input {
                Some(input) if reading => input.message().await,
                _ => std::future::pending().await,
            }
        };
        let answers = &mut self.answers;
        let answer = async {
            match answers.next().await {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        };
        let wake = async {
            match look_again {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            (id, answer) = answer => Event::Upstream(id, answer),
            message = input => Event::Input(message),
            _ = self.changes.changed(), if held => Event::Wake,
            () = wake => Event::Wake,
        }
    }

    /// True where one executor gets all batches.
    pub(super) fn is_pinned(&self) -> bool {
        self.dictionaries.is_some() || self.work.gathers
    }

    fn has_room(&mut self) -> bool {
        let outstanding = usize::try_from(self.next - self.reorder.next()).unwrap_or(usize::MAX);
        let servers = if self.is_pinned() { 1 } else { self.servers().map_or(1, |servers| servers.len().max(1)) };
        let window = (STREAM_WINDOW * servers).min(MOST_IN_FLIGHT);
        outstanding == 0 || (outstanding < window && self.batches.bytes() + self.early_bytes < BYTES)
    }

    /// Who serves the work now.
    ///
    /// # Errors
    /// When a function of it is gone.
    pub(super) fn servers(&mut self) -> Result<Arc<[Server]>, Error> {
        let now = self.shared.routes.load();
        if !Arc::ptr_eq(&now, &self.serving.0) {
            let servers = self.work.servers(&now)?.into();
            self.serving = (Arc::clone(&now), servers);
        }
        Ok(Arc::clone(&self.serving.1))
    }

    /// No batch will come any more.
    pub(super) fn is_closed(&self) -> bool {
        self.input.is_none()
    }
}
