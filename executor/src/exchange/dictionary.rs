//! Streams with dictionary columns: dictionaries belong to a stream, while interpreters get batches of many streams. So
//! columns are converted to plain values here.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_cast::cast;
use arrow_ipc::Message;
use arrow_ipc::reader::{read_dictionary, read_record_batch};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::expanded::without_text_views;
use udfleet_proto::frame::{bounded, bounded_arrays, bounded_values, guarded, malformed};
use udfleet_proto::ipc;

/// Decodes a stream whose schema holds dictionaries.
#[derive(Debug)]
pub struct Hydrator {
    schema: SchemaRef,
    plain: SchemaRef,
    dictionaries: HashMap<i64, ArrayRef>,
    /// The same with bytes in place of texts that are views, by which they are measured first.
    bytes: Option<(SchemaRef, HashMap<i64, ArrayRef>)>,
}

/// True where any column, at any depth, is dictionary-encoded.
pub fn has_dictionaries(schema: &Schema) -> bool {
    schema.fields().iter().any(|field| plain_type(field.data_type()) != *field.data_type())
}

fn plain_field(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(field.name(), plain_type(field.data_type()), field.is_nullable()))
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::List(item) => DataType::List(plain_field(item)),
        DataType::LargeList(item) => DataType::LargeList(plain_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(plain_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(plain_field(entries), *sorted),
        other => other.clone(),
    }
}

impl Hydrator {
    /// For a stream of this schema.
    pub fn new(schema: Schema) -> Self {
        let plain: Schema = Schema::new(schema.fields().iter().map(plain_field).collect::<Vec<_>>());
        let bytes = without_text_views(&schema).map(|schema| (Arc::new(schema), HashMap::new()));
        Self { schema: Arc::new(schema), plain: Arc::new(plain), dictionaries: HashMap::new(), bytes }
    }

    /// The schema without dictionaries.
    pub fn plain_schema(&self) -> &Schema {
        &self.plain
    }

    /// Takes a dictionary message.
    pub fn dictionary(&mut self, message: Message<'_>, body: &Bytes) -> Result<(), Error> {
        let batch = message.header_as_dictionary_batch();
        let batch = batch.ok_or_else(|| malformed("no dictionary batch"))?;
        let buffer = Buffer::from(body.clone());
        if let Some((schema, dictionaries)) = &mut self.bytes {
            guarded(|| read_dictionary(&buffer, batch, schema, dictionaries, &message.version()))?;
            bounded_arrays(dictionaries.values())?;
        }
        guarded(|| read_dictionary(&buffer, batch, &self.schema, &mut self.dictionaries, &message.version()))?;
        bounded(self.dictionaries.values().map(|values| values.get_buffer_memory_size()).sum(), "of dictionaries")
    }

    /// Gives a batch its plain values: header and body of a new message.
    pub fn batch(&self, message: Message<'_>, body: &Bytes) -> Result<(Bytes, Bytes), Error> {
        let batch = message.header_as_record_batch();
        let batch = batch.ok_or_else(|| malformed("no record batch"))?;
        let buffer = Buffer::from(body.clone());
        let version = message.version();
        let read = |schema: &SchemaRef, dictionaries: &HashMap<i64, ArrayRef>| {
            guarded(|| read_record_batch(&buffer, batch, schema.clone(), dictionaries, None, &version))
        };
        if let Some((schema, dictionaries)) = &self.bytes {
            bounded_values(&read(schema, dictionaries)?)?;
        }
        let batch = read(&self.schema, &self.dictionaries)?;
        bounded_values(&batch)?;
        guarded(|| self.plain_batch(&batch))
    }

    fn plain_batch(&self, batch: &RecordBatch) -> Result<(Bytes, Bytes), ArrowError> {
        let plain = |(column, field): (&ArrayRef, &FieldRef)| cast(column, field.data_type());
        let columns = batch.columns().iter().zip(self.plain.fields()).map(plain).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.plain), columns, &options)?;
        let message = ipc::encode(&batch)?;
        Ok((message.data_header, message.data_body))
    }
}
