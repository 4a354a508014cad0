//! General aggregates: an accumulator per group, changed in place row by row.

use std::rc::Rc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray};
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, OnError};

use super::super::context::Context;
use super::{Aggregate, Selected, arguments, unexpected};
use crate::child::{Loop, end_if_forked};
use crate::eval::{Call, effective_policy, iterables, map, stop_iteration};
use crate::failure::{python_error, returned, user_error};
use crate::function::Function;

/// Accumulators by group.
#[derive(Default)]
pub struct General {
    accumulators: Vec<Py<PyAny>>,
}

impl General {
    /// True before the first group.
    pub fn is_empty(&self) -> bool {
        self.accumulators.is_empty()
    }

    /// Makes accumulators for groups that have none.
    pub fn create(&mut self, py: Python<'_>, function: &Function, groups: usize) -> Result<(), Error> {
        let object = function.callable.bind(py);
        while self.accumulators.len() < groups {
            let made = returned(py, object.call_method0(intern!(py, "create_accumulator")))?;
            self.accumulators.push(made.unbind());
        }
        Ok(())
    }

    /// `accumulate(accumulator, *arguments)` for each row, in CPython's own loop. The errors of rows that were left out,
    /// where the policy is to skip rows that fail.
    pub fn accumulate(
        &mut self,
        context: &mut Context<'_, '_>,
        function: &Rc<Function>,
        aggregate: &Aggregate,
        rows: &Selected,
        groups: usize,
    ) -> Result<Vec<Error>, Error> {
        let arguments = arguments(context, function, aggregate, &rows.chunk)?;
        let given = Call { arguments: &arguments, rows: rows.chunk.rows, values: None, writable: None };
        let columns = iterables(context.py, &given)?;
        let policy = effective_policy(function, context.on_error);
        context.timed(aggregate.call.slot, rows.chunk.rows, |py| {
            self.create(py, function, groups)?;
            let accumulators = rows.groups.iter().map(|group| &self.accumulators[*group as usize]);
            let accumulators = PyList::new(py, accumulators).map_err(unexpected)?.into_any();
            let _running = Loop::over(std::iter::once(&accumulators).chain(&columns));
            let method = returned(py, function.callable.bind(py).getattr(intern!(py, "accumulate")))?;
            let iterables = std::iter::once(accumulators).chain(columns).collect();
            let calls = map(py, &method, iterables).map_err(unexpected)?;
            run_all(py, &calls, rows.groups.len(), policy == OnError::Skip)
        })
    }

    /// `merge(accumulator, accumulators)` for each group that got any.
    pub fn merge(
        &mut self,
        context: &mut Context<'_, '_>,
        function: &Rc<Function>,
        aggregate: &Aggregate,
        rows: &Selected,
        groups: usize,
    ) -> Result<(), Error> {
        let not_pickled = || Error::internal("accumulators to merge are no BYTES");
        let index = *aggregate.call.arguments.first().ok_or_else(not_pickled)?;
        let pickled = rows.chunk.register(index)?.column(rows.chunk.rows)?;
        let pickled = pickled.as_binary_opt::<i32>().ok_or_else(not_pickled)?;
        context.timed(aggregate.call.slot, rows.chunk.rows, |py| {
            self.create(py, function, groups)?;
            let loads = py.import("pickle").and_then(|module| module.getattr("loads")).map_err(unexpected)?;
            let mut order: Vec<usize> = (0..pickled.len()).filter(|row| pickled.is_valid(*row)).collect();
            order.sort_by_key(|row| rows.groups[*row]);
            for same in order.chunk_by(|a, b| rows.groups[*a] == rows.groups[*b]) {
                let load = |row: &usize| loads.call1((PyBytes::new(py, pickled.value(*row)),));
                let others = same.iter().map(load).collect::<PyResult<Vec<_>>>();
                let others = returned(py, others.and_then(|others| PyList::new(py, others)))?;
                let accumulator = &self.accumulators[rows.groups[same[0]] as usize];
                let object = function.callable.bind(py);
                returned(py, object.call_method1(intern!(py, "merge"), (accumulator, others)))?;
            }
            Ok(())
        })
    }

    /// What a method (`get_value`, `emit_value`) gives for some groups.
    pub fn values<'py>(
        &self,
        py: Python<'py>,
        function: &Function,
        method: &str,
        groups: std::ops::Range<usize>,
    ) -> Result<Vec<Bound<'py, PyAny>>, Error> {
        let method = returned(py, function.callable.bind(py).getattr(method))?;
        let accumulators = &self.accumulators[groups];
        accumulators.iter().map(|accumulator| returned(py, method.call1((accumulator,)))).collect()
    }

    /// Pickled accumulators of some groups.
    pub fn pickled(&self, py: Python<'_>, groups: std::ops::Range<usize>) -> Result<ArrayRef, Error> {
        let pickle = |accumulator: &Py<PyAny>| dumps(accumulator.bind(py));
        let pickled = self.accumulators[groups].iter().map(pickle).collect::<PyResult<Vec<_>>>();
        let pickled = pickled.map_err(|e| {
            python_error(py, ErrorCode::UserCode, &e)
                .hint("functions with merge() need accumulators that can be pickled")
        })?;
        Ok(std::sync::Arc::new(BinaryArray::from_iter_values(pickled)))
    }
}

/// Runs the calls of so many rows, and gives the errors of those that were left out, where failing rows are skipped.
fn run_all(py: Python<'_>, calls: &Bound<'_, PyAny>, rows: usize, skip: bool) -> Result<Vec<Error>, Error> {
    // What `extend` has taken before an exception stays: that counts the rows, also where one raises StopIteration,
    // which `extend` takes for the end of its input.
    let results = PyList::empty(py);
    let mut failures = Vec::new();
    loop {
        let outcome = results.call_method1(intern!(py, "extend"), (calls,));
        end_if_forked(py, outcome.as_ref().err());
        let row = results.len() + failures.len();
        let (error, spared) = match outcome {
            Ok(_) if row >= rows => return Ok(failures),
            Ok(_) => (stop_iteration(row), true),
            Err(error) => {
                let spared = error.is_instance_of::<PyException>(py);
                (user_error(py, &error).with(|info| info.row = Some(row as u64)), spared)
            }
        };
        // `map` goes on behind the row that failed.
        if !skip || !spared {
            return Err(error);
        }
        failures.push(error);
    }
}

/// By pickle, or, where a class can't be imported by its name, by cloudpickle, which travels with functions.
fn dumps(accumulator: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    let py = accumulator.py();
    let pickled = py.import("pickle")?.call_method1("dumps", (accumulator, 5));
    end_if_forked(py, pickled.as_ref().err());
    let pickled = match pickled {
        Ok(pickled) => pickled,
        Err(error) => match py.import("cloudpickle") {
            Ok(module) => module.call_method1("dumps", (accumulator,))?,
            Err(_) => return Err(error),
        },
    };
    Ok(pickled.cast::<PyBytes>()?.as_bytes().to_vec())
}
