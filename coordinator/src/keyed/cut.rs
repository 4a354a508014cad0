//! Cuts the rows of a bundle by the partitions of their keys.

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_ipc::convert::try_schema_from_flatbuffer_bytes;
use arrow_ipc::root_as_message;
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::take::take_record_batch;
use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::flight::bare_header;
use udfleet_proto::frame::{bounded_rows, check, guarded, malformed};
use udfleet_proto::limits::MAX_BATCH_ROWS;
use udfleet_proto::v1::ErrorCode;
use udfleet_proto::{ipc, key};

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

    /// The types of the key columns.
    pub fn key_types(&self) -> Vec<String> {
        self.schema.fields().iter().take(self.key_columns).map(|field| field.data_type().to_string()).collect()
    }

    /// The schema's IPC message.
    pub fn schema(&self) -> &Bytes {
        &self.message
    }

    /// A bundle as it was sent.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for one that is malformed.
    pub fn decode(&self, header: &Bytes, body: Bytes) -> Result<RecordBatch, Error> {
        let bare = bare_header(header);
        let message = root_as_message(&bare).ok().and_then(|message| message.header_as_record_batch());
        check(&message.ok_or_else(|| malformed("its header is empty"))?, &body)?;
        let batch = guarded(|| ipc::decode(&self.schema, header, body))?;
        bounded_rows(batch.num_rows(), MAX_BATCH_ROWS)?;
        Ok(batch)
    }

    /// The rows of each partition.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where a key can't be encoded.
    pub fn rows(&self, batch: &RecordBatch) -> Result<Vec<Vec<u32>>, Error> {
        let columns: Vec<ArrayRef> = batch.columns()[..self.key_columns].to_vec();
        let mut rows = vec![Vec::new(); self.partitions as usize];
        let keys = guarded(|| key::encode(&columns, batch.num_rows()))?;
        for (row, key) in keys.iter().enumerate() {
            rows[key::partition(key, self.partitions) as usize].push(row as u32);
        }
        Ok(rows)
    }
}

/// Some rows of a bundle, as they are sent: header and body.
///
/// # Errors
/// Where Arrow can't take them.
pub fn piece(batch: &RecordBatch, rows: &[u32]) -> Result<(Bytes, Bytes), Error> {
    let taken = || -> Result<_, ArrowError> {
        if rows.len() == batch.num_rows() {
            return ipc::encode(batch);
        }
        ipc::encode(&take_record_batch(batch, &UInt32Array::from(rows.to_vec()))?)
    };
    let message = guarded(taken)?;
    Ok((message.data_header, message.data_body))
}
