//! Arrow messages, made once.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{DictionaryArray, Int64Array, RecordBatch};
use arrow_flight::FlightData;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use arrow_schema::{DataType, Field, Schema};

/// Of a stream with dictionaries, or without.
pub(super) struct Messages {
    pub(super) schema: FlightData,
    pub(super) dictionary: FlightData,
    pub(super) batch: FlightData,
}

impl Messages {
    pub(super) fn new(dictionaries: bool) -> Self {
        let batch = if dictionaries {
            let column: DictionaryArray<Int32Type> = vec!["a", "b"].into_iter().collect();
            let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let schema = Schema::new(vec![Field::new("d", kind, true)]);
            RecordBatch::try_new(Arc::new(schema), vec![Arc::new(column)]).unwrap()
        } else {
            RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as _)]).unwrap()
        };
        let (mut tracker, options) = (DictionaryTracker::new(false), IpcWriteOptions::default());
        let generator = IpcDataGenerator::default();
        let schema = generator.schema_to_bytes_with_dictionary_tracker(&batch.schema(), &mut tracker, &options);
        let encoded = generator.encode(&batch, &mut tracker, &options, &mut Default::default());
        let (mut dictionaries, message) = encoded.unwrap();
        Self {
            schema: FlightData::from(schema),
            dictionary: dictionaries.pop().map(FlightData::from).unwrap_or_default(),
            batch: message.into(),
        }
    }
}
