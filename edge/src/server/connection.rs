//! A connection that ends when its peer says nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};
use tonic::transport::server::Connected;

use crate::engine::Connection;

/// With what an HTTP/2 client begins, bytes.
const PREFACE: usize = 24;

/// How long peers may be silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Until they have said what an HTTP/2 client begins with.
    pub handshake: Duration,
    /// Without a call.
    pub idle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { handshake: Duration::from_secs(10), idle: Duration::from_secs(30 * 60) }
    }
}

/// An accepted connection that tells its calls who they came with.
#[derive(Debug)]
pub(crate) struct Accepted<S> {
    stream: S,
    connection: Connection,
    patience: Patience,
    /// Bytes of the handshake that have come.
    greeted: usize,
    /// Ends the handshake, then the first period without a call.
    timer: Pin<Box<Sleep>>,
    /// Calls that had begun when the period without a call did.
    calls: usize,
    _counted: Option<OwnedSemaphorePermit>,
}

impl<S> Accepted<S> {
    /// `connection`: what calls are told of it. `counted`: what it takes of its port's connections.
    pub fn new(stream: S, connection: Connection, patience: Patience, counted: Option<OwnedSemaphorePermit>) -> Self {
        let timer = Box::pin(sleep(patience.handshake));
        Self { stream, connection, patience, greeted: 0, timer, calls: 0, _counted: counted }
    }

    fn note(&mut self, bytes: usize) {
        if self.greeted < PREFACE {
            self.greeted += bytes;
            if self.greeted >= PREFACE {
                self.timer.as_mut().reset(Instant::now() + self.patience.idle);
            }
        }
    }

    /// Nothing has come. Ready where that has lasted too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.greeted < PREFACE {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer did not begin HTTP/2")));
            }
            // As if the peer had closed it.
            if self.connection.calls_while_idle() == Some(self.calls) {
                return Poll::Ready(Ok(()));
            }
            self.calls = self.connection.calls_while_idle().unwrap_or(self.calls);
            self.timer.as_mut().reset(Instant::now() + self.patience.idle);
        }
        Poll::Pending
    }
}

impl<S> Connected for Accepted<S> {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        self.connection.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Accepted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        match polled {
            Poll::Ready(Ok(())) => self.note(buf.filled().len() - before),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => return self.poll_silence(cx),
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Accepted<S> {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(100);

    #[tokio::test]
    async fn who_says_nothing_or_too_little_is_let_go() {
        for greeting in [0, PREFACE - 1] {
            let (mut client, server) = duplex(1024);
            let mut accepted =
                Accepted::new(server, Connection::new(true), Patience { handshake: SHORT, idle: LONG }, None);
            client.write_all(&vec![b'P'; greeting]).await.unwrap();
            let read = tokio::time::timeout(LONG, accepted.read_to_end(&mut Vec::new())).await.unwrap();
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
    }

    #[tokio::test]
    async fn without_calls_it_ends_and_with_one_it_stays() {
        let (mut client, server) = duplex(1024);
        let patience = Patience { handshake: LONG, idle: SHORT };
        let mut accepted = Accepted::new(server, Connection::new(true), patience, None);
        client.write_all(&[b'P'; PREFACE]).await.unwrap();
        accepted.read_exact(&mut [0; PREFACE]).await.unwrap();
        let call = accepted.connection.begin();
        assert!(tokio::time::timeout(SHORT * 5, accepted.read_u8()).await.is_err(), "a call is under way");
        drop(call);
        let read = tokio::time::timeout(LONG, accepted.read(&mut [0])).await;
        assert_eq!(read.expect("it ends").unwrap(), 0);
    }
}
