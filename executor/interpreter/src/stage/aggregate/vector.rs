//! Aggregates over whole columns: pandas and arrow functions see all rows of a group at once.

use std::rc::Rc;

use arrow_array::{Array, ArrayRef, UInt32Array, new_empty_array};
use arrow_select::concat::concat;
use arrow_select::take::take;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use udfleet_proto::error::Error;
use udfleet_proto::types::arrow_type;
use udfleet_proto::v1::FuncType;

use super::super::context::Context;
use super::{Aggregate, Selected, arguments};
use crate::eval::{Access, not_handed_over, to_pyarrow, to_series};
use crate::failure::returned;
use crate::function::Function;

/// The rows of all groups, as they came.
#[derive(Default)]
pub struct Vector {
    batches: Vec<Vec<ArrayRef>>,
    groups: Vec<u32>,
    sorted: Option<Sorted>,
}

/// The rows of each group side by side.
struct Sorted {
    columns: Vec<ArrayRef>,
    /// Where each group starts, and where the last ends.
    starts: Vec<usize>,
}

fn unexpected(error: arrow_schema::ArrowError) -> Error {
    Error::internal(format!("rows of groups: {error}"))
}

impl Vector {
    /// True before the first row.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Keeps the arguments.
    pub fn collect(
        &mut self,
        context: &Context<'_, '_>,
        function: &Rc<Function>,
        aggregate: &Aggregate,
        rows: &Selected,
    ) -> Result<(), Error> {
        let arguments = arguments(context, function, aggregate, &rows.chunk)?;
        let columns = arguments.iter().map(|value| value.column(rows.chunk.rows)).collect::<Result<_, _>>()?;
        self.batches.push(columns);
        self.groups.extend_from_slice(&rows.groups);
        Ok(())
    }

    fn sort(&mut self, function: &Function, aggregate: &Aggregate, groups: usize) -> Result<&Sorted, Error> {
        let sorted = match self.sorted.take() {
            Some(sorted) => sorted,
            None => {
                let mut starts = vec![0; groups + 1];
                self.groups.iter().for_each(|group| starts[*group as usize + 1] += 1);
                (0..groups).for_each(|group| starts[group + 1] += starts[group]);
                let mut next = starts.clone();
                let mut order = vec![0_u32; self.groups.len()];
                for (row, group) in self.groups.iter().enumerate() {
                    order[next[*group as usize]] = row as u32;
                    next[*group as usize] += 1;
                }
                let columns = self.columns(function, aggregate, &UInt32Array::from(order))?;
                self.batches.clear();
                Sorted { columns, starts }
            }
        };
        Ok(self.sorted.insert(sorted))
    }

    fn columns(&self, function: &Function, aggregate: &Aggregate, order: &UInt32Array) -> Result<Vec<ArrayRef>, Error> {
        let Some(first) = self.batches.first() else {
            let empty = match &function.inputs {
                Some(inputs) => inputs.iter().map(|declared| new_empty_array(declared.arrow())).collect(),
                None => aggregate.types.iter().map(|given| new_empty_array(&arrow_type(given))).collect(),
            };
            return Ok(empty);
        };
        let column = |index: usize| {
            let pieces: Vec<&dyn Array> = self.batches.iter().map(|batch| batch[index].as_ref()).collect();
            take(&concat(&pieces).map_err(unexpected)?, order, None).map_err(unexpected)
        };
        (0..first.len()).map(column).collect()
    }

    /// What the function gives for some groups.
    pub fn values<'py>(
        &mut self,
        py: Python<'py>,
        function: &Function,
        aggregate: &Aggregate,
        groups: std::ops::Range<usize>,
        all: usize,
    ) -> Result<Vec<Bound<'py, PyAny>>, Error> {
        let sorted = self.sort(function, aggregate, all)?;
        groups.map(|group| sorted.call(py, function, group)).collect()
    }
}

impl Sorted {
    fn call<'py>(&self, py: Python<'py>, function: &Function, group: usize) -> Result<Bound<'py, PyAny>, Error> {
        let (start, end) = (self.starts[group], self.starts[group + 1]);
        let argument = |column: &ArrayRef| {
            let column = column.slice(start, end - start);
            if function.func_type == FuncType::Arrow {
                to_pyarrow(py, &column)
            } else {
                to_series(py, &column, Access::Writable(None))
            }
        };
        let arguments = self.columns.iter().map(argument).collect::<PyResult<Vec<_>>>();
        let arguments = arguments.and_then(|all| PyTuple::new(py, all)).map_err(|e| not_handed_over(py, &e))?;
        let value = returned(py, function.callable.bind(py).call1(arguments))?;
        returned(py, plain(value))
    }
}

/// A pyarrow scalar as the value it stands for; NaN and pandas' missing values as null, as in a Series.
fn plain(value: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = value.py();
    if value.hasattr(intern!(py, "as_py"))? {
        return value.call_method0(intern!(py, "as_py"));
    }
    let class = value.get_type().name()?.to_string();
    let missing = match class.as_str() {
        "NAType" | "NaTType" => true,
        "float" | "float64" | "float32" | "float16" => value.ne(&value)?,
        _ => false,
    };
    Ok(if missing { py.None().into_bound(py) } else { value })
}
