//! Ports, and gRPC on them. Every connection of every process is accepted here.

mod accept;
mod budget;
mod connection;
mod http;
mod incoming;
mod metered;
mod patient;
mod socket;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::StreamExt as _;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tower::layer::util::{Identity, Stack};
use udfleet_proto::error::Error;
use udfleet_proto::limits::{CONNECTION_WINDOW_BYTES, MAX_FRAME_BYTES, STREAM_WINDOW_BYTES};

use crate::auth::{Gate, GateLayer};
use crate::config::invalid;
use crate::engine::Connection;
use crate::flight::{Backend, FlightFrontend};
use crate::tls::{Credentials, Protocol};

use accept::{Acceptor, most_connections};
pub(crate) use connection::{Accepted, Patience};
use incoming::{Entered, Incoming};
use metered::MeterLayer;

/// HTTP/2 frame: large, so that big batches take few of them.
pub(crate) const FRAME_BYTES: u32 = 1 << 20;
/// Beyond the frame limit itself, so that what is too large gets our error and not the library's.
pub const MAX_MESSAGE_BYTES: usize = MAX_FRAME_BYTES + (1 << 20);
/// Streams of one connection: a coordinator brings all of its streams over a few, and what is beyond this would wait
/// without a word.
const MAX_STREAMS: u32 = 1 << 16;
/// The same where no token is asked for: engines open a stream per call, on connections of their own.
const MAX_OPEN_STREAMS: u32 = 1 << 10;
/// What a port holds of messages that have begun and not come whole, bytes: of callers with a token, and without.
pub const MAX_INCOMPLETE_BYTES: u64 = 2 << 30;
/// See [`MAX_INCOMPLETE_BYTES`].
pub const MAX_OPEN_INCOMPLETE_BYTES: u64 = 512 << 20;
/// What a connection without a token may have sent ahead of those who read it, bytes.
const OPEN_CONNECTION_WINDOW_BYTES: u32 = 128 << 20;
/// The longest headers of one call, bytes.
pub const MAX_HEADER_BYTES: u32 = 64 << 10;
/// Finds peers that vanished without a word.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(20);

/// A gRPC server whose calls have passed a [`Gate`].
pub type GrpcServer = Server<Guarded>;
type Guarded = Stack<MeterLayer, Stack<GateLayer, Identity>>;

/// A port that is bound.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Credentials>>,
}

impl Port {
    /// Binds the address of the setting `key`; with `tls`, its connections are encrypted.
    ///
    /// # Errors
    /// `INVALID_CONFIG` when it can't be listened on.
    pub async fn bind(key: &str, address: SocketAddr, tls: Option<&Arc<Credentials>>) -> Result<Self, Error> {
        let bad = |e: std::io::Error| {
            invalid(format!("{key}: can't listen on {address}: {e}"))
                .hint("name an address of this machine, port 0 for any")
        };
        let listener = TcpListener::bind(address).await.map_err(bad)?;
        let address = listener.local_addr().map_err(bad)?;
        Ok(Self { listener, address, tls: tls.cloned() })
    }

    /// The address that it got.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves gRPC to callers that pass the gate, until `stop` resolves and the streams that are open then have ended.
    ///
    /// # Errors
    /// `INTERNAL` when the listener fails.
    pub async fn serve(self, services: Router<Guarded>, stop: impl Future<Output = ()>) -> Result<(), Error> {
        self.serve_connections(services, false, stop).await
    }

    /// Serves engines, which show no token, what they need of Flight.
    ///
    /// # Errors
    /// As [`Port::serve`].
    pub async fn serve_engines<B: Backend>(
        self,
        flight: FlightFrontend<B>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let mut server = metered(Gate::engines(), MAX_OPEN_INCOMPLETE_BYTES)
            .initial_connection_window_size(OPEN_CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(MAX_OPEN_STREAMS);
        let services = server.add_service(flight_service(flight));
        self.serve_connections(services, true, stop).await
    }

    async fn serve_connections(
        self,
        services: Router<Guarded>,
        open: bool,
        stop: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let incoming = Incoming::new(Acceptor::new(self.listener, most_connections()), self.tls, Protocol::Http2);
        let accepted = incoming.stream().map(move |Entered { socket, peer, counted }| {
            let connection = Connection::with(open, peer, socket.remote());
            Ok::<_, std::io::Error>(Accepted::new(socket, connection, Patience::default(), Some(counted)))
        });
        let served = services.serve_with_incoming_shutdown(accepted, stop).await;
        served.map_err(|e| Error::internal(format!("serving {} failed: {e}", self.address)))
    }

    /// Serves HTTP, and tells clients of gRPC where that is served, until `stop` resolves and requests that are under way have been answered.
    ///
    /// # Errors
    /// As [`Port::serve`].
    pub async fn serve_http(
        self,
        routes: axum::Router,
        grpc: &str,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Error> {
        let incoming = Incoming::new(Acceptor::new(self.listener, most_connections()), self.tls, Protocol::Http1);
        let served = http::Served { routes, headers_within: http::HEADERS_WITHIN, grpc: grpc.to_owned() };
        http::serve(incoming, served, stop).await;
        Ok(())
    }
}

/// A server behind a gate, to which services are added.
#[must_use]
pub fn grpc(gate: Gate) -> GrpcServer {
    metered(gate, MAX_INCOMPLETE_BYTES)
}

fn metered(gate: Gate, incomplete: u64) -> GrpcServer {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(MAX_STREAMS)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .layer(GateLayer::new(gate))
        .layer(MeterLayer::new(incomplete))
}

/// Flight as a service.
#[must_use]
pub fn flight_service<B: Backend>(flight: FlightFrontend<B>) -> FlightServiceServer<FlightFrontend<B>> {
    FlightServiceServer::new(flight)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}
