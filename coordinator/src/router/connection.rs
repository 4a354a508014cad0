//! The socket side of an exchange with one executor.

use std::pin::Pin;
use std::sync::Arc;

use arrow_flight::FlightData;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::{FutureExt as _, Stream, StreamExt as _, TryFutureExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Response, Status};
use udfleet_edge::auth::SendToken;
use udfleet_proto::flight::exchange_descriptor;
use udfleet_proto::limits::MAX_FRAME_BYTES;
use udfleet_proto::v1::ExchangeRequest;

use super::gate::{Gate, Gated};
use crate::routes::Endpoint;

/// What comes back: a message, an error, or `None` at the end; with the number of the upstream.
pub(super) type UpstreamMessages = Pin<Box<dyn Stream<Item = (usize, Option<Result<FlightData, Status>>)> + Send>>;

/// The sending half. Dropping it ends the exchange.
pub(super) struct UpstreamConnection {
    pub endpoint: Arc<Endpoint>,
    /// Unbounded, yet it never holds more than the batches of this exchange's window.
    sender: Option<mpsc::UnboundedSender<FlightData>>,
    gate: Arc<Gate>,
}

/// Opens an exchange; nothing goes out until the messages are polled.
pub(super) fn open(
    id: usize,
    endpoint: &Arc<Endpoint>,
    token: SendToken,
    request: &ExchangeRequest,
    schema: FlightData,
) -> (UpstreamConnection, UpstreamMessages) {
    let (sender, receiver) = mpsc::unbounded_channel();
    // The receiver is right here.
    let _ = sender.send(FlightData { flight_descriptor: Some(exchange_descriptor(request)), ..schema });
    let mut client = FlightServiceClient::with_interceptor(endpoint.channel(), token)
        .max_decoding_message_size(MAX_FRAME_BYTES + (1 << 20))
        .max_encoding_message_size(MAX_FRAME_BYTES + (1 << 20));
    let exchange =
        async move { client.do_exchange(UnboundedReceiverStream::new(receiver)).await.map(Response::into_inner) };
    let messages = exchange.boxed().try_flatten_stream().take_until(endpoint.lost());
    let messages = messages.map(move |message| (id, Some(message)));
    let messages = Box::pin(messages.chain(futures::stream::once(std::future::ready((id, None)))));
    let gate = Arc::new(Gate::default());
    let connection =
        UpstreamConnection { endpoint: Arc::clone(endpoint), sender: Some(sender), gate: Arc::clone(&gate) };
    (connection, Box::pin(Gated { gate, answers: messages }))
}

impl UpstreamConnection {
    /// Sends a message.
    pub fn send(&self, message: FlightData) {
        if let Some(sender) = &self.sender {
            // A closed exchange shows when its answers are read.
            let _ = sender.send(message);
        }
    }

    /// No more messages will go out.
    pub fn end_input(&mut self) {
        self.sender = None;
    }

    /// Cancels the exchange: nothing more comes of it.
    pub fn abandon(self) {
        self.gate.cut();
    }

    /// Whether its messages are read.
    pub fn set_reading(&self, on: bool) {
        self.gate.set(on);
    }
}
