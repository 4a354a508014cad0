//! One client stream: the shell around [`super::core`], which owns its sockets and knows the time.
//!
//! It lives in the response stream, polled by the connection that it answers: no task, no queue of its own. A client that
//! reads slowly stops the polling, and with it everything; one that vanishes drops it all. The stages of a plan are
//! exchanges in a row: each reads the one before it as if it were a client.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arrow_flight::FlightData;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::SelectAll;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::sync::watch;
use udfleet_edge::engine::Incoming;
use udfleet_proto::error::Error;

use super::connection::{self, UpstreamConnection, UpstreamMessages};
use super::core::{Candidate, Effect, Event, ExchangeCore, progress_period};
use super::input::InputSource;
use super::routed_stage::RoutedStage;
use super::service::{ActiveStream, RouterContext};
use super::status;
use crate::routes::{InFlight, Routes, Server};

impl Candidate for Server {
    type InFlight = InFlight;

    fn executor(&self) -> &str {
        &self.endpoint.executor
    }

    fn in_flight(&self) -> usize {
        self.endpoint.in_flight()
    }

    fn interpreters(&self) -> u32 {
        self.interpreters
    }

    fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    fn note_blocked(&self) {
        self.blocked.store(true, Ordering::Relaxed);
    }

    fn reports_progress(&self) -> bool {
        self.endpoint.reports_progress
    }

    fn is_silent(&self) -> bool {
        self.endpoint.is_silent()
    }

    fn note_silent(&self, silent: bool) {
        self.endpoint.note_silent(silent);
    }

    fn begin(&self) -> InFlight {
        self.endpoint.begin()
    }
}

/// See the module.
pub(super) struct Exchange {
    shared: Arc<RouterContext>,
    stage: RoutedStage,
    core: ExchangeCore<Server>,
    /// Those that the core's executors were looked up in.
    routes: Arc<Routes>,
    input: Option<InputSource>,
    /// Where a stream that has failed came from.
    rejected: Option<InputSource>,
    /// The client of a stream that has failed, while it still writes.
    draining: Option<Incoming>,
    connections: BTreeMap<usize, UpstreamConnection>,
    messages: SelectAll<UpstreamMessages>,
    changes: watch::Receiver<u64>,
    /// Of the exchange that reads the client.
    _active: Option<ActiveStream>,
}

impl Exchange {
    /// Begins to read.
    ///
    /// # Errors
    /// When a function of the stage is gone.
    pub fn new(shared: Arc<RouterContext>, mut stage: RoutedStage, input: InputSource) -> Result<Self, Error> {
        let silence = shared.exchange_timeout;
        stage.request.progress_every_ms = u32::try_from(progress_period(silence).as_millis()).unwrap_or(u32::MAX);
        let changes = shared.routes.changes();
        let routes = shared.routes.load_full();
        let serving = stage.serving(&routes)?;
        Ok(Self {
            core: ExchangeCore::new(stage.spec.clone(), serving, silence, SmallRng::from_os_rng()),
            _active: matches!(input, InputSource::Client(_)).then(|| shared.stats.stream()),
            shared,
            stage,
            routes,
            input: Some(input),
            rejected: None,
            draining: None,
            connections: BTreeMap::new(),
            messages: SelectAll::new(),
            changes,
        })
    }

    /// Takes the client's first message.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn begin(&mut self, first: FlightData) -> Result<(), Error> {
        self.core.begin(first, Instant::now())?;
        self.apply();
        Ok(())
    }

    /// The next message for the client; errors are in-band. May be dropped while it waits: nothing is lost.
    pub async fn next(&mut self) -> Option<FlightData> {
        loop {
            if let Some(message) = self.core.pop_response() {
                return Some(message);
            }
            if self.core.is_finished() {
                self.drain().await;
                return None;
            }
            let event = self.wait().await;
            if matches!(event, Event::InputEnded) {
                self.input = None;
            }
            let now = Instant::now();
            self.follow_routes(now);
            self.core.handle(event, now);
            self.apply();
        }
    }

    /// For the exchange of the next stage, whose own `next` this is a part of.
    pub fn next_boxed(&mut self) -> BoxFuture<'_, Option<FlightData>> {
        Box::pin(self.next())
    }

    /// Under which sequence results of an aggregation go to the client, once that is known.
    pub fn results_sequence(&self) -> Option<u64> {
        self.core.results_sequence()
    }

    async fn wait(&mut self) -> Event<Server> {
        let (reads, follows, wake_at) = (self.core.wants_input(), self.core.waits_for_servers(), self.core.wake_at());
        let input = async {
            match &mut self.input {
                Some(input) if reads => input.next().await,
                _ => std::future::pending().await,
            }
        };
        let messages = &mut self.messages;
        let message = async {
            match messages.next().await {
                Some(message) => message,
                None => std::future::pending().await,
            }
        };
        let timer = async {
            match wake_at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        // What has come counts before time does: an executor that has said something is not silent.
        tokio::select! {
            biased;
            (id, message) = message => self.event_of(id, message),
            event = input => event,
            _ = self.changes.changed(), if follows => Event::Timer,
            () = timer => Event::Timer,
        }
    }

    fn event_of(&mut self, id: usize, message: Option<Result<FlightData, tonic::Status>>) -> Event<Server> {
        match message {
            Some(Ok(message)) => Event::UpstreamMessage(id, message),
            Some(Err(status)) => {
                let executor = self.connections.get(&id).map_or("", |connection| &connection.endpoint.executor);
                Event::UpstreamFailed(id, status::of_upstream(&status, executor))
            }
            None => {
                self.connections.remove(&id);
                Event::UpstreamEnded(id)
            }
        }
    }

    /// Tells the core of executors that have come and gone.
    fn follow_routes(&mut self, now: Instant) {
        let current = self.shared.routes.load();
        if !Arc::ptr_eq(&current, &self.routes) {
            self.routes = Arc::clone(&current);
            self.core.handle(Event::ServersChanged(self.stage.serving(&self.routes)), now);
        }
    }

    /// Does what the core says.
    fn apply(&mut self) {
        while let Some(effect) = self.core.pop_effect() {
            match effect {
                Effect::Open { upstream, server, schema } => {
                    let (token, request) = (self.shared.token.clone(), &self.stage.request);
                    let (connection, messages) = connection::open(upstream, &server.endpoint, token, request, schema);
                    self.connections.insert(upstream, connection);
                    self.messages.push(messages);
                }
                Effect::Send { upstream, message } => {
                    if let Some(connection) = self.connections.get(&upstream) {
                        connection.send(message);
                    }
                }
                Effect::EndInput { upstream } => {
                    if let Some(connection) = self.connections.get_mut(&upstream) {
                        connection.end_input();
                    }
                }
                Effect::Abandon { upstream } => {
                    if let Some(connection) = self.connections.remove(&upstream) {
                        connection.abandon();
                    }
                }
                Effect::Read { upstream, on } => {
                    if let Some(connection) = self.connections.get(&upstream) {
                        connection.set_reading(on);
                    }
                }
            }
        }
        if self.core.rejects_input() {
            self.rejected = self.input.take().or(self.rejected.take());
        }
        self.shared.stats.add(self.core.take_counts());
    }

    /// A client that still writes must read the in-band error: ending the stream under its write would make gRPC drop
    /// it. So what still comes is read, and thrown away, until the client ends the stream.
    async fn drain(&mut self) {
        if let Some(rejected) = self.rejected.take() {
            self.connections.clear();
            self.messages.clear();
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
}
