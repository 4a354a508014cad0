//! Batches of one column, and results back.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_flight::FlightData;
use arrow_flight::utils::flight_data_to_arrow_batch;
use arrow_schema::{DataType, Field, Schema};

/// Columns named `c0`, `c1` and so on.
///
/// # Panics
/// When they differ in length.
#[must_use]
pub fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let field = |(index, column): (usize, &ArrayRef)| Field::new(format!("c{index}"), column.data_type().clone(), true);
    let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns).expect("columns of one length")
}

/// BIGINTs.
#[must_use]
pub fn numbers(values: impl IntoIterator<Item = i64>) -> RecordBatch {
    batch(vec![Arc::new(Int64Array::from_iter_values(values))])
}

/// STRINGs.
#[must_use]
pub fn texts<T: AsRef<str>>(values: &[T]) -> RecordBatch {
    batch(vec![Arc::new(StringArray::from_iter_values(values.iter().map(AsRef::as_ref)))])
}

/// The column of a result batch.
///
/// # Panics
/// When it is none of this type.
#[must_use]
pub fn column(message: &FlightData, data_type: DataType) -> ArrayRef {
    let schema = Arc::new(Schema::new(vec![Field::new("result", data_type, true)]));
    let batch = flight_data_to_arrow_batch(message, schema, &Default::default()).expect("a result batch");
    Arc::clone(batch.column(0))
}

/// The BIGINTs of result batches, all in one.
///
/// # Panics
/// For nulls and other types.
#[must_use]
pub fn integers(messages: &[FlightData]) -> Vec<i64> {
    let values = |message| column(message, DataType::Int64).as_primitive::<Int64Type>().values().to_vec();
    messages.iter().flat_map(values).collect()
}

/// The BIGINTs of one column of result batches, all in one.
///
/// # Panics
/// For other types, and batches that are not of this schema.
#[must_use]
pub fn integers_of(messages: &[FlightData], schema: &Arc<Schema>, column: usize) -> Vec<i64> {
    let decode = |message| flight_data_to_arrow_batch(message, Arc::clone(schema), &Default::default());
    let values = |message| {
        let batch = decode(message).expect("a result batch");
        let column = widened(batch.column(column));
        column.as_primitive::<Int64Type>().values().to_vec()
    };
    messages.iter().flat_map(values).collect()
}

fn widened(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Int32 => {
            let narrow = column.as_primitive::<arrow_array::types::Int32Type>();
            Arc::new(Int64Array::from_iter(narrow.iter().map(|value| value.map(i64::from))))
        }
        _ => Arc::clone(column),
    }
}
