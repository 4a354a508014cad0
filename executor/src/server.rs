//! The gRPC server: Flight and the node service on one port.

use std::future::Future;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::net::TcpListener;
use tonic::service::InterceptorLayer;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use udfleet_edge::engine::accepted;
use udfleet_edge::flight::FlightFrontend;
use udfleet_proto::error::Error;
use udfleet_proto::limits::{CONNECTION_WINDOW_BYTES, MAX_CONTROL_BYTES, MAX_FRAME_BYTES, STREAM_WINDOW_BYTES};
use udfleet_proto::v1::node_server::NodeServer;

use crate::exchange::FunctionStreams;
use crate::node_service::NodeService;
use udfleet_edge::auth::RequireToken;

/// HTTP/2 frame: large, so that big batches take few of them.
const FRAME_BYTES: u32 = 1 << 20;
/// Beyond the frame limit itself, so that what is too large gets our error and not the library's.
const MESSAGE_BYTES: usize = MAX_FRAME_BYTES + (1 << 20);
/// Streams of one connection.
const STREAMS: u32 = 4096;
/// Finds clients that vanished without a word.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Serves until `stop` resolves and the streams that are open then have ended.
///
/// # Errors
/// `INTERNAL` when the listener fails.
pub async fn serve(
    listener: TcpListener,
    flight: FlightFrontend<FunctionStreams>,
    node: NodeService,
    guard: RequireToken,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let node = NodeServer::new(node).max_decoding_message_size(MAX_CONTROL_BYTES);
    builder()
        .layer(InterceptorLayer::new(guard))
        .add_service(service(flight))
        .add_service(node)
        .serve_with_incoming_shutdown(accepted(incoming(listener), false), stop)
        .await
        .map_err(failed)
}

/// Serves engines, which show no token, what they need of Flight.
///
/// # Errors
/// `INTERNAL` when the listener fails.
pub async fn serve_engines(
    listener: TcpListener,
    flight: FlightFrontend<FunctionStreams>,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    builder()
        .add_service(service(flight))
        .serve_with_incoming_shutdown(accepted(incoming(listener), true), stop)
        .await
        .map_err(failed)
}

fn service(flight: FlightFrontend<FunctionStreams>) -> FlightServiceServer<FlightFrontend<FunctionStreams>> {
    FlightServiceServer::new(flight).max_decoding_message_size(MESSAGE_BYTES).max_encoding_message_size(MESSAGE_BYTES)
}

fn failed(error: tonic::transport::Error) -> Error {
    Error::internal(format!("the gRPC server failed: {error}"))
}

fn incoming(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

fn builder() -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(STREAMS)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
}
