//! Flight clients: numbered (CMD) and plain (PATH).

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{DictionaryArray, Int64Array, RecordBatch};
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{FlightData, FlightDescriptor};
use arrow_schema::{DataType, Field, Schema};
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use udfleet_proto::flight::exchange_descriptor;
use udfleet_proto::v1::{BatchHeader, BatchResult, ExchangeRequest, Plan};

use super::support::{Coordinator, within};

pub fn path(name: &str) -> FlightDescriptor {
    FlightDescriptor::new_path(vec![name.to_owned()])
}

pub fn command(name: &str) -> FlightDescriptor {
    let (function, job) = (name.to_owned(), "j".to_owned());
    exchange_descriptor(&ExchangeRequest { function, job, ..ExchangeRequest::default() })
}

pub fn ask(plan: Plan) -> FlightDescriptor {
    exchange_descriptor(&ExchangeRequest { plan: Some(plan), ..ExchangeRequest::default() })
}

pub fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]))
}

pub fn batch(values: std::ops::Range<i64>) -> RecordBatch {
    RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from_iter_values(values))]).unwrap()
}

/// Schema and batches as messages, without descriptor.
pub async fn encode(schema: Arc<Schema>, batches: Vec<RecordBatch>) -> Vec<FlightData> {
    let stream = futures::stream::iter(batches.into_iter().map(Ok));
    let encoder = FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_dictionary_handling(DictionaryHandling::Resend)
        .with_max_flight_data_size(usize::MAX);
    encoder.build(stream).try_collect().await.unwrap()
}

pub fn dictionary_batch(value: &str) -> RecordBatch {
    let array: DictionaryArray<Int32Type> = vec![value, "other"].into_iter().collect();
    let field = Field::new("d", array_type(), true);
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(array)]).unwrap()
}

fn array_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// An open stream. Dropping the sender half-closes; dropping all of it vanishes.
pub struct Stream {
    pub send: Option<mpsc::UnboundedSender<FlightData>>,
    pub answers: Streaming<FlightData>,
}

pub async fn open(coordinator: &Coordinator, descriptor: FlightDescriptor) -> Result<Stream, Status> {
    open_on(coordinator.channel().await, descriptor).await
}

pub async fn open_on(channel: Channel, descriptor: FlightDescriptor) -> Result<Stream, Status> {
    let (send, receive) = mpsc::unbounded_channel();
    send.send(FlightData::new().with_descriptor(descriptor)).unwrap();
    let mut client =
        FlightServiceClient::new(channel).max_decoding_message_size(1 << 28).max_encoding_message_size(1 << 28);
    let answers = within(client.do_exchange(UnboundedReceiverStream::new(receive))).await?.into_inner();
    Ok(Stream { send: Some(send), answers })
}

impl Stream {
    pub fn send(&self, message: FlightData) {
        self.send.as_ref().unwrap().send(message).unwrap();
    }

    /// Sends numbered batches after the schema.
    pub fn send_all(&self, messages: Vec<FlightData>) {
        let mut sequence = 0;
        for mut message in messages {
            if !message.data_body.is_empty() {
                message.app_metadata = BatchHeader { sequence, attempt: 0 }.encode_to_vec().into();
                sequence += 1;
            }
            self.send(message);
        }
    }

    pub fn half_close(&mut self) {
        self.send = None;
    }

    pub async fn next(&mut self) -> Option<Result<FlightData, Status>> {
        within(self.answers.next()).await
    }

    /// All messages after the schema.
    pub async fn rest(&mut self) -> Result<Vec<FlightData>, Status> {
        let mut all = Vec::new();
        while let Some(message) = self.next().await {
            all.push(message?);
        }
        Ok(all)
    }
}

pub fn result_of(message: &FlightData) -> BatchResult {
    BatchResult::decode(message.app_metadata.clone()).unwrap()
}

/// The first value of each answered batch.
pub fn firsts(answers: &[FlightData]) -> Vec<i64> {
    let decode = |message: &FlightData| {
        let batch = arrow_flight::utils::flight_data_to_arrow_batch(message, schema(), &Default::default()).unwrap();
        batch.column(0).as_primitive::<Int64Type>().value(0)
    };
    answers.iter().map(decode).collect()
}
