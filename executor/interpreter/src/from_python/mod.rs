//! Converts Python values to Arrow columns, strictly: values that fit are converted, everything else is a typed error
//! with row and value. Nothing is truncated, rounded or wrapped.

mod decimal;
pub mod exact;
mod nested;
mod scalar;
mod temporal;

use std::sync::Arc;

use arrow_array::{ArrayRef, NullArray};
use pyo3::prelude::*;
use pyo3::types::PyList;
use udfleet_proto::error::Error;
use udfleet_proto::types::sql;
use udfleet_proto::v1::{DataType, TypeRoot};

use crate::failure::{class_name, result_error};

/// Values of one column, and the row of the caller's batch that each belongs to.
pub struct Column<'py> {
    items: Vec<Bound<'py, PyAny>>,
    /// `None`: value `i` belongs to row `i`; nested columns name their rows.
    rows: Option<Vec<usize>>,
}

impl<'py> Column<'py> {
    /// One value per row.
    pub fn of_list(list: &Bound<'py, PyList>) -> Self {
        Self { items: list.iter().collect(), rows: None }
    }

    /// Values of the rows named: any number of a row.
    pub fn of_items(items: Vec<Bound<'py, PyAny>>, rows: Vec<usize>) -> Self {
        Self { items, rows: Some(rows) }
    }

    fn row(&self, index: usize) -> usize {
        self.rows.as_ref().and_then(|rows| rows.get(index)).copied().unwrap_or(index)
    }

    /// The error for value `index`.
    fn misfit(&self, index: usize, data_type: &DataType, why: &str) -> Error {
        let what = match why {
            "" => format!("which does not fit {}", sql(data_type)),
            why => format!("which does not fit {}: {why}", sql(data_type)),
        };
        result_error(&self.items[index], Some(self.row(index)), &what)
    }

    /// Converts each value; `None` stays null where the type allows it.
    fn convert<T>(
        &self,
        data_type: &DataType,
        mut value: impl FnMut(&Bound<'py, PyAny>) -> Result<T, String>,
    ) -> Result<Vec<Option<T>>, Error> {
        let mut converted = Vec::with_capacity(self.items.len());
        for (index, item) in self.items.iter().enumerate() {
            if item.is_none() {
                if data_type.not_null {
                    return Err(self.misfit(index, data_type, "null is not allowed"));
                }
                converted.push(None);
            } else {
                match value(item) {
                    Ok(value) => converted.push(Some(value)),
                    // Looked at last: hardly any value is one of pandas' own words for null.
                    Err(_) if is_missing(item) && !data_type.not_null => converted.push(None),
                    Err(why) => return Err(self.misfit(index, data_type, &why)),
                }
            }
        }
        Ok(converted)
    }
}

/// `NaT` and `NA`, of pandas and numpy. NaN is a number.
fn is_missing(item: &Bound<'_, PyAny>) -> bool {
    match class_name(item).as_str() {
        "NaTType" | "NAType" => true,
        "datetime64" | "timedelta64" => item.ne(item).unwrap_or(false),
        _ => false,
    }
}

/// The column as an array of the declared type.
pub fn to_array(column: &Column<'_>, data_type: &DataType) -> Result<ArrayRef, Error> {
    match data_type.root() {
        TypeRoot::Unspecified | TypeRoot::Null => {
            column.convert::<()>(data_type, |_| Err("only null is".to_owned()))?;
            Ok(Arc::new(NullArray::new(column.items.len())))
        }
        TypeRoot::Decimal => decimal::to_array(column, data_type),
        TypeRoot::Date
        | TypeRoot::Time
        | TypeRoot::Timestamp
        | TypeRoot::TimestampLtz
        | TypeRoot::IntervalYearMonth
        | TypeRoot::IntervalDayTime => temporal::to_array(column, data_type),
        TypeRoot::Array | TypeRoot::Map | TypeRoot::Multiset | TypeRoot::Row => nested::to_array(column, data_type),
        _ => scalar::to_array(column, data_type),
    }
}
