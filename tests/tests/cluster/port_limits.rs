//! The limits of connections in docs/limits.md, tried at every port of a fleet: who goes beyond one is refused or let go, and
//! nobody else notices.

use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::engine::EngineClient;
use udfleet_tests::http::get;
use udfleet_tests::http2::Http2;
use udfleet_tests::wait::eventually;

/// Longer than the longest of the limits, however busy the machine is.
const LONGEST: Duration = Duration::from_secs(150);
/// Less than what a connection may be silent.
const AT_ONCE: Duration = Duration::from_secs(9);
/// Descriptors of the processes under test, and the connections of one port that come of them.
const DESCRIPTORS: u64 = 512;
const CONNECTIONS: usize = 128;
const INFO: &str = "/arrow.flight.protocol.FlightService/GetFlightInfo";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Grpc,
    Http,
}

#[derive(Debug)]
struct Port {
    name: &'static str,
    address: String,
    speaks: Speaks,
}

#[derive(Debug, Clone, Copy)]
enum Abuse {
    /// A connection, and nothing on it.
    Silence,
    /// The first bytes of what a client begins with.
    HalfGreeting,
    /// Headers that are far too long.
    LongHeaders,
    /// More than a hundred headers.
    ManyHeaders,
    /// The headers of a request, and nothing more of it.
    NoRequest,
    /// Streams that are reset as soon as they have begun.
    Resets,
}

/// What is tried where.
const TABLE: [(Abuse, &[Speaks]); 6] = [
    (Abuse::Silence, &[Speaks::Grpc, Speaks::Http]),
    (Abuse::HalfGreeting, &[Speaks::Grpc, Speaks::Http]),
    (Abuse::LongHeaders, &[Speaks::Grpc, Speaks::Http]),
    (Abuse::ManyHeaders, &[Speaks::Http]),
    (Abuse::NoRequest, &[Speaks::Grpc, Speaks::Http]),
    (Abuse::Resets, &[Speaks::Grpc]),
];

/// Sends this and reads until the connection ends.
async fn said(address: &str, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut answer = Vec::new();
    // The server may have closed it before all was sent.
    if stream.write_all(text.as_bytes()).await.is_ok() {
        let _ = stream.read_to_end(&mut answer).await;
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Returns once the port has put an end to it: whether as it should.
async fn is_stopped(port: &Port, abuse: Abuse) -> bool {
    let address = port.address.as_str();
    match (abuse, port.speaks) {
        (Abuse::Silence, _) => {
            said(address, "").await;
            true
        }
        (Abuse::HalfGreeting, Speaks::Grpc) => {
            said(address, "PRI * HTTP/").await;
            true
        }
        (Abuse::HalfGreeting, Speaks::Http) => !said(address, "GET /healthz HTTP/1.1\r\nHos").await.contains(" 200 "),
        (Abuse::LongHeaders, Speaks::Http) => {
            let value = "x".repeat(200 << 10);
            let answer =
                said(address, &format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nx: {value}\r\n\r\n")).await;
            answer.is_empty() || answer.starts_with("HTTP/1.1 431")
        }
        (Abuse::ManyHeaders, _) => {
            let many = "x: y\r\n".repeat(101);
            let answer = said(address, &format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n{many}\r\n")).await;
            answer.starts_with("HTTP/1.1 431")
        }
        (Abuse::NoRequest, Speaks::Http) => {
            let head = format!("POST /api/v1/session HTTP/1.1\r\nHost: {address}\r\ncontent-type: application/json");
            !said(address, &format!("{head}\r\ncontent-length: 20\r\n\r\n{{")).await.contains(" 200 ")
        }
        (Abuse::LongHeaders, Speaks::Grpc) => {
            let mut connection = Http2::connect(address).await;
            let call = connection.begin(INFO, &"x".repeat(200_000)).await;
            match call {
                Ok(call) => call.response.await.map_or(true, |response| !response.status().is_success()),
                Err(_) => true,
            }
        }
        (Abuse::NoRequest, Speaks::Grpc) => {
            let call = Http2::connect(address).await.begin(INFO, "").await.unwrap();
            let status = call.status().await.unwrap();
            status.get("grpc-status").is_some_and(|code| Code::from_bytes(code.as_bytes()) == Code::InvalidArgument)
        }
        (Abuse::Resets, _) => {
            let mut flood = Http2::connect(address).await;
            for _ in 0..50_000 {
                match flood.exchange().await {
                    Ok(mut call) => call.reset(),
                    Err(_) => return true,
                }
                tokio::task::yield_now().await;
            }
            false
        }
    }
}

/// Whether the port closes what is beyond its connections, sooner than those that say nothing.
async fn closes_one_too_many(port: &Port) -> bool {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS + 1 {
        connections.push(TcpStream::connect(&port.address).await.unwrap());
    }
    // A server of HTTP/2 speaks first to those that it takes.
    let reads = connections.iter_mut().map(async |stream| stream.read(&mut [0]).await.unwrap_or(0) == 0);
    let closed = reads.collect::<FuturesUnordered<_>>().any(std::future::ready);
    tokio::time::timeout(AT_ONCE, closed).await.unwrap_or(false)
}

async fn serve(speaks: Speaks, address: String) {
    match speaks {
        Speaks::Grpc => assert_eq!(EngineClient::connect(&address, &[]).await.protocol_version().await, 2),
        Speaks::Http => assert_eq!(get(&address, "/healthz").await.0, 200),
    }
}

/// Soon: the port counts connections for a moment longer than they last.
async fn assert_served(port: &Port) {
    let what = format!("{port:?} serves");
    eventually(&what, async || tokio::spawn(serve(port.speaks, port.address.clone())).await.ok()).await;
}

async fn start() -> Cluster {
    let before = getrlimit(Resource::Nofile);
    // What is started has as many.
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), maximum: before.maximum }).unwrap();
    let engine = vec!["--engine-listen=127.0.0.1:0"];
    let cluster =
        Cluster::with(1, Options { coordinator: engine.clone(), executor: engine, ..Options::default() }).await;
    setrlimit(Resource::Nofile, before).unwrap();
    cluster
}

fn ports(cluster: &Cluster) -> Vec<Port> {
    let of = |names: [&'static str; 2], addresses: Vec<String>, speaks| {
        assert_eq!(addresses.len(), 2);
        names.into_iter().zip(addresses).map(move |(name, address)| Port { name, address, speaks })
    };
    of(["coordinator's listen", "executor's listen"], cluster.endpoints(), Speaks::Grpc)
        .chain(of(
            ["coordinator's engine_listen", "executor's engine_listen"],
            cluster.engine_endpoints(),
            Speaks::Grpc,
        ))
        .chain(of(["coordinator's http_listen", "executor's http_listen"], cluster.http_addresses(), Speaks::Http))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_port_stops_who_goes_beyond_its_limits() {
    let cluster = start().await;
    let ports = ports(&cluster);
    let tries = ports.iter().flat_map(|port| {
        let rows = TABLE.iter().filter(|(_, speaks)| speaks.contains(&port.speaks));
        rows.map(move |(abuse, _)| (port, *abuse))
    });
    let wrong = join_all(tries.map(async |(port, abuse)| {
        let stopped = tokio::time::timeout(LONGEST, is_stopped(port, abuse)).await;
        (!stopped.unwrap_or(false)).then_some((port.name, abuse))
    }));
    let wrong: Vec<_> = wrong.await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "not stopped: {wrong:?}");
    for port in &ports {
        assert_served(port).await;
        assert!(closes_one_too_many(port).await, "{port:?}");
        assert_served(port).await;
    }
}
