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
use udfleet_proto::error::Error;
use udfleet_proto::flight::Route;
use udfleet_proto::flight_info::{PROTOCOL_VERSION_ACTION, action, unsupported};
use udfleet_proto::v1::ErrorCode;

use super::exchange::Exchange;
use super::input::Input;
use super::{info, stages};
use crate::auth::SendToken;
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
}

/// The Flight service of the coordinator.
pub struct Router {
    shared: Arc<Shared>,
}

impl Router {
    /// Routes by this table; `token` is shown to executors.
    #[must_use]
    pub fn new(routes: Arc<RouteTable>, token: SendToken, stats: Arc<Stats>) -> Self {
        Self { shared: Arc::new(Shared { routes, token, stats }) }
    }
}

/// Admission: who does the work, or why nobody does.
fn admit(shared: &Arc<Shared>, first: FlightData, client: Streaming<FlightData>) -> Result<Exchange, Error> {
    let descriptor = first.flight_descriptor.as_ref().ok_or_else(|| {
        Error::new(ErrorCode::InvalidInput, "the stream's first message carries no Flight descriptor")
            .hint("put a PATH descriptor [function name] on it")
    })?;
    let route = Route::parse(descriptor)?;
    let numbered = !matches!(route, Route::Path(_));
    let routes = shared.routes.load_full();
    let mut stages = stages::of(route, &routes)?.into_iter();
    let work = stages.next().ok_or_else(|| Error::internal("a plan without stages"))?;
    let mut exchange = Exchange::new(Arc::clone(shared), work, numbered, Input::Client(Box::new(client)))?;
    exchange.take_in(first)?;
    for work in stages {
        exchange = Exchange::new(Arc::clone(shared), work, numbered, Input::Stage(Box::new(exchange)))?;
    }
    Ok(exchange)
}

type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn responses(exchange: Exchange) -> BoxStream<FlightData> {
    let next = |mut exchange: Box<Exchange>| async move { exchange.next().await.map(|message| (message, exchange)) };
    Box::pin(futures::stream::unfold(Box::new(exchange), next))
}

/// For a client that waits for headers before it says what it wants.
fn late(shared: Arc<Shared>, mut client: Streaming<FlightData>) -> BoxStream<FlightData> {
    let begin = async move {
        match client.message().await {
            Ok(Some(first)) => match admit(&shared, first, client) {
                Ok(exchange) => responses(exchange),
                Err(error) => failed(error.into()),
            },
            Ok(None) => failed(no_message().into()),
            Err(status) => failed(status),
        }
    };
    Box::pin(futures::stream::once(begin).flatten())
}

fn failed(status: Status) -> BoxStream<FlightData> {
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
        let mut client = request.into_inner();
        let first = match tokio::time::timeout(FIRST_MESSAGE, client.message()).await {
            Ok(first) => first?,
            Err(_) => return Ok(Response::new(late(Arc::clone(&self.shared), client))),
        };
        let exchange = admit(&self.shared, first.ok_or_else(no_message)?, client)?;
        Ok(Response::new(responses(exchange)))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let descriptor = request.into_inner();
        let (route, routes) = (Route::parse(&descriptor)?, self.shared.routes.load_full());
        let info = match route {
            Route::Composed(_) => info::of_stages(stages::of(route, &routes)?, &routes, descriptor)?,
            Route::Path(function) | Route::Exchange(function, _) => {
                info::flight_info(routes.find(&function)?, descriptor)?
            }
        };
        Ok(Response::new(info))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let info = self.get_flight_info(request).await?.into_inner();
        Ok(Response::new(SchemaResult { schema: info.schema }))
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let routes = self.shared.routes.load_full();
        let describe = |target: &Arc<Target>| {
            let name = target.function.definition.name.clone();
            info::flight_info(target, FlightDescriptor::new_path(vec![name])).map_err(Status::from)
        };
        let flights: Vec<_> = routes.by_name().map(describe).collect();
        Ok(Response::new(Box::pin(futures::stream::iter(flights))))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let body = action(&request.into_inner().r#type)?;
        let result = arrow_flight::Result { body };
        Ok(Response::new(Box::pin(futures::stream::once(std::future::ready(Ok(result))))))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let action = ActionType {
            r#type: PROTOCOL_VERSION_ACTION.to_owned(),
            description: "The version of the arrow-udf protocol that PATH streams speak: one byte.".to_owned(),
        };
        Ok(Response::new(Box::pin(futures::stream::once(std::future::ready(Ok(action))))))
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
