//! The Flight service of an executor.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use async_stream::stream;
use futures::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use udfleet_proto::engine::{Builtin, Caller, Connection, Engine, Engines, Gateway, Incoming, answers};
use udfleet_proto::error::Error;
use udfleet_proto::flight::Route;
use udfleet_proto::flight_info;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::ErrorCode;

use super::served::FunctionTable;
use super::stream::serve;
use super::target::Call;

/// How long headers wait for the descriptor: clients that send it with their first batch must see headers before that.
const DESCRIPTOR_WAIT: Duration = Duration::from_secs(1);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Flight over the functions of this executor.
#[derive(Debug, Clone)]
pub struct FlightFrontend {
    table: Arc<FunctionTable>,
    engines: Arc<Engines>,
}

/// A stream before its first message.
struct Opening {
    caller: Caller,
    connection: Connection,
    input: Streaming<FlightData>,
}

impl FlightFrontend {
    /// Serves what is in the table.
    #[must_use]
    pub fn new(table: Arc<FunctionTable>, engines: Arc<Engines>) -> Self {
        Self { table, engines }
    }

    /// Finds the function, takes a place for the stream, and answers it.
    fn open(&self, opening: Opening, first: FlightData) -> Result<Answers<FlightData>, Error> {
        let Opening { caller, connection, input } = opening;
        let route = Route::parse(first.flight_descriptor.as_ref().unwrap_or(&FlightDescriptor::default()))?;
        let call = match &route {
            Route::Path(reference) => return self.open_path(reference, caller, input, first),
            _ if connection.is_open() => return Err(flight_info::commands_refused()),
            Route::Exchange(reference, request) => {
                Call::asked(Arc::clone(&self.table.resolve(reference)?.target), request)?
            }
            Route::Composed(request) => match &request.stage {
                Some(stage) => Call::asked(self.table.stage(stage)?, request)?,
                None => {
                    return Err(Error::new(ErrorCode::InvalidInput, "an executor runs stages, not plans")
                        .hint("send the plan to the coordinator, which makes stages of it"));
                }
            },
        };
        let slot = self.table.admit().map_err(|error| error.function(&call.target.name))?;
        Ok(Box::pin(serve(call, slot, Some(first), Incoming::numbered(input))))
    }

    /// What engines call.
    fn open_path(
        &self,
        reference: &FunctionRef,
        caller: Caller,
        input: Streaming<FlightData>,
        first: FlightData,
    ) -> Result<Answers<FlightData>, Error> {
        if let Some(builtin) = Builtin::named(reference) {
            return Ok(builtin.serve(first, input));
        }
        let function = self.table.resolve(reference)?;
        let slot = self.table.admit().map_err(|error| error.function(&function.name))?;
        let gateway = Gateway::new(&self.engines, caller, &function.definition, &function.name);
        let call = Call::new(Arc::clone(&function.target), gateway.on_error())?;
        let mut input = Incoming::plain(input, gateway.arrivals());
        let first = input.take(first);
        Ok(answers(gateway, Box::pin(serve(call, slot, first, input))))
    }
}

fn no_descriptor() -> Error {
    Error::new(ErrorCode::InvalidInput, "the stream ended before its descriptor came")
        .hint("the first message of DoExchange carries a FlightDescriptor")
}

#[tonic::async_trait]
impl FlightService for FlightFrontend {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let connection = Connection::of(&request);
        let caller = Caller::of(request.metadata(), &connection)?;
        let mut opening = Opening { caller, connection, input: request.into_inner() };
        match tokio::time::timeout(DESCRIPTOR_WAIT, opening.input.message()).await {
            Ok(first) => {
                let first = first?.ok_or_else(no_descriptor)?;
                Ok(Response::new(self.open(opening, first)?))
            }
            // No word yet: headers go out, and the rest happens inside the stream.
            Err(_) => {
                let frontend = self.clone();
                Ok(Response::new(Box::pin(stream! {
                    let opened = match opening.input.message().await {
                        Ok(Some(first)) => frontend.open(opening, first),
                        Ok(None) => Err(no_descriptor()),
                        Err(_) => return,
                    };
                    match opened {
                        Ok(mut answers) => while let Some(answer) = answers.next().await {
                            yield answer;
                        },
                        Err(error) => yield Err(error.into()),
                    }
                })))
            }
        }
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let connection = Connection::of(&request);
        let caller = Caller::of(request.metadata(), &connection)?;
        let descriptor = request.into_inner();
        let route = Route::parse(&descriptor)?;
        let engine = match &route {
            Route::Path(reference) => match Builtin::named(reference) {
                Some(builtin) => return Ok(Response::new(builtin.describe(descriptor)?)),
                None => caller.engine,
            },
            _ if connection.is_open() => return Err(flight_info::commands_refused().into()),
            _ => Engine::Other,
        };
        let function = self.table.resolve(route.function()?)?;
        Ok(Response::new(flight_info::describe(&function.definition, engine, descriptor, Vec::new())?))
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let engine = Caller::of(request.metadata(), &Connection::of(&request))?.engine;
        let describe = |function: Arc<super::served::ServedFunction>| {
            let descriptor = FlightDescriptor::new_path(vec![function.definition.name.clone()]);
            flight_info::describe(&function.definition, engine, descriptor, Vec::new()).map_err(Status::from)
        };
        let all: Vec<_> = self.table.all().into_iter().map(describe).collect();
        Ok(Response::new(Box::pin(futures::stream::iter(all))))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let connection = Connection::of(&request);
        let body = flight_info::action(&request.into_inner().r#type, &connection)?;
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(arrow_flight::Result { body })]))))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(Response::new(Box::pin(futures::stream::iter(flight_info::actions().map(Ok)))))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let info = self.get_flight_info(request).await?.into_inner();
        Ok(Response::new(SchemaResult { schema: info.schema }))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        Err(flight_info::unsupported("Handshake"))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(flight_info::unsupported("PollFlightInfo"))
    }

    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        Err(flight_info::unsupported("DoGet"))
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        Err(flight_info::unsupported("DoPut"))
    }
}
