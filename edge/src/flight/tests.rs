//! A Flight service in front of a backend that serves one function, over loopback.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::flight_service_server::FlightServiceServer;
use arrow_flight::{Criteria, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo};
use futures::StreamExt as _;
use futures::stream::{BoxStream, iter, pending};
use tokio::net::TcpListener;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;
use udfleet_proto::error::Error;
use udfleet_proto::flight::{Route, exchange_descriptor};
use udfleet_proto::name::FunctionRef;
use udfleet_proto::types::simple;
use udfleet_proto::v1::{ErrorCode, ExchangeRequest, FunctionDefinition, TypeRoot};

use super::{Admitted, Backend, FlightFrontend};
use crate::auth::{Everybody, Gate, GateLayer, Principal, Surface};
use crate::engine::{AnswerStream, Connection, Engine, Engines, Incoming, describe};
use crate::server::{Accepted, Patience};

/// The largest message that the service takes.
const LIMIT: usize = 4096;

#[derive(Clone)]
struct OneFunction;

impl Admitted for FunctionDefinition {
    fn definition(&self) -> &FunctionDefinition {
        self
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Backend for OneFunction {
    type Admitted = FunctionDefinition;

    fn admit(&self, function: &FunctionRef) -> Result<FunctionDefinition, Error> {
        let result_type = Some(simple(TypeRoot::Bigint));
        match function.name.as_str() {
            "f" => Ok(FunctionDefinition { name: "f".to_owned(), result_type, ..Default::default() }),
            _ => Err(Error::new(ErrorCode::FunctionNotFound, "only f")),
        }
    }

    fn call(
        &self,
        _: FunctionDefinition,
        _: ExchangeRequest,
        _: Option<FlightData>,
        mut input: Incoming,
    ) -> Result<AnswerStream, Error> {
        let read = async move { while let Ok(Some(_)) = input.message().await {} };
        Ok(Box::pin(futures::stream::once(read).filter_map(|()| std::future::ready(None))))
    }

    fn exchange(&self, _: Route, _: &Principal, _: FlightData, _: Incoming) -> Result<AnswerStream, Error> {
        Ok(Box::pin(futures::stream::empty()))
    }

    fn describe(
        &self,
        route: Route,
        _: &Principal,
        engine: Engine,
        descriptor: FlightDescriptor,
    ) -> Result<FlightInfo, Error> {
        describe(&self.admit(route.function()?)?, engine, descriptor, vec![FlightEndpoint::new()], &[])
    }

    fn list(
        &self,
        caller: Arc<Principal>,
        engine: Engine,
    ) -> impl Iterator<Item = Result<FlightInfo, Error>> + Send + 'static {
        let route = Route::Path(FunctionRef { name: "f".to_owned(), version: None });
        std::iter::once(self.describe(route, &caller, engine, FlightDescriptor::default()))
    }
}

/// Its listener demands no token where it is `open`.
async fn serve(open: bool) -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = FlightServiceServer::new(FlightFrontend::new(OneFunction, Arc::<Engines>::default(), Arc::default()));
    let everybody = Arc::new(Everybody::unlimited());
    let gate = if open { Gate::engines() } else { Gate::new(Surface::Coordinator, everybody, Arc::default()) };
    let server = Server::builder().layer(GateLayer::new(gate)).add_service(service.max_decoding_message_size(LIMIT));
    let accepted = TcpIncoming::from(listener).map(move |stream| {
        stream.map(|stream| Accepted::new(stream, Connection::new(open), Patience::default(), None))
    });
    tokio::spawn(server.serve_with_incoming(accepted));
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// Flight's first field, a message, as a number: nothing that a server could read.
#[derive(Clone, PartialEq, prost::Message)]
struct Garbage {
    #[prost(uint64, tag = "1")]
    number: u64,
}

/// A client that has not been answered is asked to wait for nothing else: it sees headers before it speaks.
fn after_headers<T: Send + 'static>(message: T) -> BoxStream<'static, T> {
    let later = async move {
        tokio::time::sleep(super::service::FIRST_MESSAGE_WAIT + Duration::from_millis(200)).await;
        message
    };
    futures::stream::once(later).chain(pending()).boxed()
}

fn at_once<T: Send + 'static>(message: T) -> BoxStream<'static, T> {
    iter([message]).chain(pending()).boxed()
}

async fn exchange<T>(channel: &Channel, messages: BoxStream<'static, T>) -> Error
where
    T: prost::Message + Default + 'static,
{
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/arrow.flight.protocol.FlightService/DoExchange");
    let codec = ProstCodec::<T, FlightData>::default();
    let status: Status = match client.streaming(Request::new(messages), path, codec).await {
        Ok(answers) => answers.into_inner().message().await.unwrap_err(),
        Err(status) => status,
    };
    assert!(!status.details().is_empty(), "the error is typed: {status:?}");
    Error::from(&status)
}

fn large() -> FlightData {
    FlightData::new().with_data_body(vec![0; LIMIT + 1])
}

#[tokio::test]
async fn what_is_wrong_with_a_first_message_is_told_whenever_it_comes() {
    let channel = &serve(false).await;
    let unknown = || FlightData::new().with_descriptor(FlightDescriptor::new_path(vec!["g".to_owned()]));
    let errors = futures::join!(
        exchange(channel, at_once(Garbage { number: 7 })),
        exchange(channel, after_headers(Garbage { number: 7 })),
        exchange(channel, at_once(large())),
        exchange(channel, after_headers(large())),
        exchange(channel, at_once(FlightData::new())),
        exchange(channel, after_headers(FlightData::new())),
        exchange(channel, at_once(unknown())),
        exchange(channel, after_headers(unknown())),
    );
    assert_eq!((errors.0.code(), &errors.0), (ErrorCode::InvalidInput, &errors.1));
    assert_eq!((errors.2.code(), &errors.2), (ErrorCode::LimitExceeded, &errors.3));
    assert_eq!((errors.4.code(), &errors.4), (ErrorCode::InvalidInput, &errors.5));
    assert_eq!((errors.6.code(), &errors.6), (ErrorCode::FunctionNotFound, &errors.7));
}

#[tokio::test]
async fn a_stream_without_any_message_is_told_so() {
    let channel = serve(false).await;
    let error = exchange::<FlightData>(&channel, futures::stream::empty().boxed()).await;
    assert_eq!(error.code(), ErrorCode::InvalidInput);
}

#[tokio::test]
async fn without_a_token_functions_are_all_there_is() {
    let request = ExchangeRequest { function: "f".to_owned(), ..ExchangeRequest::default() };
    let command = exchange_descriptor(&request);
    let open = serve(true).await;
    let error = exchange(&open, at_once(FlightData::new().with_descriptor(command.clone()))).await;
    assert_eq!(error.code(), ErrorCode::InvalidInput);
    let mut client = FlightServiceClient::new(open);
    let status = client.get_flight_info(command.clone()).await.unwrap_err();
    assert_eq!(Error::from(&status).code(), ErrorCode::InvalidInput);
    let info = client.get_flight_info(FlightDescriptor::new_path(vec!["f".to_owned()])).await.unwrap();
    assert!(info.into_inner().endpoint.is_empty(), "where executors are is not told");
    let status = client.list_flights(Criteria::default()).await.unwrap_err();
    assert_eq!(Error::from(&status).code(), ErrorCode::InvalidInput);
    let mut closed = FlightServiceClient::new(serve(false).await);
    assert!(closed.get_flight_info(command).await.is_ok_and(|info| info.into_inner().endpoint.len() == 1));
    assert!(closed.list_flights(Criteria::default()).await.is_ok());
}
