//! Functions that every node serves, with which Databend and its clients check that it is alive.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, RecordBatch};
use arrow_cast::cast;
use arrow_flight::{FlightData, FlightDescriptor, FlightInfo};
use arrow_ipc::convert::try_schema_from_flatbuffer_bytes;
use arrow_ipc::root_as_message;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt as _;
use tonic::Streaming;

use super::AnswerStream;
use super::info::{FunctionFacts, of_columns};
use udfleet_proto::error::Error;
use udfleet_proto::flight::bare_header;
use udfleet_proto::frame;
use udfleet_proto::ipc;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{ErrorCode, FunctionKind};

/// The most rows of a question whether a node is healthy: the answer is larger than the question.
const MAX_HEALTH_ROWS: usize = 1 << 16;

/// Names that begin with it are not registered.
pub const RESERVED_PREFIX: &str = "builtin_";

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builtin {
    /// `builtin_healthy()`: 1.
    Healthy,
    /// `builtin_echo(a)`: its argument.
    Echo,
}

impl Builtin {
    /// The one of this name.
    #[must_use]
    pub fn named(function: &FunctionRef) -> Option<Self> {
        match (function.name.as_str(), function.version) {
            ("builtin_healthy", None) => Some(Self::Healthy),
            ("builtin_echo", None) => Some(Self::Echo),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Healthy => "builtin_healthy",
            Self::Echo => "builtin_echo",
        }
    }

    fn inputs(self) -> Vec<Field> {
        match self {
            Self::Healthy => Vec::new(),
            Self::Echo => vec![Field::new("a", DataType::LargeUtf8, true)],
        }
    }

    fn output(self) -> Field {
        let data_type = match self {
            Self::Healthy => DataType::Int32,
            Self::Echo => DataType::LargeUtf8,
        };
        Field::new("output", data_type, true)
    }

    fn schema(self) -> SchemaRef {
        Arc::new(Schema::new(vec![self.output()]))
    }

    /// As any function is described.
    ///
    /// # Errors
    /// [`ErrorCode::Internal`] where the schema can't be encoded.
    pub fn describe(self, descriptor: FlightDescriptor) -> Result<FlightInfo, Error> {
        let (inputs, outputs) = (self.inputs(), vec![self.output()]);
        let count = inputs.len() as i64;
        let facts = FunctionFacts { kind: FunctionKind::Scalar, attempts: None, coordinators: &[] };
        of_columns(inputs, outputs, facts, count, descriptor, Vec::new())
    }

    /// Answers a stream: the message that was read before, then the others.
    #[must_use]
    pub fn serve(self, first: FlightData, messages: Streaming<FlightData>) -> AnswerStream {
        let all = futures::stream::once(std::future::ready(Ok(first))).chain(messages);
        let mut reader = Reader { builtin: self, schema: None };
        let results = all.filter_map(move |message| {
            let answer = message.and_then(|message| Ok(reader.take(&message)?));
            std::future::ready(answer.transpose())
        });
        let schema = ipc::schema_message(&self.schema());
        Box::pin(futures::stream::once(std::future::ready(Ok(schema))).chain(results))
    }

    fn refused(self, error: &impl std::fmt::Display) -> Error {
        Error::new(ErrorCode::InvalidInput, error.to_string()).function(self.name())
    }

    fn answer(self, batch: &RecordBatch) -> Result<FlightData, Error> {
        if batch.num_columns() != self.inputs().len() {
            let (given, wanted) = (batch.num_columns(), self.inputs().len());
            return Err(self.refused(&format!("{given} columns in place of {wanted}")));
        }
        if self == Self::Healthy {
            frame::bounded_rows(batch.num_rows(), MAX_HEALTH_ROWS).map_err(|error| error.function(self.name()))?;
        }
        let column: ArrayRef = match self {
            Self::Healthy => Arc::new(Int32Array::from_value(1, batch.num_rows())),
            Self::Echo => match batch.column(0).data_type() {
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
                    cast(batch.column(0), &DataType::LargeUtf8).map_err(|e| self.refused(&e))?
                }
                other => return Err(self.refused(&format!("{other} in place of text"))),
            },
        };
        let result = RecordBatch::try_new(self.schema(), vec![column]);
        result.and_then(|result| ipc::encode(&result)).map_err(|e| self.refused(&e))
    }
}

