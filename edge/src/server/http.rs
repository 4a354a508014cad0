//! Serves HTTP/1.

use std::future::Future;
use std::time::Duration;

use axum::extract::connect_info::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::incoming::{Entered, Incoming};
use super::patient::{ReadInTime, body_in_time};
use super::socket::Socket;
use crate::identity::Peer;

/// Until a request's headers have come, also since the request before.
pub const HEADERS_WITHIN: Duration = Duration::from_secs(45);
/// Headers of one request.
pub const MAX_HEADERS: usize = 100;
/// What a connection buffers, bytes: the longest headers.
pub const BUFFER_BYTES: usize = 64 << 10;

/// What a client of HTTP/2 begins with, gRPC's among them.
const HTTP2_PREFACE: &[u8] = b"PRI ";
/// How long a client that speaks HTTP/2 may take to read why it is not answered.
const REFUSAL_WITHIN: Duration = Duration::from_secs(5);

/// The most that is read of it meanwhile.
const REFUSED_BYTES: u64 = 64 << 10;

/// What a port serves.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub routes: axum::Router,
    /// Until a request's headers have come.
    pub headers_within: Duration,
    /// Where gRPC is served: who asks for it here is told so.
    pub grpc: String,
}

/// Serves until `stop` resolves and requests that are under way have been answered. Connections end with what is returned.
pub(super) async fn serve(mut incoming: Incoming, served: Served, stop: impl Future<Output = ()> + Send) {
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            Entered { socket, peer, counted } = incoming.next() => {
                let connection = connection(socket, peer, served.clone(), stopped.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(counted);
                });
            }
            // Reaped as they end.
            Some(_) = connections.join_next() => {}
            () = &mut stop => break,
        }
    }
    drop((incoming, stopping));
    while connections.join_next().await.is_some() {}
}

async fn connection(mut socket: Socket, peer: Peer, served: Served, mut stopped: watch::Receiver<()>) {
    let Served { routes, headers_within, grpc } = served;
    let begun = tokio::select! {
        begun = tokio::time::timeout(headers_within, socket.begins_with(HTTP2_PREFACE)) => begun,
        _ = stopped.changed() => return,
    };
    match begun {
        Ok(Ok(false)) => {}
        Ok(Ok(true)) => {
            let _ = tokio::time::timeout(REFUSAL_WITHIN, refuse_http2(&mut socket, &grpc)).await;
            return;
        }
        // Silent for too long, or gone.
        Ok(Err(_)) | Err(_) => return,
    }
    // The guard of the port knows callers by their certificates too.
    let routes = match peer {
        Peer::Known(identity) => routes.layer(axum::Extension(identity)),
        Peer::Unasked | Peer::Anonymous | Peer::Refused(_) => routes,
    };
    let routes = routes.layer(axum::middleware::map_request(body_in_time));
    // Handlers are told where a request comes from.
    let routes = match socket.remote() {
        Some(peer) => routes.layer(axum::Extension(ConnectInfo(peer))),
        None => routes,
    };
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(headers_within);
    server.max_headers(MAX_HEADERS).max_buf_size(BUFFER_BYTES);
    let served = server.serve_connection(TokioIo::new(ReadInTime::new(socket)), TowerToHyperService::new(routes));
    let mut served = std::pin::pin!(served);
    tokio::select! {
        // Who breaks off is told nothing.
        _ = &mut served => return,
        _ = stopped.changed() => served.as_mut().graceful_shutdown(),
    }
    let _ = served.await;
}

/// Clients of gRPC show an answer of HTTP/1 to their users.
async fn refuse_http2(socket: &mut Socket, grpc: &str) -> std::io::Result<()> {
    let text = format!("this port speaks HTTP/1.1; gRPC and Flight are served at {grpc}\n");
    let head = "HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-type: text/plain\r\nconnection: close";
    socket.write_all(format!("{head}\r\ncontent-length: {}\r\n\r\n{text}", text.len()).as_bytes()).await?;
    socket.shutdown().await?;
    // What it has sent is read to the end: the system would take the answer back otherwise.
    tokio::io::copy(&mut socket.take(REFUSED_BYTES), &mut tokio::io::sink()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::oneshot;

    use super::super::accept::Acceptor;
    use super::*;

    fn of(routes: axum::Router, headers_within: Duration) -> Served {
        Served { routes, headers_within, grpc: "node-1:8815".to_owned() }
    }

    #[tokio::test]
    async fn requests_are_answered_and_long_headers_refused_and_it_stops() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = axum::Router::new().route("/", axum::routing::get(|| async { "here" }));
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { stopped.await.unwrap_or_default() };
        let served =
            tokio::spawn(serve(Incoming::Plain(Acceptor::new(listener, 8)), of(routes, HEADERS_WITHIN), stopped));
        let ask = async |request: String| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        };
        let answer = ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned()).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
        let many: String = (0..=MAX_HEADERS).map(|number| format!("h{number}: x\r\n")).collect();
        let answer = ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_owned();
        let answer = ask(preface).await;
        assert!(
            answer.starts_with("HTTP/1.1 505") && answer.contains("gRPC") && answer.contains("node-1:8815"),
            "{answer}"
        );
        // One that is open and silent does not hold the end up.
        let _silent = TcpStream::connect(address).await.unwrap();
        stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(20), served).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn who_does_not_finish_a_request_is_let_go() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (soon, never) = (Duration::from_millis(50), std::future::pending());
        tokio::spawn(serve(Incoming::Plain(Acceptor::new(listener, 8)), of(axum::Router::new(), soon), never));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHos").await.unwrap();
        let (mut answer, within) = (Vec::new(), HEADERS_WITHIN / 2);
        tokio::time::timeout(within, stream.read_to_end(&mut answer)).await.expect("it ends").unwrap();
    }
}
