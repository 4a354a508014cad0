//! Clients of HTTP/1 that send or read slowly: how long one request or answer may stand still.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Until the body of a request has come, once its headers have.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// How long a client may read nothing of an answer.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// The request with a body that has to come in time.
pub(super) async fn body_in_time(request: Request) -> Request {
    request.map(|body| body_within(body, BODY_WITHIN))
}

fn body_within(body: Body, within: Duration) -> Body {
    Body::new(TimedBody { body, timer: Box::pin(sleep(within)) })
}

struct TimedBody {
    body: Body,
    timer: Pin<Box<Sleep>>,
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
            Poll::Pending if this.timer.as_mut().poll(cx).is_ready() => {
                Poll::Ready(Some(Err(late("the body of the request did not come in time").into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that ends when its peer reads nothing.
#[derive(Debug)]
pub(super) struct ReadInTime<S> {
    stream: S,
    within: Duration,
    waits: Option<Pin<Box<Sleep>>>,
}

impl<S> ReadInTime<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, within: READ_WITHIN, waits: None }
    }

    /// Passes on what `polled` says, until nothing has gone for too long.
    fn in_time<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waits = None;
            return polled;
        }
        let within = self.within;
        let waits = self.waits.get_or_insert_with(|| Box::pin(sleep(within)));
        match waits.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(late("the client does not read"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn late(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadInTime<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadInTime<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.in_time(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        self.in_time(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.in_time(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.in_time(polled, cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn who_reads_nothing_is_let_go() {
        let (mut client, server) = duplex(8);
        let mut server = ReadInTime::new(server);
        let reader = tokio::spawn(async move {
            client.read_exact(&mut [0; 800]).await.unwrap();
            client
        });
        server.write_all(&[7; 800]).await.unwrap();
        let _client = reader.await.unwrap();
        server.within = SHORT;
        assert_eq!(server.write_all(&[7; 9]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_body_that_stops_is_an_error() {
        let half = futures::stream::once(async { Ok::<_, io::Error>(Bytes::from_static(b"half")) });
        let endless = Body::from_stream(half.chain(futures::stream::pending()));
        assert!(axum::body::to_bytes(body_within(endless, SHORT), 1024).await.is_err());
        let whole = body_in_time(Request::new(Body::from("whole"))).await.into_body();
        assert_eq!(axum::body::to_bytes(whole, 1024).await.unwrap(), "whole");
    }
}
