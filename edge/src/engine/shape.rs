//! Converts batches of executors to an engine's types.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, StructArray, new_null_array};
use arrow_flight::FlightData;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use super::Engine;
use super::columns::{described_outputs, is_row, is_scalar, is_table};
use super::decimal_text::in_type;
use udfleet_proto::error::Error;
use udfleet_proto::flight_info::result_fields;
use udfleet_proto::ipc;
use udfleet_proto::v1::{ErrorCode, FunctionDefinition};

/// The column of messages about single rows.
const ERROR: &str = "error";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Same,
    /// `row`, then all other columns as one struct.
    RowAndStruct,
    WithoutRow,
}

/// How one function's results become an engine's.
#[derive(Debug)]
pub(super) struct Shape {
    layout: Layout,
    /// Messages go out as they come.
    same: bool,
    /// The first column says which row of the input a result belongs to.
    numbers_rows: bool,
    /// As executors send it, without and with messages about rows.
    from: [SchemaRef; 2],
    /// As the engine gets it, without and with them.
    to: [SchemaRef; 2],
}

fn with_errors(fields: &[Field]) -> SchemaRef {
    let fields = fields.iter().cloned().chain([Field::new(ERROR, DataType::Utf8, true)]);
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn move_rows(rows: &ArrayRef, by: u64) -> Result<ArrayRef, Error> {
    let too_many = || Error::new(ErrorCode::LimitExceeded, "a call has more rows than INT can count");
    let moved = rows.as_primitive::<Int32Type>().try_unary::<_, Int32Type, Error>(|row| {
        let moved = i64::try_from(by).ok().and_then(|by| by.checked_add(row.into()));
        moved.and_then(|row| i32::try_from(row).ok()).ok_or_else(too_many)
    });
    Ok(Arc::new(moved?))
}

fn broken(error: ArrowError) -> Error {
    Error::internal(format!("a result in the engine's types: {error}"))
}

fn decode(data: &FlightData, schema: &SchemaRef) -> Result<RecordBatch, Error> {
    ipc::decode(schema, &data.data_header, data.data_body.clone()).map_err(broken)
}

impl Shape {
    pub(super) fn of(definition: &FunctionDefinition, engine: Engine) -> Self {
        let (mut from, mut to) = (result_fields(definition), described_outputs(definition, engine));
        if engine == Engine::ArrowUdf && is_scalar(definition) {
            // Rows that fail are null, whatever was declared.
            let nullable = |fields: Vec<Field>| fields.into_iter().map(|field| field.with_nullable(true)).collect();
            (from, to) = (nullable(from), nullable(to));
        }
        let layout = match engine {
            Engine::ArrowUdf if is_table(definition) && is_row(definition) => Layout::RowAndStruct,
            Engine::Databend if is_table(definition) => Layout::WithoutRow,
            _ => Layout::Same,
        };
        let same = from.iter().map(Field::data_type).eq(to.iter().map(Field::data_type));
        Self {
            layout,
            same,
            numbers_rows: engine == Engine::ArrowUdf && is_table(definition),
            from: [Arc::new(Schema::new(from.clone())), with_errors(&from)],
            to: [Arc::new(Schema::new(to.clone())), with_errors(&to)],
        }
    }

    /// What the engine gets; with a column of messages about rows where `errors` says so.
    pub(super) fn schema(&self, errors: bool) -> &SchemaRef {
        &self.to[usize::from(errors)]
    }

    /// One message as the engine gets it; the rows that a table's results belong to count from `first_row`.
    pub(super) fn whole(&self, data: FlightData, first_row: u64) -> Result<FlightData, Error> {
        let moved = self.numbers_rows && first_row > 0;
        if self.same && !moved {
            return Ok(data);
        }
        let batch = decode(&data, &self.from[0])?;
        let mut columns = batch.columns().to_vec();
        if moved {
            columns[0] = move_rows(&columns[0], first_row)?;
        }
        self.encode(self.arrange(columns)?, batch.num_rows(), false)
    }

    /// One message with a column of messages about rows, which it `has` already or not.
    pub(super) fn with_errors(&self, data: FlightData, has: bool) -> Result<FlightData, Error> {
        if self.same && has {
            return Ok(data);
        }
        let batch = decode(&data, &self.from[usize::from(has)])?;
        let mut columns = batch.columns().to_vec();
        if !has {
            columns.push(new_null_array(&DataType::Utf8, batch.num_rows()));
        }
        self.encode(columns, batch.num_rows(), true)
    }

    /// Rows that have all failed for the same reason.
    pub(super) fn failed(&self, rows: usize, message: &str) -> Result<FlightData, Error> {
        let schema = self.schema(true);
        let nulls = schema.fields().iter().take(schema.fields().len() - 1);
        let mut columns: Vec<_> = nulls.map(|field| new_null_array(field.data_type(), rows)).collect();
        columns.push(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(message, rows))));
        self.encode(columns, rows, true)
    }

    /// A batch without rows.
    pub(super) fn empty(&self) -> Result<FlightData, Error> {
        ipc::encode(&RecordBatch::new_empty(Arc::clone(self.schema(false)))).map_err(broken)
    }

    fn arrange(&self, mut columns: Vec<ArrayRef>) -> Result<Vec<ArrayRef>, Error> {
        match self.layout {
            Layout::Same => {}
            Layout::WithoutRow => drop(columns.remove(0)),
            Layout::RowAndStruct => {
                let fields = self.from[0].fields().iter().skip(1).cloned().collect();
                let values = columns.split_off(1);
                columns.push(Arc::new(StructArray::try_new(fields, values, None).map_err(broken)?));
            }
        }
        Ok(columns)
    }

    fn encode(&self, columns: Vec<ArrayRef>, rows: usize, errors: bool) -> Result<FlightData, Error> {
        let schema = self.schema(errors);
        let fields = columns.iter().zip(schema.fields());
        let columns = fields.map(|(column, field)| in_type(column, field.data_type()).map_err(broken));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let columns = columns.collect::<Result<_, Error>>()?;
        let batch = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options);
        batch.and_then(|batch| ipc::encode(&batch)).map_err(broken)
    }
}
