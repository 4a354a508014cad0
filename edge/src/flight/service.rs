//! The methods of Flight.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::stream::{iter, once};
use futures::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};
use udfleet_proto::error::Error;
use udfleet_proto::flight::Route;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::ErrorCode;

use super::actions::{action, actions};
use super::tables::TableReader;
use super::{Admitted as _, Backend, SystemTables, unsupported};
use crate::auth::{Denial, Denials, Principal, PrincipalKind, Right, check_action};
use crate::engine::{
    AnswerStream, Builtin, Caller, Connection, Engine, Engines, Gateway, Incoming, answers, broken_input, with_ticket,
};
use crate::tenant::{TenantStream, Tenants};

/// How long response headers wait for the first message, whose function decides whether the call is admitted: some
/// clients send nothing before they have seen headers.
pub(super) const FIRST_MESSAGE_WAIT: Duration = Duration::from_secs(1);

type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A Flight service in front of a [`Backend`].
#[derive(Clone)]
pub struct FlightFrontend<B> {
    backend: B,
    engines: Arc<Engines>,
    tenants: Arc<Tenants>,
    denials: Denials,
    tables: Option<TableReader>,
}

/// A stream before its first message.
struct Opening {
    caller: Caller,
    principal: Arc<Principal>,
    connection: Connection,
    input: Streaming<FlightData>,
}

impl<B: Backend> FlightFrontend<B> {
    /// Serves what `backend` has; `engines` counts the calls of engines, `tenants` streams and rows.
    #[must_use]
    pub fn new(backend: B, engines: Arc<Engines>, tenants: Arc<Tenants>) -> Self {
        Self { backend, engines, tenants, denials: Denials::default(), tables: None }
    }

    /// With a record of refused calls.
    #[must_use]
    pub fn noting(self, denials: Denials) -> Self {
        Self { denials, ..self }
    }

    /// With tables about the fleet.
    #[must_use]
    pub fn with_tables(self, tables: Arc<dyn SystemTables>) -> Self {
        Self { tables: Some(TableReader::new(tables)), ..self }
    }

    /// Notes what was refused because of who asks for it.
    fn noted<T>(
        &self,
        caller: &Principal,
        connection: &Connection,
        what: &'static str,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        if let Err(error) = &result
            && error.code() == ErrorCode::PermissionDenied
        {
            let (caller, from, subject) = (Some(caller), connection.peer(), error.info().function.as_str());
            let code = error.code();
            self.denials.note(&Denial { caller, claimed: "", from, what, subject, code, reason: "" });
        }
        result
    }

    /// Lets a stream in or refuses it, by its first message.
    async fn open(&self, opening: Opening, first: Option<FlightData>) -> Result<AnswerStream, Error> {
        let (caller, connection) = (Arc::clone(&opening.principal), opening.connection.clone());
        let opened = self.opened(opening, first).await;
        self.noted(&caller, &connection, "DoExchange", opened)
    }

    async fn opened(&self, opening: Opening, first: Option<FlightData>) -> Result<AnswerStream, Error> {
        let first = first.ok_or_else(no_message)?;
        let Opening { caller, principal, connection, input } = opening;
        let route = route(&first, &connection, &principal)?;
        let counted = self.counted(&principal)?;
        if let Some(counted) = &counted {
            counted.note(&first)?;
        }
        self.backend.prepare(&route).await;
        let answers = match route {
            Route::Path(function) => self.open_path(&function, caller, input, first, counted.clone())?,
            route => {
                self.backend.exchange(route, &principal, first, Incoming::numbered(input).counted(counted.clone()))?
            }
        };
        Ok(match counted {
            None => answers,
            // Open until its answers have been taken, or nobody takes them any more.
            Some(counted) => Box::pin(answers.map(move |answer| {
                let _ = &counted;
                answer
            })),
        })
    }

    /// A stream of a tenant. What a coordinator sends on, the coordinator has counted.
    fn counted(&self, principal: &Principal) -> Result<Option<Arc<TenantStream>>, Error> {
        if principal.kind == PrincipalKind::Ticket && principal.rights.has(Right::Coordinate) {
            return Ok(None);
        }
        self.tenants.admit(&principal.tenant, principal.limits).map(|stream| Some(Arc::new(stream)))
    }

    /// What engines call.
    fn open_path(
        &self,
        function: &FunctionRef,
        caller: Caller,
        input: Streaming<FlightData>,
        first: FlightData,
        counted: Option<Arc<TenantStream>>,
    ) -> Result<AnswerStream, Error> {
        if let Some(builtin) = Builtin::named(function) {
            return Ok(builtin.serve(first, input));
        }
        let admitted = self.backend.admit(function)?;
        let gateway = Gateway::new(&self.engines, caller, admitted.definition(), admitted.name());
        let mut input = Incoming::plain(input, gateway.arrivals()).counted(counted);
        let first = input.take(first);
        let numbered = self.backend.call(admitted, gateway.request(), first, input)?;
        Ok(answers(gateway, numbered))
    }

