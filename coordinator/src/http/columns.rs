//! Arrow columns of rows, one after another.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, Float32Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray, TimestampMillisecondArray,
};
use arrow_schema::{Field, Schema};
use udfleet_proto::error::Error;

/// A table that grows by columns; all come from the same rows.
#[derive(Default)]
pub struct Columns {
    fields: Vec<Field>,
    columns: Vec<ArrayRef>,
}

impl Columns {
    fn with(mut self, name: &str, nullable: bool, column: ArrayRef) -> Self {
        self.fields.push(Field::new(name, column.data_type().clone(), nullable));
        self.columns.push(column);
        self
    }

    /// Text.
    pub fn text<R>(self, name: &str, rows: &[R], of: impl Fn(&R) -> &str) -> Self {
        self.with(name, false, Arc::new(StringArray::from_iter_values(rows.iter().map(of))))
    }

    /// Lists of texts.
    pub fn texts<'r, R, I: Iterator<Item = &'r str>>(self, name: &str, rows: &'r [R], of: impl Fn(&'r R) -> I) -> Self {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in rows {
            lists.append_value(of(row).map(Some));
        }
        self.with(name, false, Arc::new(lists.finish()))
    }

    /// Whole numbers: signed, since all engines have these.
    pub fn whole<R, N: TryInto<i64>>(self, name: &str, rows: &[R], of: impl Fn(&R) -> N) -> Self {
        let values = rows.iter().map(|row| of(row).try_into().unwrap_or(i64::MAX));
        self.with(name, false, Arc::new(Int64Array::from_iter_values(values)))
    }

    /// Measured numbers; null: not known.
    pub fn number<R>(self, name: &str, rows: &[R], of: impl Fn(&R) -> Option<f32>) -> Self {
        self.with(name, true, Arc::new(rows.iter().map(of).collect::<Float32Array>()))
    }

    /// Times, of milliseconds since 1970.
    pub fn time<R>(self, name: &str, rows: &[R], of: impl Fn(&R) -> i64) -> Self {
        let values = TimestampMillisecondArray::from_iter_values(rows.iter().map(of)).with_timezone("UTC");
        self.with(name, false, Arc::new(values))
    }

    /// The table.
    ///
    /// # Errors
    /// `INTERNAL` where columns differ in length.
    pub fn batch(self) -> Result<RecordBatch, Error> {
        let rows = self.columns.first().map_or(0, |column| column.len());
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(self.fields)), self.columns, &options)
            .map_err(|error| Error::internal(format!("making a table: {error}")))
    }
}
