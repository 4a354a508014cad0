//! Cuts batches by the keys of their rows: what streams through functions with keyed state and grouped tables share.

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_flight::FlightData;
use arrow_ipc::root_as_message;
use arrow_schema::SchemaRef;
use arrow_select::take::take_record_batch;
use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::flight::bare_header;
use udfleet_proto::frame::{check, guarded, malformed};
use udfleet_proto::{ipc, key};

/// A batch as it was sent.
///
/// # Errors
/// [`udfleet_proto::v1::ErrorCode::InvalidInput`] for one that is malformed, or none of the schema.
pub fn decode(schema: &SchemaRef, header: &Bytes, body: Bytes) -> Result<RecordBatch, Error> {
    let bare = bare_header(header);
    let message = root_as_message(&bare).ok().and_then(|message| message.header_as_record_batch());
    check(&message.ok_or_else(|| malformed("its header is empty"))?, &body)?;
    guarded(|| ipc::decode(schema, header, body))
}

/// The rows of each partition, by their key columns.
///
/// # Errors
/// [`udfleet_proto::v1::ErrorCode::InvalidInput`] where a key can't be encoded.
pub fn rows(batch: &RecordBatch, columns: &[usize], partitions: u32) -> Result<Vec<Vec<u32>>, Error> {
    let columns: Vec<ArrayRef> = columns.iter().map(|column| batch.column(*column).clone()).collect();
    let keys = guarded(|| key::encode(&columns, batch.num_rows()))?;
    let mut rows = vec![Vec::new(); partitions as usize];
    for (row, key) in keys.iter().enumerate() {
        rows[key::partition(key, partitions) as usize].push(row as u32);
    }
    Ok(rows)
}

/// Some rows of a batch, as they are sent.
///
/// # Errors
/// Where Arrow can't take them.
pub fn piece(batch: &RecordBatch, rows: &[u32]) -> Result<FlightData, Error> {
    guarded(|| {
        if rows.len() == batch.num_rows() {
            return ipc::encode(batch);
        }
        ipc::encode(&take_record_batch(batch, &UInt32Array::from(rows.to_vec()))?)
    })
}