    /// For a client that waits for headers before it says what it wants. What it is told is the same, inside the stream.
    fn open_late(self, mut opening: Opening) -> AnswerStream {
        let begin = async move {
            let first = opening.input.message().await;
            let opened = match first.map_err(|status| broken_input(&status)) {
                Ok(first) => self.open(opening, first).await,
                Err(error) => Err(error),
            };
            opened.unwrap_or_else(|error| Box::pin(once(std::future::ready(Err(error.into())))))
        };
        Box::pin(once(begin).flatten())
    }
}

/// What a stream asks for. On the listener that demands no token that is a function.
fn route(first: &FlightData, connection: &Connection, principal: &Principal) -> Result<Route, Error> {
    let descriptor = first.flight_descriptor.as_ref().ok_or_else(|| {
        Error::new(ErrorCode::InvalidInput, "the stream's first message carries no Flight descriptor")
            .hint("put a PATH descriptor [function name] on it")
    })?;
    allowed(Route::parse(descriptor)?, connection, principal)
}

/// The functions of a composed route are known once it has been compiled: the backend checks these.
fn allowed(route: Route, connection: &Connection, principal: &Principal) -> Result<Route, Error> {
    if let Route::Path(function) | Route::Exchange(function, _) = &route
        && Builtin::named(function).is_none()
    {
        principal.demand_function(&function.name)?;
    }
    match route {
        Route::Exchange(..) | Route::Composed(_) if connection.is_open() => {
            Err(Error::new(ErrorCode::InvalidInput, "engine_listen takes PATH descriptors [function name] only")
                .hint("use the port of `listen`, with the fleet's token"))
        }
        route => Ok(route),
    }
}

fn no_message() -> Error {
    Error::new(ErrorCode::InvalidInput, "the stream ended before its descriptor came")
        .hint("the first message of DoExchange carries a FlightDescriptor")
}

#[tonic::async_trait]
impl<B: Backend> FlightService for FlightFrontend<B> {
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
        let principal = Principal::of(&request);
        let mut opening = Opening { caller, principal, connection, input: request.into_inner() };
        match tokio::time::timeout(FIRST_MESSAGE_WAIT, opening.input.message()).await {
            Ok(first) => {
                let first = first.map_err(|status| broken_input(&status))?;
                Ok(Response::new(self.open(opening, first).await?))
            }
            Err(_) => Ok(Response::new(self.clone().open_late(opening))),
        }
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let connection = Connection::of(&request);
        let caller = Caller::of(request.metadata(), &connection)?;
        let principal = Principal::of(&request);
        let descriptor = request.into_inner();
        let allowed = allowed(Route::parse(&descriptor)?, &connection, &principal);
        let route = self.noted(&principal, &connection, "GetFlightInfo", allowed)?;
        let engine = match &route {
            Route::Path(function) => match Builtin::named(function) {
                Some(builtin) => return Ok(Response::new(builtin.describe(descriptor)?)),
                None => caller.engine,
            },
            Route::Exchange(..) | Route::Composed(_) => Engine::Other,
        };
        self.backend.prepare(&route).await;
        let described = self.backend.describe(route, &principal, engine, descriptor);
        let mut info = self.noted(&principal, &connection, "GetFlightInfo", described)?;
        if connection.is_open() {
            // Engines call where they have asked; where executors are is nothing for who shows no token.
            info.endpoint.clear();
            return Ok(Response::new(info));
        }
        // Engines go to no executor by themselves.
        let ticket = if engine == Engine::Other { self.backend.ticket(&principal) } else { None };
        Ok(Response::new(match ticket {
            Some(ticket) => with_ticket(info, ticket)?,
            None => info,
        }))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let info = self.get_flight_info(request).await?.into_inner();
        Ok(Response::new(SchemaResult { schema: info.schema }))
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let connection = Connection::of(&request);
        let engine = Caller::of(request.metadata(), &connection)?.engine;
        if connection.is_open() {
            let refusal = Error::new(ErrorCode::InvalidInput, "engine_listen does not list functions")
                .hint("ask for one by its name, or use the port of `listen`, with a token");
            return Err(refusal.into());
        }
        let flights = self.backend.list(Principal::of(&request), engine).map(|info| info.map_err(Status::from));
        Ok(Response::new(Box::pin(iter(flights))))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let connection = Connection::of(&request);
        let principal = Principal::of(&request);
        let request = request.into_inner();
        check_action(&principal, &request.r#type)?;
        let body = action(&request.r#type, &connection)?;
        Ok(Response::new(Box::pin(iter([Ok(arrow_flight::Result { body })]))))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(Response::new(Box::pin(iter(actions().map(Ok)))))
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

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let open = Connection::of(&request).is_open();
        let tables = self.tables.as_ref().filter(|_| !open).ok_or_else(|| unsupported("DoGet"))?;
        let messages = tables.read(request.into_inner().ticket.to_vec()).await?;
        Ok(Response::new(Box::pin(messages.map(Ok))))
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        Err(unsupported("DoPut"))
    }
}
