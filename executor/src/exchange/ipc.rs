//! Arrow messages as Flight carries them.

use arrow_array::RecordBatch;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
use arrow_schema::{ArrowError, Schema};
use bytes::Bytes;

/// A schema as the header of a Flight message.
pub(super) fn schema_message(schema: &Schema) -> Bytes {
    let mut tracker = DictionaryTracker::new(false);
    let encoded = IpcDataGenerator::default().schema_to_bytes_with_dictionary_tracker(
        schema,
        &mut tracker,
        &IpcWriteOptions::default(),
    );
    encoded.ipc_message.into()
}

/// A batch without dictionaries: header and body.
pub(super) fn batch_message(batch: &RecordBatch) -> Result<(Bytes, Bytes), ArrowError> {
    let (_, encoded) = IpcDataGenerator::default().encode(
        batch,
        &mut DictionaryTracker::new(false),
        &IpcWriteOptions::default(),
        &mut Default::default(),
    )?;
    Ok((encoded.ipc_message.into(), encoded.arrow_data.into()))
}
