//! Cuts the rows of a bundle by the partitions of their keys.

use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::convert::try_schema_from_flatbuffer_bytes;
use arrow_schema::{Schema, SchemaRef};
use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::flight::bare_header;
use udfleet_proto::frame::{guarded, malformed};
use udfleet_proto::v1::ErrorCode;
use udfleet_proto::{ipc, key};

use crate::cut;

/// For bundles of one schema: key columns, then arguments.
pub struct Cutter {
    schema: SchemaRef,
    /// The schema's IPC message.
    message: Bytes,
    key_columns: usize,
    partitions: u32,
}

impl Cutter {
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for columns that are no key.
    pub fn new(message: Bytes, key_columns: u32, partitions: u32) -> Result<Self, Error> {
        let schema = try_schema_from_flatbuffer_bytes(&bare_header(&message)).map_err(malformed)?;
        let key_columns = key_columns as usize;
        let keys = schema.fields().get(..key_columns).filter(|keys| !keys.is_empty());
        let keys = keys.ok_or_else(|| Error::new(ErrorCode::InvalidInput, "a stream needs key columns"))?;
        if let Some(field) = keys.iter().find(|field| !key::is_supported(field.data_type())) {
            let message = format!("column {:?} of type {} can't be a key", field.name(), field.data_type());
            return Err(Error::new(ErrorCode::InvalidInput, message).hint("cast it, or take another column"));
        }
        Ok(Self { schema: schema.into(), message, key_columns, partitions })
    }

    /// The schema of the key columns: an IPC message.
    pub fn key_schema(&self) -> Bytes {
        let columns: Vec<_> = self.schema.fields().iter().take(self.key_columns).cloned().collect();
        ipc::schema_message(&Schema::new(columns)).data_header
    }

    /// The key of a batch of one row, and its partition.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for another number of rows.
    pub fn key(&self, batch: &RecordBatch) -> Result<(u32, Vec<u8>), Error> {
        let columns: Vec<ArrayRef> = batch.columns()[..self.key_columns].to_vec();
        let keys = guarded(|| key::encode(&columns, batch.num_rows()))?;
        match keys.iter().next().filter(|_| keys.len() == 1) {
            Some(one) => Ok((key::partition(one, self.partitions), one.to_vec())),
            None => Err(Error::new(ErrorCode::InvalidInput, format!("a key is one row, not {}", keys.len()))),
        }
    }

    /// The schema's IPC message.
    pub fn schema(&self) -> &Bytes {
        &self.message
    }

    /// A bundle as it was sent, of at most so many rows.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for one that is malformed, [`ErrorCode::LimitExceeded`] for one that is too large.
    pub fn decode(&self, header: &Bytes, body: &Bytes, max_rows: usize) -> Result<RecordBatch, Error> {
        cut::decode(&self.schema, header, body, max_rows)
    }

    /// The rows of each partition.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where a key can't be encoded.
    pub fn rows(&self, batch: &RecordBatch) -> Result<Vec<Vec<u32>>, Error> {
        let columns: Vec<usize> = (0..self.key_columns).collect();
        cut::rows(batch, &columns, self.partitions)
    }
}

/// Some rows of a bundle, as they are sent: header and body.
///
/// # Errors
/// Where Arrow can't take them.
pub fn piece(batch: &RecordBatch, rows: &[u32]) -> Result<(Bytes, Bytes), Error> {
    let message = cut::piece(batch, rows)?;
    Ok((message.data_header, message.data_body))
}
