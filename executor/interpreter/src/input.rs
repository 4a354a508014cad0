//! From IPC messages in shared memory to batches.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_schema_from_flatbuffer_bytes;
use arrow_ipc::reader::read_record_batch;
use arrow_ipc::root_as_message;
use arrow_schema::SchemaRef;
use udfleet_proto::error::Error;
use udfleet_proto::frame::read_bounded;
use udfleet_proto::v1::{ErrorCode, Invoke};

use crate::mapping::Mapping;

fn invalid(what: &str, error: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::InvalidInput, format!("{what}: {error}"))
}

/// Input schemas by the number that the executor gave them.
#[derive(Default)]
pub struct Schemas {
    known: HashMap<u64, SchemaRef>,
}

impl Schemas {
    /// Beyond this many schemas the table is cleared, and the executor sends them again.
    const MAX: usize = 1024;

    /// False where the executor must send the schema along.
    pub fn knows(&self, invoke: &Invoke) -> bool {
        invoke.schema.is_some() || self.known.contains_key(&invoke.schema_id)
    }

    /// The schema of a command's batch.
    pub fn get(&mut self, mapping: &Mapping, invoke: &Invoke) -> Result<SchemaRef, Error> {
        if let Some(slice) = &invoke.schema {
            let bytes = mapping.bytes(slice).map_err(|e| invalid("schema", e))?;
            let schema = try_schema_from_flatbuffer_bytes(bytes).map_err(|e| invalid("malformed schema", e))?;
            if self.known.len() >= Self::MAX {
                self.known.clear();
            }
            self.known.insert(invoke.schema_id, Arc::new(schema));
        }
        let schema = self.known.get(&invoke.schema_id);
        schema.cloned().ok_or_else(|| Error::internal(format!("schema {} was never sent", invoke.schema_id)))
    }

    /// Reads the batch of a command. Buffers point into shared memory, unless the batch is `kept` beyond the command.
    pub fn read(&mut self, mapping: &Arc<Mapping>, invoke: &Invoke, kept: bool) -> Result<RecordBatch, Error> {
        let schema = self.get(mapping, invoke)?;
        let header = mapping.bytes(&invoke.header.unwrap_or_default()).map_err(|e| invalid("batch", e))?;
        let body = mapping.buffer(&invoke.body.unwrap_or_default()).map_err(|e| invalid("batch", e))?;
        let body = if kept { Buffer::from_slice_ref(body.as_slice()) } else { body };
        let message = root_as_message(header).map_err(|e| invalid("malformed batch header", e))?;
        let batch =
            message.header_as_record_batch().ok_or_else(|| invalid("batch", "the message is no record batch"))?;
        // The executor has checked header against body; should the reader still trip over what came from outside, it
        // is the caller's error and no reason to lose the interpreter.
        let (none, version) = (HashMap::new(), message.version());
        read_bounded(&schema, |schema| read_record_batch(&body, batch, schema.clone(), &none, None, &version))
    }
}
