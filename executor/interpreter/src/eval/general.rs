//! General functions: called once per row with Python values.

use std::time::Instant;

use arrow_array::ArrayRef;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyIterator, PyList, PyTuple, PyType};
use udfleet_kernels::Value;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::Call;
use crate::child::{Loop, end_if_forked};
use crate::failure::user_error;
use crate::from_python::{Column, exact, to_array};
use crate::function::Function;
use crate::to_python::to_list;

/// `list(map(f, *columns))`: CPython's own loop makes the calls, with no argument tuples and no per-row work of ours.
pub fn call(py: Python<'_>, function: &Function, given: &Call<'_>, run_ns: &mut u64) -> Result<ArrayRef, Error> {
    let (callable, columns) = counted(py, function, iterables(py, given)?, given.rows)?;
    let rows = given.rows;
    let running = Loop::over(&columns);
    let started = Instant::now();
    // How far the loop came is read off the first column's iterator.
    let counter = columns[0].try_iter().map_err(unexpected)?;
    let iterables = std::iter::once(counter.clone().into_any()).chain(columns[1..].iter().cloned());
    let called = finish(py, collect(py, &callable, iterables.collect()), rows, &|| consumed(&counter, rows))?;
    *run_ns += started.elapsed().as_nanos() as u64;
    drop((running, columns));
    finished(function, given, &called)
}

/// The results as a column; kept as they are too for the next function, where it would be given the same.
fn finished(function: &Function, given: &Call<'_>, results: &Bound<'_, PyList>) -> Result<ArrayRef, Error> {
    let quick = exact::of_list(results, &function.result);
    let same = quick.is_some() || (given.values.is_some() && exact::is_plain(results, &function.result));
    let column = match quick {
        Some(column) => column,
        None => to_array(&Column::of_list(results), &function.result)?,
    };
    if let Some(cache) = given.values.filter(|_| same) {
        cache.remember(&column, results);
    }
    Ok(column)
}

fn unexpected(error: PyErr) -> Error {
    Error::internal(format!("calling a function: {error}"))
}

/// The arguments as Python values, column by column.
pub fn iterables<'py>(py: Python<'py>, given: &Call<'_>) -> Result<Vec<Bound<'py, PyAny>>, Error> {
    let argument = |(index, value): (usize, &Value)| {
        let refuse = |e: PyErr| Error::new(ErrorCode::InvalidInput, format!("column {index}: {}", e.value(py)));
        if let Some(values) = given.values.and_then(|cache| cache.get(py, value.array())) {
            return Ok(values.into_any());
        }
        let list = to_list(py, value.array()).map_err(refuse)?.into_any();
        if value.is_constant() { repeat(py, &list, given.rows).map_err(unexpected) } else { Ok(list) }
    };
    given.arguments.iter().enumerate().map(argument).collect()
}

/// `[value] * rows`
fn repeat<'py>(py: Python<'py>, one: &Bound<'py, PyAny>, rows: usize) -> PyResult<Bound<'py, PyAny>> {
    one.mul(rows.into_pyobject(py)?)
}

/// What `map` calls, and over which columns: where there are none, one that counts the rows.
pub fn counted<'py>(
    py: Python<'py>,
    function: &Function,
    columns: Vec<Bound<'py, PyAny>>,
    rows: usize,
) -> Result<(Bound<'py, PyAny>, Vec<Bound<'py, PyAny>>), Error> {
    if !columns.is_empty() {
        return Ok((function.callable.bind(py).clone(), columns));
    }
    // A list, as columns are: a fork empties it in the child.
    let one = PyList::new(py, [py.None()]).and_then(|one| repeat(py, one.as_any(), rows));
    Ok((dropper(py, function).map_err(unexpected)?, vec![one.map_err(unexpected)?]))
}

/// What calls gave, row by row, and the errors of rows that failed.
pub type Called<'py> = (Bound<'py, PyList>, Vec<(usize, Error)>);

/// Calls until all rows have been, and gives what each gave: `None` for those that failed, whose errors come along.
pub fn call_each<'py>(
    py: Python<'py>,
    function: &Function,
    given: &Call<'_>,
    run_ns: &mut u64,
) -> Result<Called<'py>, Error> {
    let (callable, columns) = counted(py, function, iterables(py, given)?, given.rows)?;
    let _running = Loop::over(&columns);
    let calls = map(py, &callable, columns).map_err(unexpected)?;
    let started = Instant::now();
    let results = PyList::empty(py);
    let mut failures = Vec::new();
    while results.len() < given.rows {
        // What `extend` has taken before an exception stays, and `map` goes on behind it.
        let outcome = results.call_method1(intern!(py, "extend"), (&calls,));
        end_if_forked(py, outcome.as_ref().err());
        let row = match outcome {
            Ok(_) if results.len() == given.rows => break,
            Ok(_) => (results.len(), stop_iteration(results.len())),
            Err(error) if error.is_instance_of::<PyException>(py) => {
                let row = results.len();
                (row, user_error(py, &error).with(|info| info.row = Some(row as u64)))
            }
            Err(error) => return Err(user_error(py, &error).with(|info| info.row = Some(results.len() as u64))),
        };
        failures.push(row);
        results.append(py.None()).map_err(unexpected)?;
    }
    *run_ns += started.elapsed().as_nanos() as u64;
    Ok((results, failures))
}

/// A callable of one argument that drops it: `map` needs something to count.
fn dropper<'py>(py: Python<'py>, function: &Function) -> PyResult<Bound<'py, PyAny>> {
    let scope = PyDict::new(py);
    scope.set_item("f", &function.callable)?;
    py.eval(c"lambda _, f=f: f()", Some(&scope), None)
}

fn collect<'py>(
    py: Python<'py>,
    callable: &Bound<'py, PyAny>,
    iterables: Vec<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    static LIST: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let calls = map(py, callable, iterables)?;
    Ok(LIST.import(py, "builtins", "list")?.call1((calls,))?.cast_into::<PyList>()?)
}

/// `map(callable, *iterables)`
pub fn map<'py>(
    py: Python<'py>,
    callable: &Bound<'py, PyAny>,
    iterables: Vec<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    static MAP: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let arguments = std::iter::once(callable.clone()).chain(iterables);
    MAP.import(py, "builtins", "map")?.call1(PyTuple::new(py, arguments.collect::<Vec<_>>())?)
}

/// `map` takes a StopIteration from the function for the end of its input.
pub fn stop_iteration(row: usize) -> Error {
    Error::new(ErrorCode::UserCode, "StopIteration")
        .hint("catch StopIteration inside the function, or give next() a default")
        .with(|info| info.row = Some(row as u64))
}

fn finish<'py>(
    py: Python<'py>,
    collected: PyResult<Bound<'py, PyList>>,
    rows: usize,
    row: &dyn Fn() -> u64,
) -> Result<Bound<'py, PyList>, Error> {
    end_if_forked(py, collected.as_ref().err());
    match collected {
        Ok(list) if list.len() == rows => Ok(list),
        Ok(list) => Err(stop_iteration(list.len())),
        Err(error) => Err(user_error(py, &error).with(|info| info.row = Some(row()))),
    }
}

/// The row that was being worked on: one before the next that the iterator would give.
fn consumed(counter: &Bound<'_, PyIterator>, rows: usize) -> u64 {
    let left = counter.as_any().call_method0("__length_hint__").and_then(|left| left.extract::<usize>()).unwrap_or(0);
    rows.saturating_sub(left).saturating_sub(1) as u64
}
