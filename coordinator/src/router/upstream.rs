//! One client stream's exchange with one executor.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use arrow_flight::FlightData;
use arrow_flight::flight_service_client::FlightServiceClient;
use futures::{FutureExt as _, Stream, StreamExt as _, TryFutureExt as _};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Response, Status};
use udfleet_proto::flight::exchange_descriptor;
use udfleet_proto::limits::MAX_FRAME_BYTES;
use udfleet_proto::v1::{BatchHeader, ExchangeRequest};

use super::gate::{Gate, Gated};
use crate::routes::{Endpoint, InFlight};
use udfleet_edge::auth::SendToken;

/// What comes back: a message, an error, or `None` at the end; with the number of the upstream.
pub(super) type Answers = Pin<Box<dyn Stream<Item = (usize, Option<Result<FlightData, Status>>)> + Send>>;

struct Sent {
    /// Its number on this exchange: they count up from 0 on each.
    number: u64,
    sequence: u64,
    at: Instant,
    _in_flight: InFlight,
}

/// The sending half. Dropping it ends the exchange.
pub(super) struct Upstream {
    pub endpoint: Arc<Endpoint>,
    /// Unbounded, yet it never holds more than the batches of this exchange's window.
    sender: Option<mpsc::UnboundedSender<FlightData>>,
    sent: VecDeque<Sent>,
    next: u64,
    /// Dictionaries below this index have been sent.
    pub dictionaries: Option<u64>,
    pub gate: Arc<Gate>,
}

/// Opens an exchange; nothing goes out until the answers are polled.
pub(super) fn open(
    id: usize,
    endpoint: &Arc<Endpoint>,
    token: SendToken,
    request: &ExchangeRequest,
    schema: &FlightData,
) -> (Upstream, Answers) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let first = FlightData { flight_descriptor: Some(exchange_descriptor(request)), ..schema.clone() };
    // The receiver is right here.
    let _ = sender.send(first);
    let mut client = FlightServiceClient::with_interceptor(endpoint.channel(), token)
        .max_decoding_message_size(MAX_FRAME_BYTES + (1 << 20))
        .max_encoding_message_size(MAX_FRAME_BYTES + (1 << 20));
    let exchange =
        async move { client.do_exchange(UnboundedReceiverStream::new(receiver)).await.map(Response::into_inner) };
    let gate = Arc::new(Gate::default());
    let answers = Box::pin(Gated { gate: Arc::clone(&gate), answers: exchange.into_stream_of_answers(id, endpoint) });
    let upstream = Upstream {
        endpoint: Arc::clone(endpoint),
        sender: Some(sender),
        sent: VecDeque::new(),
        next: 0,
        dictionaries: None,
        gate,
    };
    (upstream, answers)
}

trait IntoAnswers {
    fn into_stream_of_answers(self, id: usize, endpoint: &Endpoint) -> Answers;
}

impl<F> IntoAnswers for F
where
    F: Future<Output = Result<tonic::Streaming<FlightData>, Status>> + Send + 'static,
{
    fn into_stream_of_answers(self, id: usize, endpoint: &Endpoint) -> Answers {
        let messages =
            self.boxed().try_flatten_stream().take_until(endpoint.lost()).map(move |message| (id, Some(message)));
        Box::pin(messages.chain(futures::stream::once(std::future::ready((id, None)))))
    }
}

impl Upstream {
    /// Batches of this stream that the executor has not answered.
    pub fn in_flight(&self) -> usize {
        self.sent.len()
    }

    /// Sends a message that is no batch.
    pub fn forward(&self, message: FlightData) {
        if let Some(sender) = &self.sender {
            // A closed exchange shows when its answers are read.
            let _ = sender.send(message);
        }
    }

    /// Sends a batch.
    pub fn send(&mut self, sequence: u64, attempt: u32, message: FlightData, now: Instant) {
        let header = BatchHeader { sequence: self.next, attempt };
        self.forward(FlightData { app_metadata: header.encode_to_vec().into(), ..message });
        self.sent.push_back(Sent { number: self.next, sequence, at: now, _in_flight: self.endpoint.begin() });
        self.next += 1;
    }

    /// The end of the input, which is answered as a batch is.
    pub fn send_end(&mut self, sequence: u64, now: Instant) {
        self.sent.push_back(Sent { number: self.next, sequence, at: now, _in_flight: self.endpoint.begin() });
        self.next += 1;
        self.close();
    }

    /// True where answers to this batch would not wait for those of later ones.
    pub fn in_order(&self, sequence: u64) -> bool {
        self.sent.back().is_none_or(|sent| sent.sequence < sequence)
    }

    /// The batch that is answered next.
    pub fn oldest(&self) -> Option<u64> {
        self.sent.front().map(|sent| sent.sequence)
    }

    /// The stream's number of the batch that the executor answers as `number`.
    pub fn sequence(&self, number: u64) -> Option<u64> {
        self.sent.iter().find(|sent| sent.number == number).map(|sent| sent.sequence)
    }

    /// The batch has been answered.
    pub fn answered(&mut self, number: u64) {
        self.sent.retain(|sent| sent.number != number);
    }

    /// What is still unanswered, oldest first.
    pub fn unanswered(&self) -> Vec<u64> {
        self.sent.iter().map(|sent| sent.sequence).collect()
    }

    /// Since when the executor has had the oldest of these.
    pub fn busy_since(&self) -> Option<Instant> {
        self.sent.front().map(|sent| sent.at)
    }

    /// No more batches will come.
    pub fn close(&mut self) {
        self.sender = None;
    }

    pub fn is_closed(&self) -> bool {
        self.sender.is_none()
    }
}
