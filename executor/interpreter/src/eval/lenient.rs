//! Calls in which failing rows do not fail the others.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray, UInt32Array, new_empty_array};
use arrow_select::take::take;
use pyo3::prelude::*;
use pyo3::types::PyList;
use udfleet_proto::error::{Error, truncate};
use udfleet_proto::types::arrow_type;
use udfleet_proto::v1::{ErrorCode, FuncType};

use super::{Call, asynchronous, call, general, join, shift_row};
use crate::from_python::{Column, exact, to_array};
use crate::function::Function;

/// The longest message about a row, bytes.
const MOST_MESSAGE: usize = 512;

/// Results of the rows that went well, and the errors of the others.
pub struct LenientResults {
    /// Only of good rows.
    pub results: ArrayRef,
    /// Which ones.
    pub good: Vec<u32>,
    /// In the order of their rows.
    pub failures: Vec<Error>,
}

impl LenientResults {
    /// One result for each of `rows`, null for those that failed.
    pub fn with_nulls(&self, rows: usize) -> Result<ArrayRef, Error> {
        if self.good.len() == rows {
            return Ok(self.results.clone());
        }
        take(&self.results, &self.positions(rows), None)
            .map_err(|e| Error::internal(format!("results with nulls: {e}")))
    }

    /// For each of `rows` why it failed; `None` if none has.
    pub fn messages(&self, rows: usize) -> Option<ArrayRef> {
        if self.failures.is_empty() {
            return None;
        }
        let (mut good, mut failures) = (self.good.iter().peekable(), self.failures.iter());
        let message = |row: usize| match good.next_if(|next| **next as usize == row) {
            Some(_) => None,
            None => failures.next().map(|error| {
                let mut message = error.info().message.clone();
                truncate(&mut message, MOST_MESSAGE);
                message
            }),
        };
        Some(Arc::new((0..rows).map(message).collect::<StringArray>()))
    }

    /// For each of `rows` the position of its result, null where it failed.
    fn positions(&self, rows: usize) -> UInt32Array {
        let mut positions: Vec<Option<u32>> = vec![None; rows];
        for (position, row) in self.good.iter().enumerate() {
            if let Some(slot) = positions.get_mut(*row as usize) {
                *slot = u32::try_from(position).ok();
            }
        }
        UInt32Array::from(positions)
    }
}

/// True if the function is called once per row.
pub fn is_by_row(function: &Function) -> bool {
    matches!(function.func_type, FuncType::General | FuncType::Unspecified)
}

/// True for what may happen to a single row; anything else is about the function or the fleet.
pub fn is_row_error(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::UserCode | ErrorCode::ResultType)
}

/// As [`super::evaluate`], row by row where it must be.
pub fn evaluate(
    py: Python<'_>,
    function: &Function,
    given: &Call<'_>,
    run_ns: &mut u64,
) -> Result<LenientResults, Error> {
    let mut pieces = Vec::new();
    let (mut good, mut failures) = (Vec::new(), Vec::new());
    let mut start = 0;
    while start < given.rows {
        let length = function.max_rows.min(given.rows - start);
        let slices = given.slice(start, length);
        let piece = Call { arguments: &slices, rows: length, values: None, writable: given.writable };
        let outcome = match function.func_type {
            FuncType::Pandas | FuncType::Arrow => halves(py, function, &piece, run_ns)?,
            FuncType::General | FuncType::Unspecified => singly(py, function, &piece, run_ns)?,
        };
        pieces.push(outcome.results);
        good.extend(outcome.good.iter().map(|row| row + start as u32));
        failures.extend(outcome.failures.into_iter().map(|error| shift_row(error, start)));
        start += length;
    }
    let results = match pieces.as_slice() {
        [] => new_empty_array(&arrow_type(&function.result)),
        many => join(many)?,
    };
    Ok(LenientResults { results, good, failures })
}

/// A call of all columns that fails is made again with halves of the rows, down to single ones.
fn halves(py: Python<'_>, function: &Function, given: &Call<'_>, run_ns: &mut u64) -> Result<LenientResults, Error> {
    let error = match call(py, function, given, run_ns) {
        Ok(results) => {
            return Ok(LenientResults { results, good: (0..given.rows as u32).collect(), failures: Vec::new() });
        }
        Err(error) if !is_row_error(&error) => return Err(error),
        Err(error) => error,
    };
    if given.rows <= 1 {
        let error = error.with(|info| info.row = Some(0));
        let results = new_empty_array(&arrow_type(&function.result));
        return Ok(LenientResults { results, good: Vec::new(), failures: vec![error] });
    }
    let half = given.rows / 2;
    let (first, second) = (given.slice(0, half), given.slice(half, given.rows - half));
    let mut first =
        halves(py, function, &Call { arguments: &first, rows: half, values: None, writable: given.writable }, run_ns)?;
    let second = Call { arguments: &second, rows: given.rows - half, values: None, writable: given.writable };
    let second = halves(py, function, &second, run_ns)?;
    first.results = join(&[first.results, second.results])?;
    first.good.extend(second.good.iter().map(|row| row + half as u32));
    first.failures.extend(second.failures.into_iter().map(|error| shift_row(error, half)));
    Ok(first)
}

/// General functions: no row is called twice.
fn singly(py: Python<'_>, function: &Function, given: &Call<'_>, run_ns: &mut u64) -> Result<LenientResults, Error> {
    let (results, failures) = match &function.asynchronous {
        Some(settings) => asynchronous::call_each(py, function, settings, given, run_ns)?,
        None => general::call_each(py, function, given, run_ns)?,
    };
    convert(&results, failures, function)
}

/// Results to a column; those that do not fit the declared type have failed too.
fn convert(
    results: &Bound<'_, PyList>,
    called: Vec<(usize, Error)>,
    function: &Function,
) -> Result<LenientResults, Error> {
    if called.is_empty()
        && let Some(results) = exact::of_list(results, &function.result)
    {
        let good = (0..results.len() as u32).collect();
        return Ok(LenientResults { results, good, failures: Vec::new() });
    }
    let mut failed: Vec<Option<Error>> = vec![None; results.len()];
    for (row, error) in called {
        failed[row] = Some(error);
    }
    loop {
        let good: Vec<usize> = (0..results.len()).filter(|row| failed[*row].is_none()).collect();
        let items = good.iter().filter_map(|row| results.get_item(*row).ok()).collect();
        match to_array(&Column::of_items(items, good.clone()), &function.result) {
            Ok(results) => {
                let good = good.into_iter().map(|row| row as u32).collect();
                return Ok(LenientResults { results, good, failures: failed.into_iter().flatten().collect() });
            }
            Err(error) if !is_row_error(&error) => return Err(error),
            // Rare: each is looked at alone, so that all that do not fit are found at once.
            Err(_) => {
                for row in good {
                    let item = results.get_item(row).map_err(|e| Error::internal(e.to_string()))?;
                    failed[row] = to_array(&Column::of_items(vec![item], vec![row]), &function.result).err();
                }
            }
        }
    }
}
