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
use udfleet_proto::error::Error;
use udfleet_proto::flight::Route;
use udfleet_proto::flight_info::{self, PROTOCOL_VERSION_ACTION};
use udfleet_proto::v1::{ErrorCode, OnError};

use super::served::FunctionTable;
use super::stream::{Dialect, serve};
use super::target::Call;

/// How long headers wait for the descriptor: clients that send it with their first batch must see headers before that.
const DESCRIPTOR_WAIT: Duration = Duration::from_secs(1);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Flight over the functions of this executor.
#[derive(Debug, Clone)]
pub struct FlightFrontend {
    table: Arc<FunctionTable>,
}

impl FlightFrontend {
    /// Serves what is in the table.
    #[must_use]
    pub fn new(table: Arc<FunctionTable>) -> Self {
        Self { table }
    }

    /// Finds the function, takes a place for the stream, and answers it.
    fn open(&self, first: FlightData, input: Streaming<FlightData>) -> Result<Answers<FlightData>, Error> {
        let route = Route::parse(first.flight_descriptor.as_ref().unwrap_or(&FlightDescriptor::default()))?;
        let call = self.find(&route)?;
        let slot = self.table.admit().map_err(|error| error.function(&call.target.name))?;
        let dialect = match route {
            Route::Path(_) => Dialect::Plain,
            Route::Exchange(..) | Route::Composed(_) => Dialect::Numbered,
        };
        Ok(Box::pin(serve(call, dialect, slot, Some(first), input)))
    }

    fn find(&self, route: &Route) -> Result<Call, Error> {
        let function = |reference| self.table.resolve(reference).map(|function| Arc::clone(&function.target));
        match route {
            Route::Path(reference) => Call::new(function(reference)?, OnError::Unspecified),
            Route::Exchange(reference, request) => Call::asked(function(reference)?, request),
            Route::Composed(request) => match &request.stage {
                Some(stage) => Call::asked(self.table.stage(stage)?, request),
                None => Err(Error::new(ErrorCode::InvalidInput, "an executor runs stages, not plans")
                    .hint("send the plan to the coordinator, which makes stages of it")),
            },
        }
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
        let mut input = request.into_inner();
        match tokio::time::timeout(DESCRIPTOR_WAIT, input.message()).await {
            Ok(first) => {
                let first = first?.ok_or_else(no_descriptor)?;
                Ok(Response::new(self.open(first, input)?))
            }
            // No word yet: headers go out, and the rest happens inside the stream.
            Err(_) => {
                let frontend = self.clone();
                Ok(Response::new(Box::pin(stream! {
                    let opened = match input.message().await {
                        Ok(Some(first)) => frontend.open(first, input),
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
        let descriptor = request.into_inner();
        let function = self.table.resolve(Route::parse(&descriptor)?.function()?)?;
        Ok(Response::new(flight_info::describe(&function.definition, descriptor, Vec::new())?))
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        let describe = |function: Arc<super::served::ServedFunction>| {
            let descriptor = FlightDescriptor::new_path(vec![function.definition.name.clone()]);
            flight_info::describe(&function.definition, descriptor, Vec::new()).map_err(Status::from)
        };
        let all: Vec<_> = self.table.all().into_iter().map(describe).collect();
        Ok(Response::new(Box::pin(futures::stream::iter(all))))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let body = flight_info::action(&request.into_inner().r#type)?;
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(arrow_flight::Result { body })]))))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        Ok(Response::new(Box::pin(futures::stream::iter([Ok(ActionType {
            r#type: PROTOCOL_VERSION_ACTION.to_owned(),
            description: "version of the remote function protocol: one byte".to_owned(),
        })]))))
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
