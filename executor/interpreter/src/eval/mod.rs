//! Calling a function over the columns of a batch, a bounded number of rows at a time.

mod arrow;
mod general;
mod pandas;

use std::sync::Arc;

use arrow_array::{ArrayRef, new_empty_array};
use arrow_select::concat::concat;
use pyo3::prelude::*;
use udfleet_proto::error::Error;
use udfleet_proto::types::arrow_type;
use udfleet_proto::v1::FuncType;

use crate::load::Function;

/// The result column: as many rows as the input, of exactly the declared type. Adds the time spent in Python code of
/// the user to `run_ns`.
pub fn evaluate(
    py: Python<'_>,
    function: &Function,
    arguments: &[ArrayRef],
    rows: usize,
    run_ns: &mut u64,
) -> Result<ArrayRef, Error> {
    let mut pieces = Vec::with_capacity(rows / function.max_rows + 1);
    let mut start = 0;
    while start < rows {
        let length = function.max_rows.min(rows - start);
        let piece = if length == rows {
            call(py, function, arguments, length, run_ns)
        } else {
            let slices: Vec<ArrayRef> = arguments.iter().map(|column| column.slice(start, length)).collect();
            call(py, function, &slices, length, run_ns)
        };
        pieces.push(piece.map_err(|error| shift_row(error, start))?);
        start += length;
    }
    match pieces.as_slice() {
        [] => Ok(new_empty_array(&arrow_type(&function.result))),
        [only] => Ok(Arc::clone(only)),
        many => {
            let many: Vec<&dyn arrow_array::Array> = many.iter().map(AsRef::as_ref).collect();
            concat(&many).map_err(|e| Error::internal(format!("joining results: {e}")))
        }
    }
}

/// Row numbers count from the start of the caller's batch, not of the slice that the function saw.
fn shift_row(error: Error, start: usize) -> Error {
    error.with(|info| info.row = info.row.map(|row| row + start as u64))
}

fn call(
    py: Python<'_>,
    function: &Function,
    arguments: &[ArrayRef],
    rows: usize,
    run_ns: &mut u64,
) -> Result<ArrayRef, Error> {
    match function.func_type {
        FuncType::Pandas => pandas::call(py, function, arguments, rows, run_ns),
        FuncType::Arrow => arrow::call(py, function, arguments, rows, run_ns),
        FuncType::General | FuncType::Unspecified => general::call(py, function, arguments, rows, run_ns),
    }
}
