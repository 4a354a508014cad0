//! Batches as Flight messages, without dictionaries.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_flight::utils::flight_data_to_arrow_batch;
use arrow_flight::{FlightData, SchemaAsIpc};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use arrow_schema::{ArrowError, Schema, SchemaRef};

use crate::error::Error;
use crate::flight::bare_header;

fn broken(error: ArrowError) -> Error {
    Error::internal(format!("an answer can't be read or written: {error}"))
}

pub(super) fn schema_message(schema: &Schema) -> FlightData {
    let options = IpcWriteOptions::default();
    SchemaAsIpc::new(schema, &options).into()
}

pub(super) fn encode(batch: &RecordBatch) -> Result<FlightData, Error> {
    let mut dictionaries = DictionaryTracker::new(false);
    let options = IpcWriteOptions::default();
    let encoded = IpcDataGenerator::default().encode(batch, &mut dictionaries, &options, &mut Default::default());
    Ok(FlightData::from(encoded.map_err(broken)?.1))
}

pub(super) fn decode(data: FlightData, schema: &SchemaRef) -> Result<RecordBatch, Error> {
    let data = FlightData { data_header: bare_header(&data.data_header), ..data };
    flight_data_to_arrow_batch(&data, SchemaRef::clone(schema), &HashMap::new()).map_err(broken)
}
