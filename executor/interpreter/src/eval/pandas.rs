//! Pandas functions: Series in, a Series out; a DataFrame stands for a ROW.

use std::time::Instant;

use arrow_array::ArrayRef;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, TypeRoot};

use super::arrow::{not_handed_over, wrong_length};
use super::from_series::{convert, is_frame};
use super::series::{Access, to_series};
use super::{Call, vectors};
use crate::failure::{self, python_error, result_error};
use crate::function::Function;

/// Calls the function once with all columns.
pub fn call(py: Python<'_>, function: &Function, given: &Call<'_>, run_ns: &mut u64) -> Result<ArrayRef, Error> {
    let rows = given.rows;
    let series = vectors(py, given, |column| to_series(py, column, Access::Writable(given.writable)));
    let series = series.and_then(|s| PyTuple::new(py, s)).map_err(|e| not_handed_over(py, &e))?;
    let started = Instant::now();
    let returned = failure::returned(py, function.callable.bind(py).call1(series))?;
    *run_ns += started.elapsed().as_nanos() as u64;
    let length = checked_length(py, &returned, function.result.root() == TypeRoot::Row)?;
    if length != rows {
        return Err(wrong_length(&returned, length, rows));
    }
    convert(py, &returned, &function.result)
}

/// The number of values, where the container is one that pandas functions may return.
fn checked_length(py: Python<'_>, returned: &Bound<'_, PyAny>, row_result: bool) -> Result<usize, Error> {
    static SERIES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = SERIES.import(py, "pandas", "Series");
    let is_series = class.and_then(|class| returned.is_instance(class)).map_err(|e| not_handed_over(py, &e))?;
    let is_frame = !is_series && row_result && is_frame(py, returned).map_err(|e| not_handed_over(py, &e))?;
    if !is_series && !is_frame {
        let expected = if row_result { "not a pandas.DataFrame or Series" } else { "not a pandas.Series" };
        return Err(result_error(returned, None, expected));
    }
    returned.len().map_err(|e| python_error(py, ErrorCode::ResultType, &e))
}
