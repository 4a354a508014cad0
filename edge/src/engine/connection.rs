//! State of a TCP connection, shared by its calls.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::{Stream, TryStreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::Request;
use tonic::transport::server::Connected;

#[derive(Debug, Default)]
struct ConnectionState {
    /// The peer has asked for the version of the arrow-udf protocol.
    asked: AtomicBool,
    open: bool,
}

/// A connection, as handlers of its calls see it.
#[derive(Debug, Clone, Default)]
pub struct Connection(Arc<ConnectionState>);

impl Connection {
    /// A connection to a listener; `open` to one that asks for no token.
    #[must_use]
    pub fn new(open: bool) -> Self {
        Self(Arc::new(ConnectionState { open, ..ConnectionState::default() }))
    }

    /// The one that a call came on; a fresh one where the server was not given [`accepted`] connections.
    #[must_use]
    pub fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }

    /// True where the listener asks for no token: only engines' part of Flight is served there.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.open
    }

    /// The peer has asked for the protocol version, as arrow-udf's clients do when they connect.
    pub fn asked_for_version(&self) {
        self.0.asked.store(true, Ordering::Relaxed);
    }

    /// True once it has.
    #[must_use]
    pub fn has_asked_for_version(&self) -> bool {
        self.0.asked.load(Ordering::Relaxed)
    }
}

/// An accepted connection that tells its calls who they came with.
#[derive(Debug)]
pub struct Accepted {
    stream: TcpStream,
    connection: Connection,
}

/// Connections of a listener.
pub fn accepted(
    incoming: impl Stream<Item = io::Result<TcpStream>>,
    open: bool,
) -> impl Stream<Item = io::Result<Accepted>> {
    incoming.map_ok(move |stream| Accepted { stream, connection: Connection::new(open) })
}

impl Connected for Accepted {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        self.connection.clone()
    }
}

impl AsyncRead for Accepted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
