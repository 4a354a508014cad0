//! Calls a function over the columns of a batch, a bounded number of rows at a time.

mod arrow;
mod asynchronous;
mod from_series;
mod general;
mod lenient;
mod pandas;
mod row_errors;
mod series;
mod value_cache;

use std::sync::Arc;

use arrow_array::{ArrayRef, new_empty_array};
use arrow_select::concat::concat;
use pyo3::prelude::*;
use udfleet_kernels::Value;
use udfleet_proto::error::Error;
use udfleet_proto::types::arrow_type;
use udfleet_proto::v1::FuncType;

pub use arrow::{not_handed_over, to_pyarrow};
pub use asynchronous::finish;
pub use general::{counted, iterables, map, stop_iteration};
pub use lenient::is_row_error;
pub use row_errors::{Messages, effective as effective_policy, evaluate_rows, policy};
pub use series::{Access, to_series};
pub use value_cache::ValueCache;

use crate::function::Function;
use crate::private::WritableInput;

/// What a function is called with.
pub struct Call<'a> {
    /// The columns, in the declared types.
    pub arguments: &'a [Value],
    /// How many rows.
    pub rows: usize,
    /// Values that other functions of the same command have given.
    pub values: Option<&'a ValueCache>,
    /// Input that pandas functions are given to write to; without it they get copies.
    pub writable: Option<&'a WritableInput>,
}

impl Call<'_> {
    /// Some of the rows.
    fn slice(&self, start: usize, length: usize) -> Vec<Value> {
        self.arguments.iter().map(|value| value.slice(start, length)).collect()
    }
}

/// The result column: as many rows as the input, of exactly the declared type. Adds the time spent in Python code of
/// the user to `run_ns`.
pub fn evaluate(py: Python<'_>, function: &Function, given: &Call<'_>, run_ns: &mut u64) -> Result<ArrayRef, Error> {
    let rows = given.rows;
    let mut pieces = Vec::with_capacity(rows / function.max_rows + 1);
    let mut start = 0;
    while start < rows {
        let length = function.max_rows.min(rows - start);
        let piece = if length == rows {
            call(py, function, given, run_ns)
        } else {
            let slices = given.slice(start, length);
            call(
                py,
                function,
                &Call { arguments: &slices, rows: length, values: None, writable: given.writable },
                run_ns,
            )
        };
        pieces.push(piece.map_err(|error| shift_row(error, start))?);
        start += length;
    }
    match pieces.as_slice() {
        [] => Ok(new_empty_array(&arrow_type(&function.result))),
        [only] => Ok(Arc::clone(only)),
        many => join(many),
    }
}

fn join(pieces: &[ArrayRef]) -> Result<ArrayRef, Error> {
    let pieces: Vec<&dyn arrow_array::Array> = pieces.iter().map(AsRef::as_ref).collect();
    concat(&pieces).map_err(|e| Error::internal(format!("joining results: {e}")))
}

/// Row numbers count from the start of the caller's batch, not of the slice that the function saw.
fn shift_row(error: Error, start: usize) -> Error {
    error.with(|info| info.row = info.row.map(|row| row + start as u64))
}

fn call(py: Python<'_>, function: &Function, given: &Call<'_>, run_ns: &mut u64) -> Result<ArrayRef, Error> {
    match function.func_type {
        FuncType::Pandas => pandas::call(py, function, given, run_ns),
        FuncType::Arrow => arrow::call(py, function, given, run_ns),
        _ if function.asynchronous.is_some() => asynchronous::call(py, function, given, run_ns),
        FuncType::General | FuncType::Unspecified => general::call(py, function, given, run_ns),
    }
}

/// Arguments of pandas and arrow functions: literals are plain Python values, as PyFlink has it, unless nothing else
/// tells how many rows there are.
fn vectors<'py>(
    py: Python<'py>,
    given: &Call<'_>,
    vector: impl Fn(&ArrayRef) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let all_constant = given.arguments.iter().all(Value::is_constant);
    let argument = |value: &Value| match value {
        Value::Constant(array) if !all_constant => crate::to_python::to_list(py, array)?.as_any().get_item(0),
        value => {
            let column = value.column(given.rows);
            vector(&column.map_err(|e| pyo3::exceptions::PyValueError::new_err(e.to_string()))?)
        }
    };
    given.arguments.iter().map(argument).collect()
}
