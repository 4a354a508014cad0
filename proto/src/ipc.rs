//! Schemas and batches without dictionaries as Flight messages: the header of an IPC message, and the body beside it.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_flight::{FlightData, SchemaAsIpc};
use arrow_ipc::reader::read_record_batch;
use arrow_ipc::root_as_message;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use bytes::Bytes;

use crate::flight::bare_header;

/// The schema.
#[must_use]
pub fn schema_message(schema: &Schema) -> FlightData {
    SchemaAsIpc::new(schema, &IpcWriteOptions::default()).into()
}

/// The batch; its rows are copied.
///
/// # Errors
/// When Arrow can't encode it.
pub fn encode(batch: &RecordBatch) -> Result<FlightData, ArrowError> {
    let mut dictionaries = DictionaryTracker::new(false);
    let options = IpcWriteOptions::default();
    let encoded = IpcDataGenerator::default().encode(batch, &mut dictionaries, &options, &mut Default::default());
    Ok(FlightData::from(encoded?.1))
}

/// The batch that a message holds; its columns point into the body.
///
/// # Errors
/// When it is no batch of this schema. A body from outside may also make the Arrow reader panic.
pub fn decode(schema: &SchemaRef, header: &Bytes, body: Bytes) -> Result<RecordBatch, ArrowError> {
    let header = bare_header(header);
    let message = root_as_message(&header).map_err(|e| ArrowError::IpcError(e.to_string()))?;
    let batch = message.header_as_record_batch();
    let batch = batch.ok_or_else(|| ArrowError::IpcError("the message is no record batch".to_owned()))?;
    let none = HashMap::new();
    read_record_batch(&Buffer::from(body), batch, SchemaRef::clone(schema), &none, None, &message.version())
}
