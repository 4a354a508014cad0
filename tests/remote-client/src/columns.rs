//! Batches as RisingWave makes them, and what is read from results.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, Int32Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{DataType, Field, Schema};

/// The extension type of decimals.
pub const DECIMAL: &str = "arrowudf.decimal";
/// The extension type of JSONB.
pub const JSON: &str = "arrowudf.json";
const EXTENSION: &str = "ARROW:extension:name";

/// Fails the check with what was found.
#[macro_export]
macro_rules! expect {
    ($condition:expr, $($found:tt)+) => {
        if !$condition {
            return Err(format!("expected {}, found {}", stringify!($condition), format!($($found)+)).into());
        }
    };
}

pub fn ints(values: impl IntoIterator<Item = Option<i32>>) -> ArrayRef {
    Arc::new(Int32Array::from_iter(values))
}

pub fn texts<'a>(values: impl IntoIterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

/// Columns with the names that RisingWave gives: none.
pub fn batch(columns: Vec<ArrayRef>) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let fields = columns.iter().map(|column| Field::new("", column.data_type().clone(), true));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)
}

/// A column of texts that stand for an extension type.
pub fn extended(values: &[Option<&str>], extension: &str) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let metadata = HashMap::from([(EXTENSION.to_owned(), extension.to_owned())]);
    let field = Field::new("", DataType::Utf8, true).with_metadata(metadata);
    RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![texts(values.iter().copied())])
}

/// What functions without arguments are called with.
pub fn no_columns(rows: usize) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)
}

pub fn extension(field: &Field) -> Option<&str> {
    field.metadata().get(EXTENSION).map(String::as_str)
}

pub fn int_values(batch: &RecordBatch, column: usize) -> Vec<Option<i32>> {
    batch.column(column).as_primitive_opt::<Int32Type>().map(|ints| ints.iter().collect()).unwrap_or_default()
}

pub fn text_values(batch: &RecordBatch, column: usize) -> Vec<Option<&str>> {
    batch.column(column).as_string_opt::<i32>().map(|texts| texts.iter().collect()).unwrap_or_default()
}
