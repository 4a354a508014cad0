//! General functions: called once per row with Python values.

use std::time::Instant;

use arrow_array::ArrayRef;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyIterator, PyList, PyTuple, PyType};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use crate::failure::user_error;
use crate::from_python::{Column, to_array};
use crate::load::Function;
use crate::to_python::to_list;

/// `list(map(f, *columns))`: CPython's own loop makes the calls, with no argument tuples and no per-row work of ours.
pub fn call(
    py: Python<'_>,
    function: &Function,
    arguments: &[ArrayRef],
    rows: usize,
    run_ns: &mut u64,
) -> Result<ArrayRef, Error> {
    let unexpected = |e: PyErr| Error::internal(format!("converting arguments: {e}"));
    let argument = |(index, column): (usize, &ArrayRef)| {
        let refuse = |e: PyErr| Error::new(ErrorCode::InvalidInput, format!("column {index}: {}", e.value(py)));
        to_list(py, column).map_err(refuse)
    };
    let columns = arguments.iter().enumerate().map(argument).collect::<Result<Vec<_>, _>>()?;
    let started = Instant::now();
    let called = match columns.as_slice() {
        [] => call_without_arguments(py, function, rows)?,
        [first, ..] => {
            // How far the loop came is read off the first column's iterator.
            let counter = first.as_any().try_iter().map_err(unexpected)?;
            let rest = columns[1..].iter().map(|column| column.as_any().clone());
            let iterables = std::iter::once(counter.clone().into_any()).chain(rest);
            run(py, function, iterables.collect(), rows, &|| consumed(&counter, rows))?
        }
    };
    *run_ns += started.elapsed().as_nanos() as u64;
    drop(columns);
    to_array(&Column::of_list(&called), &function.result)
}

fn call_without_arguments<'py>(py: Python<'py>, function: &Function, rows: usize) -> Result<Bound<'py, PyList>, Error> {
    let unexpected = |e: PyErr| Error::internal(format!("calling without arguments: {e}"));
    // A callable of one argument that drops it: `map` needs something to count.
    let scope = PyDict::new(py);
    scope.set_item("f", &function.callable).map_err(unexpected)?;
    let dropper = py.eval(c"lambda _, f=f: f()", Some(&scope), None).map_err(unexpected)?;
    let range = py.import("builtins").and_then(|b| b.getattr("range")?.call1((rows,))).map_err(unexpected)?;
    let counter = range.try_iter().map_err(unexpected)?;
    let collected = collect(py, &dropper, vec![counter.clone().into_any()]);
    finish(py, collected, rows, &|| consumed(&counter, rows))
}

fn run<'py>(
    py: Python<'py>,
    function: &Function,
    iterables: Vec<Bound<'py, PyAny>>,
    rows: usize,
    row: &dyn Fn() -> u64,
) -> Result<Bound<'py, PyList>, Error> {
    let collected = collect(py, function.callable.bind(py), iterables);
    finish(py, collected, rows, row)
}

fn collect<'py>(
    py: Python<'py>,
    callable: &Bound<'py, PyAny>,
    iterables: Vec<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    static MAP: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static LIST: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let arguments = std::iter::once(callable.clone()).chain(iterables);
    let arguments = PyTuple::new(py, arguments.collect::<Vec<_>>())?;
    let calls = MAP.import(py, "builtins", "map")?.call1(arguments)?;
    Ok(LIST.import(py, "builtins", "list")?.call1((calls,))?.cast_into::<PyList>()?)
}

fn finish<'py>(
    py: Python<'py>,
    collected: PyResult<Bound<'py, PyList>>,
    rows: usize,
    row: &dyn Fn() -> u64,
) -> Result<Bound<'py, PyList>, Error> {
    match collected {
        Ok(list) if list.len() == rows => Ok(list),
        // `map` takes a StopIteration from the function for the end of its input.
        Ok(list) => Err(Error::new(ErrorCode::UserCode, "StopIteration")
            .hint("catch StopIteration inside the function, or give next() a default")
            .with(|info| info.row = Some(list.len() as u64))),
        Err(error) => Err(user_error(py, &error).with(|info| info.row = Some(row()))),
    }
}

/// The row that was being worked on: one before the next that the iterator would give.
fn consumed(counter: &Bound<'_, PyIterator>, rows: usize) -> u64 {
    let left = counter.as_any().call_method0("__length_hint__").and_then(|left| left.extract::<usize>()).unwrap_or(0);
    rows.saturating_sub(left).saturating_sub(1) as u64
}
