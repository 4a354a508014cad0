//! Coroutine functions: many rows wait at the same time, results come in the order of rows.

use std::time::Instant;

use arrow_array::ArrayRef;
use pyo3::exceptions::PyException;
use pyo3::ffi::c_str;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList};
use udfleet_proto::error::Error;

use super::Call;
use super::general::{Called, iterables};
use crate::child::{Loop, end_child};
use crate::failure::{returned, user_error};
use crate::from_python::{Column, to_array};
use crate::function::{Asynchronous, Function};

fn module(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || {
        let code = c_str!(include_str!("../../python/asynchronous.py"));
        let module = PyModule::from_code(py, code, c"_udfleet_asynchronous.py", c"_udfleet_asynchronous")?;
        module.add_function(wrap_pyfunction!(end_child, &module)?)?;
        Ok::<_, PyErr>(module.unbind())
    });
    Ok(module?.bind(py))
}

/// What an awaitable gives (`async def open`); anything else as it is.
pub fn finish<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if !value.hasattr("__await__")? {
        return Ok(value.clone());
    }
    module(value.py())?.getattr("finish")?.call1((value,))
}

/// Calls for all rows; the failure of one cancels those that are waiting.
pub fn call(py: Python<'_>, function: &Function, given: &Call<'_>, run_ns: &mut u64) -> Result<ArrayRef, Error> {
    let settings = function.asynchronous.unwrap_or_default();
    let (results, failures) = run(py, function, &settings, given, false, run_ns)?;
    if let Some((_, error)) = failures.into_iter().min_by_key(|(row, _)| *row) {
        return Err(error);
    }
    to_array(&Column::of_list(&results), &function.result)
}

/// Calls for all rows, whichever fail.
pub fn call_each<'py>(
    py: Python<'py>,
    function: &Function,
    settings: &Asynchronous,
    given: &Call<'_>,
    run_ns: &mut u64,
) -> Result<Called<'py>, Error> {
    run(py, function, settings, given, true, run_ns)
}

fn run<'py>(
    py: Python<'py>,
    function: &Function,
    settings: &Asynchronous,
    given: &Call<'_>,
    keep_going: bool,
    run_ns: &mut u64,
) -> Result<Called<'py>, Error> {
    let columns = iterables(py, given)?;
    let _running = Loop::over(&columns);
    let started = Instant::now();
    let Asynchronous { concurrency, timeout_ms, retries, retry_delay_ms } = *settings;
    let callable = function.callable.bind(py);
    let outcome = module(py).and_then(|module| module.getattr("run")).and_then(|run| {
        let limits = (concurrency, timeout_ms, retries, retry_delay_ms);
        run.call1((callable, given.rows, PyList::new(py, columns)?, limits, keep_going))
    });
    // What gets here is none of a row's: an exit of a task that user code has started.
    let outcome = returned(py, outcome)?;
    *run_ns += started.elapsed().as_nanos() as u64;
    take_apart(&outcome).map_err(|e| Error::internal(format!("asynchronous calls: {e}")))?
}

/// Failures of rows are told apart from what ends the whole call: an exit, an interrupt.
fn take_apart<'py>(outcome: &Bound<'py, PyAny>) -> PyResult<Result<Called<'py>, Error>> {
    let py = outcome.py();
    let results = outcome.get_item(0)?.cast_into::<PyList>()?;
    let failures = outcome.get_item(1)?.cast_into::<PyDict>()?;
    let mut errors = Vec::with_capacity(failures.len());
    for (row, exception) in failures.iter() {
        let row: usize = row.extract()?;
        let exception = PyErr::from_value(exception);
        let error = user_error(py, &exception).with(|info| info.row = Some(row as u64));
        if !exception.is_instance_of::<PyException>(py) {
            return Ok(Err(error));
        }
        errors.push((row, error));
    }
    errors.sort_by_key(|(row, _)| *row);
    Ok(Ok((results, errors)))
}
