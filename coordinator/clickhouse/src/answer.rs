//! Decodes messages of an exchange.

use arrow_flight::FlightData;
use arrow_ipc::{MessageHeader, root_as_message};
use bytes::Bytes;
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::flight::bare_header;
use udfleet_proto::v1::BatchResult;

/// A message of an exchange.
#[derive(Debug)]
pub enum AnswerMessage {
    /// The result's columns: comes first.
    Schema(Bytes),
    /// Results.
    Batch {
        /// Its flatbuffer.
        header: Bytes,
        /// Its buffers.
        body: Bytes,
        /// How many.
        rows: u64,
        /// Nothing more comes for the batch that it answers.
        last: bool,
    },
}

/// Reads a message.
///
/// # Errors
/// What failed at the fleet, as it says; `INTERNAL` for what no exchange gives.
pub fn read(data: FlightData) -> Result<AnswerMessage, Error> {
    let unreadable = |e: &dyn std::fmt::Display| Error::internal(format!("the fleet's answer can't be read: {e}"));
    let result = BatchResult::decode(data.app_metadata).map_err(|e| unreadable(&e))?;
    if let Some(error) = result.error {
        return Err(error.into());
    }
    let header = bare_header(&data.data_header);
    let message = root_as_message(&header).map_err(|e| unreadable(&e))?;
    match (message.header_type(), message.header_as_record_batch()) {
        (MessageHeader::Schema, _) => Ok(AnswerMessage::Schema(header)),
        (MessageHeader::RecordBatch, Some(batch)) => {
            let rows = u64::try_from(batch.length()).map_err(|e| unreadable(&e))?;
            Ok(AnswerMessage::Batch { header, body: data.data_body, rows, last: result.last })
        }
        (other, _) => Err(unreadable(&format_args!("unexpected message {other:?}"))),
    }
}
