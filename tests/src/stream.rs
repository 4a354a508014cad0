//! One DoExchange, message by message.

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Status, Streaming};
use udfleet_proto::error::Error;
use udfleet_proto::limits::{MAX_FRAME_BYTES, STREAM_WINDOW_BYTES};
use udfleet_proto::v1::{BatchResult, ErrorInfo};

use crate::control::{Authorized, Token};
use crate::messages::Encoder;
use crate::wait::within;

/// A Flight client that does not stand in the way of tests of limits.
///
/// # Panics
/// When nobody listens.
pub async fn flight(address: &str, token: Option<&str>) -> FlightServiceClient<Authorized> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let endpoint = endpoint
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(STREAM_WINDOW_BYTES * 4);
    let channel = endpoint.connect().await.expect("a connection");
    FlightServiceClient::with_interceptor(channel, Token::new(token))
        .max_decoding_message_size(2 * MAX_FRAME_BYTES)
        .max_encoding_message_size(2 * MAX_FRAME_BYTES)
}

/// An open stream. Dropping all of it, a sender that was taken included, cancels the call: hyper sends no reset while
/// one half is alive.
pub struct Stream {
    sender: Option<mpsc::Sender<FlightData>>,
    /// What comes back.
    pub answers: Streaming<FlightData>,
}

impl Stream {
    /// Opens with a message that holds nothing but the descriptor.
    ///
    /// # Errors
    /// When the server refuses the call.
    pub async fn open(address: &str, descriptor: FlightDescriptor) -> Result<Self, Status> {
        Self::open_with(address, None, vec![FlightData::new().with_descriptor(descriptor)]).await
    }

    /// Opens with these messages already sent.
    ///
    /// # Errors
    /// When the server refuses the call.
    pub async fn open_with(address: &str, token: Option<&str>, first: Vec<FlightData>) -> Result<Self, Status> {
        let mut client = flight(address, token).await;
        let (sender, messages) = mpsc::channel(first.len() + 1);
        for message in first {
            sender.send(message).await.expect("an open stream");
        }
        let call = client.do_exchange(ReceiverStream::new(messages));
        let answers = within("response headers", call).await?.into_inner();
        Ok(Self { sender: Some(sender), answers })
    }

    /// Sends a message, once there is room for it; false where the stream has ended.
    pub async fn send(&self, message: FlightData) -> bool {
        let Some(sender) = &self.sender else { return false };
        within("room for a message", sender.send(message)).await.is_ok()
    }

    /// Sends several.
    ///
    /// # Panics
    /// When the stream has ended.
    pub async fn send_all(&self, messages: impl IntoIterator<Item = FlightData>) {
        for message in messages {
            assert!(self.send(message).await, "the stream ended early");
        }
    }

    /// The sending half, to be used elsewhere. Dropping it half-closes.
    ///
    /// # Panics
    /// When it has been taken.
    pub fn take_sender(&mut self) -> mpsc::Sender<FlightData> {
        self.sender.take().expect("an open stream")
    }

    /// Says that nothing more will come.
    pub fn half_close(&mut self) {
        self.sender = None;
    }

    /// The next message.
    ///
    /// # Errors
    /// The status that ended the stream.
    pub async fn next(&mut self) -> Result<Option<FlightData>, Status> {
        within("an answer", self.answers.message()).await
    }

    /// Everything until the end: the schema message, then results.
    ///
    /// # Errors
    /// The status that ended the stream.
    pub async fn rest(&mut self) -> Result<Vec<FlightData>, Status> {
        let mut all = Vec::new();
        while let Some(message) = self.next().await? {
            all.push(message);
        }
        Ok(all)
    }
}

/// One whole call: these messages in, half-close, results out without their schema message.
///
/// # Errors
/// The typed error, however it came.
///
/// # Panics
/// When an error is not typed, or no schema comes first.
pub async fn exchange(
    address: &str,
    descriptor: FlightDescriptor,
    messages: Vec<FlightData>,
) -> Result<Vec<FlightData>, Error> {
    let first = vec![FlightData::new().with_descriptor(descriptor)];
    let mut stream = Stream::open_with(address, None, first).await.map_err(|status| typed(&status))?;
    let sender = stream.take_sender();
    // Beside the reading: a server that takes no more must not stop this client from hearing why.
    let writing = tokio::spawn(async move {
        for message in messages {
            if sender.send(message).await.is_err() {
                return;
            }
        }
    });
    let answers = stream.rest().await.map_err(|status| typed(&status))?;
    writing.await.expect("the writer");
    let (schema, results) = answers.split_first().expect("a schema message");
    assert!(!schema.data_header.is_empty() && schema.data_body.is_empty(), "the schema comes first");
    match results.iter().find_map(in_band) {
        Some(error) => Err(error),
        None => Ok(results.to_vec()),
    }
}

/// Batches through a function.
///
/// # Errors
/// The typed error, however it came.
pub async fn call(
    address: &str,
    descriptor: FlightDescriptor,
    batches: &[arrow_array::RecordBatch],
) -> Result<Vec<FlightData>, Error> {
    exchange(address, descriptor, Encoder::default().all(batches)).await
}

/// The error that a message carries under a CMD descriptor.
#[must_use]
pub fn in_band(message: &FlightData) -> Option<Error> {
    BatchResult::decode(message.app_metadata.clone()).ok()?.error.map(Error::from)
}

/// The typed error of a status.
///
/// # Panics
/// When it has none.
#[must_use]
pub fn typed(status: &Status) -> Error {
    let info = ErrorInfo::decode(status.details()).unwrap_or_default();
    assert!(info.code != 0, "an untyped error: {status:?}");
    Error::from(status)
}
