//! The Flight service.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};
use udfleet_proto::engine::{Answers, Builtin, Caller, Connection, Engine, Engines, Gateway, Incoming, answers};
use udfleet_proto::error::Error;
use udfleet_proto::flight::Route;
use udfleet_proto::flight_info::{action, actions, commands_refused, unsupported};
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{ErrorCode, ExchangeRequest};

use super::exchange::Exchange;
use super::input::Input;
use super::work::Work;
use super::{info, stages};
use crate::auth::SendToken;
use crate::registry::Function;
use crate::routes::{RouteTable, Target};

/// How long response headers wait for the first message, whose function decides whether the call is let in at all.
const FIRST_MESSAGE: Duration = Duration::from_secs(1);

/// Counts of the front door.
#[derive(Debug, Default)]
pub struct Stats {
    /// Streams accepted.
    pub streams: AtomicU64,
    /// Streams open now.
    pub active: AtomicU64,
    /// Batches forwarded.
    pub batches: AtomicU64,
    /// Batches sent again because an executor was lost, or refused them.
    pub retries: AtomicU64,
}

impl Stats {
    pub(super) fn stream(self: &Arc<Self>) -> ActiveStream {
        self.streams.fetch_add(1, Ordering::Relaxed);
        self.active.fetch_add(1, Ordering::Relaxed);
        ActiveStream(Arc::clone(self))
    }

    pub(super) fn batch(&self) {
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }
}

/// One open stream.
pub(super) struct ActiveStream(Arc<Stats>);

