//! From result columns to an IPC message in shared memory, copied once.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::{ArrowError, Schema, SchemaRef};
use udfleet_proto::v1::Slice;

/// Bodies start at a multiple of this, as Arrow recommends.
const ALIGNMENT: u64 = 64;
/// Continuation marker and metadata length in front of an encapsulated message.
const PREFIX: usize = 8;

/// Encodes batches of one schema.
pub struct Encoder {
    schema: SchemaRef,
    stream: StreamEncoder,
}

/// A message ready to be written: header (flatbuffer) and body, each in pieces.
pub struct Encoded {
    buffers: Vec<Buffer>,
    header_length: usize,
}

impl Encoder {
    /// An encoder for batches of these columns.
    pub fn new(schema: Schema) -> Result<Self, ArrowError> {
        let schema = Arc::new(schema);
        let mut stream = StreamEncoder::try_new(&schema)?;
        // The first call puts the schema message in front; the executor sends its own.
        stream.encode(&RecordBatch::new_empty(Arc::clone(&schema)))?;
        Ok(Self { schema, stream })
    }

    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Encodes columns of the encoder's types.
    pub fn encode(&mut self, columns: Vec<ArrayRef>, rows: usize) -> Result<Encoded, ArrowError> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        let buffers = self.stream.encode(&batch)?;
        let first = buffers.first().map(Buffer::as_slice).unwrap_or_default();
        let prefix: Option<&[u8; PREFIX]> = first.first_chunk();
        let header_length = match (prefix, buffers.get(1)) {
            (Some([0xff, 0xff, 0xff, 0xff, length @ ..]), _) => u32::from_le_bytes(*length) as usize,
            (None, Some(second)) if first == [0xff; 4] => {
                second.as_slice().first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize)
            }
            _ => return Err(ArrowError::IpcError("the encoder wrote no encapsulated message".to_owned())),
        };
        Ok(Encoded { buffers, header_length })
    }
}

impl Encoded {
    /// All bytes without the prefix, in pieces, and where header and body lie when they are written at `offset`.
    pub fn layout(&self, offset: u64) -> (Vec<&[u8]>, Slice, Slice) {
        let mut skip = PREFIX;
        let mut parts = Vec::with_capacity(self.buffers.len());
        let mut total = 0;
        for buffer in &self.buffers {
            let bytes = buffer.as_slice();
            let cut = skip.min(bytes.len());
            skip -= cut;
            parts.push(&bytes[cut..]);
            total += bytes.len() - cut;
        }
        let header = Slice { offset, length: self.header_length as u64 };
        let body = Slice { offset: offset + header.length, length: (total - self.header_length) as u64 };
        (parts, header, body)
    }

    /// Where writing should start at or after `offset` so that the body is aligned.
    pub fn start(&self, offset: u64) -> u64 {
        let body = offset + self.header_length as u64;
        offset + (body.next_multiple_of(ALIGNMENT) - body)
    }

    /// Bytes in all.
    pub fn length(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.len() as u64).sum()
    }
}