/// Reads the messages of one stream.
struct Reader {
    builtin: Builtin,
    schema: Option<SchemaRef>,
}

impl Reader {
    /// The answer to a message, where it is a batch.
    fn take(&mut self, message: &FlightData) -> Result<Option<FlightData>, Error> {
        self.read(message).map_err(|error| error.function(self.builtin.name()))
    }

    fn read(&mut self, message: &FlightData) -> Result<Option<FlightData>, Error> {
        // Those without a header hold descriptors and metadata only.
        if message.data_header.is_empty() {
            return Ok(None);
        }
        let bytes = bare_header(&message.data_header);
        let header = root_as_message(&bytes).map_err(frame::malformed)?;
        if header.header_as_schema().is_some() {
            let schema = try_schema_from_flatbuffer_bytes(&bytes).map_err(frame::malformed)?;
            return match self.schema.replace(Arc::new(schema)) {
                Some(_) => Err(frame::malformed("a second schema came")),
                None => Ok(None),
            };
        }
        let batch = header.header_as_record_batch();
        let batch = batch.ok_or_else(|| frame::malformed("it is neither a schema nor plain columns"))?;
        let schema = self.schema.as_ref().ok_or_else(|| frame::malformed("a batch came before its schema"))?;
        frame::check(&batch, &message.data_body)?;
        let batch = frame::read_bounded(schema, |schema| ipc::decode(schema, &bytes, message.data_body.clone()))?;
        self.builtin.answer(&batch).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::StringViewBuilder;
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::Int32Type;
    use arrow_array::{Array as _, NullArray, RecordBatchOptions, StringViewArray};

    use super::*;

    fn named(text: &str) -> Option<Builtin> {
        Builtin::named(&FunctionRef::parse(text).unwrap())
    }

    #[test]
    fn health_is_one_for_each_row() {
        assert_eq!((named("healthy"), named("builtin_echo@2")), (None, None));
        let builtin = named("builtin_healthy").unwrap();
        let options = RecordBatchOptions::new().with_row_count(Some(2));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
        let answer = builtin.answer(&batch).unwrap();
        let answer = ipc::decode(&builtin.schema(), &answer.data_header, answer.data_body).unwrap();
        assert_eq!(answer.column(0).as_primitive::<Int32Type>().values(), &[1, 1]);
    }

    #[test]
    fn answers_are_bounded_before_they_are_made() {
        let options = RecordBatchOptions::new().with_row_count(Some(1 << 33));
        let rows = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
        assert_eq!(named("builtin_healthy").unwrap().answer(&rows).unwrap_err().code(), ErrorCode::LimitExceeded);
        let mut views = StringViewBuilder::new();
        let block = views.append_block(vec![b'x'; 1 << 20].into());
        (0..100_000).for_each(|_| views.try_append_view(block, 0, 1 << 20).unwrap());
        let nulls: ArrayRef = Arc::new(NullArray::new(1 << 26));
        for column in [Arc::new(views.finish()) as ArrayRef, nulls] {
            let batch = RecordBatch::try_from_iter_with_nullable([("a", column, true)]).unwrap();
            let mut reader = Reader { builtin: named("builtin_echo").unwrap(), schema: None };
            assert_eq!(reader.take(&ipc::schema_message(&batch.schema())), Ok(None));
            let begun = std::time::Instant::now();
            let error = reader.take(&ipc::encode(&batch).unwrap()).unwrap_err();
            assert_eq!((error.code(), error.info().function.as_str()), (ErrorCode::LimitExceeded, "builtin_echo"));
            // Each view names a mebibyte, which must not be looked at a hundred thousand times.
            assert!(begun.elapsed().as_secs() < 5);
        }
    }

    #[test]
    fn the_echo_takes_text_of_any_layout_and_nothing_else() {
        let builtin = named("builtin_echo").unwrap();
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None]));
        let batch = RecordBatch::try_from_iter([("x", texts)]).unwrap();
        let answer = builtin.answer(&batch).unwrap();
        let answer = ipc::decode(&builtin.schema(), &answer.data_header, answer.data_body).unwrap();
        assert_eq!((answer.column(0).as_string::<i64>().value(0), answer.column(0).is_null(1)), ("a", true));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        let batch = RecordBatch::try_from_iter([("x", numbers)]).unwrap();
        assert_eq!(builtin.answer(&batch).unwrap_err().code(), ErrorCode::InvalidInput);
    }
}