impl Drop for ActiveStream {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What all streams share.
pub(super) struct Shared {
    pub routes: Arc<RouteTable>,
    pub token: SendToken,
    pub stats: Arc<Stats>,
    pub engines: Arc<Engines>,
}

/// The Flight service of the coordinator.
#[derive(Clone)]
pub struct Router {
    shared: Arc<Shared>,
}

impl Router {
    /// Routes by this table; `token` is shown to executors.
    #[must_use]
    pub fn new(routes: Arc<RouteTable>, token: SendToken, stats: Arc<Stats>, engines: Arc<Engines>) -> Self {
        Self { shared: Arc::new(Shared { routes, token, stats, engines }) }
    }
}

/// A stream before its first message.
struct Opening {
    caller: Caller,
    connection: Connection,
    client: Streaming<FlightData>,
}

/// Admission: who does the work, or why nobody does.
fn admit(shared: &Arc<Shared>, opening: Opening, first: FlightData) -> Result<Answers, Error> {
    let descriptor = first.flight_descriptor.as_ref().ok_or_else(|| {
        Error::new(ErrorCode::InvalidInput, "the stream's first message carries no Flight descriptor")
            .hint("put a PATH descriptor [function name] on it")
    })?;
    match Route::parse(descriptor)? {
        Route::Path(function) => admit_engine(shared, &function, opening.caller, opening.client, first),
        _ if opening.connection.is_open() => Err(commands_refused()),
        route => {
            let stages = stages::of(route, &shared.routes.load_full())?;
            exchange(shared, stages, Incoming::numbered(opening.client), Some(first))
        }
    }
}

/// What engines call.
fn admit_engine(
    shared: &Arc<Shared>,
    function: &FunctionRef,
    caller: Caller,
    client: Streaming<FlightData>,
    first: FlightData,
) -> Result<Answers, Error> {
    if let Some(builtin) = Builtin::named(function) {
        return Ok(builtin.serve(first, client));
    }
    let routes = shared.routes.load_full();
    let target = routes.find(function)?;
    if target.servers.is_empty() {
        return Err(target.no_capacity());
    }
    let Function { definition, name, .. } = target.function.as_ref();
    let gateway = Gateway::new(&shared.engines, caller, definition, name);
    let request = ExchangeRequest { on_error: gateway.on_error() as i32, ..ExchangeRequest::default() };
    let work = Work::of_function(&target.function, &request);
    let mut client = Incoming::plain(client, gateway.arrivals());
    let first = client.take(first);
    Ok(answers(gateway, exchange(shared, vec![work], client, first)?))
}

/// The stages of one stream, in a row.
fn exchange(
    shared: &Arc<Shared>,
    stages: Vec<Work>,
    client: Incoming,
    first: Option<FlightData>,
) -> Result<Answers, Error> {
    let mut stages = stages.into_iter();
    let work = stages.next().ok_or_else(|| Error::internal("a plan without stages"))?;
    let mut exchange = Exchange::new(Arc::clone(shared), work, Input::Client(Box::new(client)))?;
    if let Some(first) = first {
        exchange.take_in(first)?;
    }
    for work in stages {
        exchange = Exchange::new(Arc::clone(shared), work, Input::Stage(Box::new(exchange)))?;
    }
    let next = |mut exchange: Box<Exchange>| async move { Some((Ok(exchange.next().await?), exchange)) };
    Ok(Box::pin(futures::stream::unfold(Box::new(exchange), next)))
}

type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// For a client that waits for headers before it says what it wants.
fn late(shared: Arc<Shared>, mut opening: Opening) -> Answers {
    let begin = async move {
        match opening.client.message().await {
            Ok(Some(first)) => admit(&shared, opening, first).unwrap_or_else(|error| failed(error.into())),
            Ok(None) => failed(no_message().into()),
            Err(status) => failed(status),
        }
    };
    Box::pin(futures::stream::once(begin).flatten())
}

fn failed(status: Status) -> Answers {
    Box::pin(futures::stream::once(std::future::ready(Err(status))))
}

fn no_message() -> Error {
    Error::new(ErrorCode::InvalidInput, "the stream ended before its descriptor came")
}

#[tonic::async_trait]
impl FlightService for Router {
    type HandshakeStream = BoxStream<HandshakeResponse>;
    type ListFlightsStream = BoxStream<FlightInfo>;
    type DoGetStream = BoxStream<FlightData>;
    type DoPutStream = BoxStream<PutResult>;
    type DoExchangeStream = BoxStream<FlightData>;
    type DoActionStream = BoxStream<arrow_flight::Result>;
    type ListActionsStream = BoxStream<ActionType>;

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let connection = Connection::of(&request);
        let caller = Caller::of(request.metadata(), &connection)?;
        let mut opening = Opening { caller, connection, client: request.into_inner() };
        let first = match tokio::time::timeout(FIRST_MESSAGE, opening.client.message()).await {
            Ok(first) => first?,
            Err(_) => return Ok(Response::new(late(Arc::clone(&self.shared), opening))),
        };
        Ok(Response::new(admit(&self.shared, opening, first.ok_or_else(no_message)?)?))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let connection = Connection::of(&request);
        let caller = Caller::of(request.metadata(), &connection)?;
        let descriptor = request.into_inner();
        let (route, routes) = (Route::parse(&descriptor)?, self.shared.routes.load_full());
        let info = match route {
            Route::Path(function) => match Builtin::named(&function) {
                Some(builtin) => builtin.describe(descriptor)?,
                None => info::flight_info(routes.find(&function)?, caller.engine, descriptor)?,
            },
            _ if connection.is_open() => return Err(commands_refused().into()),
            Route::Composed(_) => info::of_stages(stages::of(route, &routes)?, &routes, descriptor)?,
            Route::Exchange(function, _) => info::flight_info(routes.find(&function)?, Engine::Other, descriptor)?,
        };
        Ok(Response::new(info))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let info = self.get_flight_info(request).await?.into_inner();
        Ok(Response::new(SchemaResult { schema: info.schema }))
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let engine = Caller::of(request.metadata(), &Connection::of(&request))?.engine;
        let routes = self.shared.routes.load_full();
        let describe = |target: &Arc<Target>| {
            let name = target.function.definition.name.clone();
            info::flight_info(target, engine, FlightDescriptor::new_path(vec![name])).map_err(Status::from)
        };
        let flights: Vec<_> = routes.by_name().map(describe).collect();
        Ok(Response::new(Box::pin(futures::stream::iter(flights))))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let connection = Connection::of(&request);
        let body = action(&request.into_inner().r#type, &connection)?;
        let result = arrow_flight::Result { body };
        Ok(Response::new(Box::pin(futures::stream::once(std::future::ready(Ok(result))))))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(Response::new(Box::pin(futures::stream::iter(actions().map(Ok)))))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(unsupported("Handshake"))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(unsupported("PollFlightInfo"))
    }

    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        Err(unsupported("DoGet"))
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        Err(unsupported("DoPut"))
    }
}
