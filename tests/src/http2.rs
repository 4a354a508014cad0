//! HTTP/2 as badly behaved clients speak it: calls that stop in the middle, resets, silence.

use std::future::poll_fn;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use tokio::net::TcpStream;
use tonic::codegen::http::{HeaderMap, Request};

const DO_EXCHANGE: &str = "/arrow.flight.protocol.FlightService/DoExchange";

/// One connection.
pub struct Http2 {
    requests: SendRequest<Bytes>,
}

/// A call that has begun.
pub struct RawCall {
    /// The response.
    pub response: ResponseFuture,
    body: SendStream<Bytes>,
}

impl Http2 {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("a listener");
        let (requests, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        Self { requests }
    }

    /// Begins a DoExchange.
    ///
    /// # Errors
    /// When the connection has ended.
    ///
    /// # Panics
    /// Never.
    pub async fn exchange(&mut self) -> Result<RawCall, h2::Error> {
        self.begin(DO_EXCHANGE, "").await
    }

    /// Begins a call with a header of this value.
    ///
    /// # Errors
    /// When the connection has ended.
    ///
    /// # Panics
    /// For a path or a value that is none.
    pub async fn begin(&mut self, path: &str, value: &str) -> Result<RawCall, h2::Error> {
        let request = Request::post(format!("http://udfleet{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("x-value", value)
            .body(())
            .expect("a request");
        poll_fn(|cx| self.requests.poll_ready(cx)).await?;
        let (response, body) = self.requests.send_request(request, false)?;
        Ok(RawCall { response, body })
    }
}

impl RawCall {
    /// Sends as the window permits.
    ///
    /// # Errors
    /// When the stream or the connection has ended.
    pub async fn send(&mut self, mut data: Bytes) -> Result<(), h2::Error> {
        while !data.is_empty() {
            self.body.reserve_capacity(data.len());
            let Some(room) = poll_fn(|cx| self.body.poll_capacity(cx)).await else {
                return Err(Reason::STREAM_CLOSED.into());
            };
            self.body.send_data(data.split_to(room?.min(data.len())), false)?;
        }
        Ok(())
    }

    /// Resets the stream.
    pub fn reset(&mut self) {
        self.body.send_reset(Reason::CANCEL);
    }

    /// How the call has ended: the headers that hold its status.
    ///
    /// # Errors
    /// When the stream was reset, or the connection has ended.
    pub async fn status(self) -> Result<HeaderMap, h2::Error> {
        let response = self.response.await?;
        if response.headers().contains_key("grpc-status") {
            return Ok(response.headers().clone());
        }
        let mut body = response.into_body();
        while let Some(data) = body.data().await {
            let length = data?.len();
            body.flow_control().release_capacity(length)?;
        }
        Ok(body.trailers().await?.unwrap_or_default())
    }
}

/// The beginning of a Flight message of `length` bytes, with its first bytes.
#[must_use]
pub fn half_message(length: u32) -> Bytes {
    let mut bytes = vec![0];
    bytes.extend(length.to_be_bytes());
    // Field 1000, data_body, as long as the rest.
    bytes.extend([0xc2, 0x3e]);
    let mut rest = u64::from(length) - 16;
    while rest > 0x7f {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes.into()
}
