//! Batches as Flight messages, encoded by hand: nothing is split, hydrated or left out.

use arrow_array::RecordBatch;
use arrow_flight::{FlightData, FlightDescriptor};
use arrow_ipc::writer::{DictionaryHandling, DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteOptions};
use arrow_schema::Schema;
use prost::Message as _;
use udfleet_proto::flight::exchange_descriptor;
use udfleet_proto::v1::{BatchHeader, BatchResult, ExchangeRequest};

/// PATH `[name]`.
#[must_use]
pub fn path(name: &str) -> FlightDescriptor {
    FlightDescriptor::new_path(vec![name.to_owned()])
}

/// CMD with an ExchangeRequest.
#[must_use]
pub fn command(name: &str) -> FlightDescriptor {
    request(ExchangeRequest { function: name.to_owned(), ..ExchangeRequest::default() })
}

/// CMD with this ExchangeRequest.
#[must_use]
pub fn request(request: ExchangeRequest) -> FlightDescriptor {
    exchange_descriptor(&ExchangeRequest { job: "tests".to_owned(), ..request })
}

/// What a message under a CMD descriptor says.
///
/// # Panics
/// When it says nothing.
#[must_use]
pub fn result_of(message: &FlightData) -> BatchResult {
    BatchResult::decode(message.app_metadata.clone()).expect("a BatchResult")
}

/// Both forms for one function, with their names.
#[must_use]
pub fn descriptors(name: &str) -> [(&'static str, FlightDescriptor); 2] {
    [("PATH", path(name)), ("CMD", command(name))]
}

/// Encodes one stream's messages.
pub struct Encoder {
    tracker: DictionaryTracker,
    options: IpcWriteOptions,
    sequence: u64,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new(IpcWriteOptions::default())
    }
}

fn message(encoded: EncodedData) -> FlightData {
    FlightData::new().with_data_header(encoded.ipc_message).with_data_body(encoded.arrow_data)
}

impl Encoder {
    /// With these options.
    #[must_use]
    pub fn new(options: IpcWriteOptions) -> Self {
        Self { tracker: DictionaryTracker::new(false), options, sequence: 0 }
    }

    /// Sends only what is new in a dictionary.
    #[must_use]
    pub fn with_deltas() -> Self {
        Self::new(IpcWriteOptions::default().with_dictionary_handling(DictionaryHandling::Delta))
    }

    /// The schema message.
    pub fn schema(&mut self, schema: &Schema) -> FlightData {
        let generator = IpcDataGenerator::default();
        message(generator.schema_to_bytes_with_dictionary_tracker(schema, &mut self.tracker, &self.options))
    }

    /// A batch, with its dictionaries in front; the batch carries a BatchHeader.
    ///
    /// # Panics
    /// When arrow-rs can't encode it.
    pub fn batch(&mut self, batch: &RecordBatch) -> Vec<FlightData> {
        let generator = IpcDataGenerator::default();
        let encoded = generator.encode(batch, &mut self.tracker, &self.options, &mut Default::default());
        let (dictionaries, batch) = encoded.expect("an encoded batch");
        let header = BatchHeader { sequence: self.sequence, attempt: 1 };
        self.sequence += 1;
        let mut messages: Vec<_> = dictionaries.into_iter().map(message).collect();
        messages.push(message(batch).with_app_metadata(header.encode_to_vec()));
        messages
    }

    /// Schema and batches.
    pub fn all(&mut self, batches: &[RecordBatch]) -> Vec<FlightData> {
        let first = batches.first().expect("a batch");
        let mut messages = vec![self.schema(&first.schema())];
        messages.extend(batches.iter().flat_map(|batch| self.batch(batch)));
        messages
    }
}
