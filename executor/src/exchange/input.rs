//! From Flight messages to batches, in the framing of every known client.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_flight::FlightData;
use arrow_ipc::convert::try_schema_from_flatbuffer_bytes;
use arrow_ipc::{MessageHeader, root_as_message};
use bytes::Bytes;
use prost::Message;
use udfleet_proto::error::Error;
use udfleet_proto::flight::bare_header;
use udfleet_proto::frame;
use udfleet_proto::ipc::schema_message;
use udfleet_proto::v1::{BatchHeader, ErrorCode};

use super::client_stream::BatchIdentity;
use super::dictionary::{Hydrator, has_dictionaries};
use super::schema::check;
use super::target::Target;

/// A batch to run.
#[derive(Debug)]
pub struct Batch {
    /// Its place in the stream, and its attempt.
    pub(super) identity: BatchIdentity,
    /// Rows, from the IPC header.
    pub rows: u64,
    pub schema_id: u64,
    pub schema: Bytes,
    pub ipc_header: Bytes,
    pub body: Bytes,
}

#[derive(Debug)]
struct InputSchema {
    id: u64,
    message: Bytes,
    hydrator: Option<Hydrator>,
}

/// Reads the messages of one stream.
#[derive(Debug)]
pub struct InputReader {
    target: Arc<Target>,
    schema: Option<InputSchema>,
    next: u64,
    batches: u64,
}

impl InputReader {
    /// For a stream of calls to `target`.
    pub fn new(target: Arc<Target>) -> Self {
        Self { target, schema: None, next: 0, batches: 0 }
    }

    /// The number of the next batch, for errors between batches.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    fn invalid(&self, what: &str, error: impl std::fmt::Display) -> Error {
        Error::new(ErrorCode::InvalidInput, format!("{what}: {error}")).function(&self.target.name)
    }

    /// Reads one message; returns a batch if it is one. Messages without a header (descriptor only, metadata only) carry
    /// no data and are skipped.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for malformed or mistyped input.
    pub fn read(&mut self, data: FlightData) -> Result<Option<Batch>, Error> {
        if data.data_header.is_empty() {
            return Ok(None);
        }
        let header = bare_header(&data.data_header);
        let message = root_as_message(&header).map_err(|e| self.invalid("malformed Arrow message", e))?;
        match message.header_type() {
            MessageHeader::Schema => self.read_schema(&header).map(|()| None),
            MessageHeader::DictionaryBatch => {
                self.check(message.header_as_dictionary_batch().and_then(|batch| batch.data()), &data.data_body)?;
                let hydrator = self.schema.as_mut().and_then(|known| known.hydrator.as_mut());
                match hydrator.map(|hydrator| hydrator.dictionary(message, &data.data_body)) {
                    Some(Ok(())) => Ok(None),
                    Some(Err(error)) => Err(error.function(&self.target.name)),
                    None => Err(self.invalid("a dictionary came", "the schema has none")),
                }
            }
            MessageHeader::RecordBatch => {
                let rows = self.check(message.header_as_record_batch(), &data.data_body)?;
                self.read_batch(rows, message, &header, &data).map(Some)
            }
            other => Err(self.invalid("unexpected Arrow message", format!("{other:?}"))),
        }
    }

    /// Refuses a batch whose header contradicts its body; returns its number of rows.
    fn check(&self, batch: Option<arrow_ipc::RecordBatch<'_>>, body: &[u8]) -> Result<u64, Error> {
        let batch = batch.ok_or_else(|| self.invalid("malformed batch", "its header is empty"))?;
        frame::check(&batch, body).map_err(|error| error.function(&self.target.name))?;
        u64::try_from(batch.length()).map_err(|e| self.invalid("malformed batch", e))
    }

    fn read_schema(&mut self, header: &Bytes) -> Result<(), Error> {
        let id = schema_id(header);
        if self.schema.is_some() {
            return Err(self.invalid("a second schema came", "a stream has one; open another stream"));
        }
        let schema = try_schema_from_flatbuffer_bytes(header).map_err(|e| self.invalid("malformed schema", e))?;
        check(&self.target, &schema)?;
        self.schema = Some(if has_dictionaries(&schema) {
            let hydrator = Hydrator::new(schema);
            let message = schema_message(hydrator.plain_schema()).data_header;
            InputSchema { id: schema_id(&message), message, hydrator: Some(hydrator) }
        } else {
            InputSchema { id, message: header.clone(), hydrator: None }
        });
        Ok(())
    }

    fn read_batch(
        &mut self,
        rows: u64,
        message: arrow_ipc::Message<'_>,
        header: &Bytes,
        data: &FlightData,
    ) -> Result<Batch, Error> {
        let Some(known) = &self.schema else {
            return Err(self.invalid("a batch came before its schema", "send the schema first"));
        };
        let (ipc_header, body) = match &known.hydrator {
            None => (header.clone(), data.data_body.clone()),
            Some(hydrator) => {
                hydrator.batch(message, &data.data_body).map_err(|error| error.function(&self.target.name))?
            }
        };
        let BatchHeader { sequence, attempt } = if data.app_metadata.is_empty() {
            BatchHeader { sequence: self.next, attempt: 1 }
        } else {
            let header = BatchHeader::decode(data.app_metadata.clone());
            header.map_err(|e| self.invalid("a batch's app_metadata is no BatchHeader", e))?
        };
        self.next = sequence.saturating_add(1);
        self.batches += 1;
        let identity = BatchIdentity { sequence, attempt: attempt.max(1), place: self.batches };
        Ok(Batch { identity, rows, schema_id: known.id, schema: known.message.clone(), ipc_header, body })
    }
}

/// Equal schemas have equal numbers, in all streams.
pub(super) fn schema_id(message: &Bytes) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, RecordBatch};
    use udfleet_proto::ipc;
    use udfleet_proto::types::simple;
    use udfleet_proto::v1::{FunctionDefinition, TypeRoot};

    use super::super::served::ServedFunction;
    use super::*;
    use crate::link::Pool;

    #[test]
    fn a_batch_has_the_clients_number_or_its_place() {
        let result_type = Some(simple(TypeRoot::Bigint));
        let definition = FunctionDefinition { name: "add".to_owned(), version: 1, result_type, ..Default::default() };
        let function = ServedFunction::new(definition, 1, "", Pool::new(), Arc::default(), "e".to_owned()).unwrap();
        let mut reader = InputReader::new(Arc::clone(&function.target));
        let batch = RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as _)]).unwrap();
        assert!(reader.read(ipc::schema_message(&batch.schema())).unwrap().is_none());
        let mut number = |metadata: Vec<u8>| {
            let message = ipc::encode(&batch).unwrap().with_app_metadata(metadata);
            reader.read(message).map(|batch| batch.unwrap().identity.sequence)
        };
        assert_eq!(number(Vec::new()).unwrap(), 0);
        assert_eq!(number(BatchHeader { sequence: 7, attempt: 1 }.encode_to_vec()).unwrap(), 7);
        assert_eq!(number(Vec::new()).unwrap(), 8);
        let error = number(b"mine".to_vec()).unwrap_err();
        assert_eq!((error.code(), error.info().function.as_str()), (ErrorCode::InvalidInput, "add@1"));
        assert!(error.info().message.contains("app_metadata"), "{error}");
    }
}
