//! Results of table functions: which of them are several rows, and the columns of these rows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, UInt32Array};
use arrow_select::take::take;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};
use udfleet_proto::error::Error;
use udfleet_proto::v1::{DataType, OnError, TypeRoot};

use crate::eval::is_row_error;
use crate::from_python::{Column, exact, to_array};

/// The result of a call, read as PyFlink reads it: `None` is no row; lists, ranges and generators are many; a tuple or
/// `Row` is one; anything else is one row with that value.
pub enum CallResult<'py> {
    Nothing,
    One(Bound<'py, PyAny>),
    /// A list, all of whose items are rows.
    List(Bound<'py, PyList>),
    Iterator(Bound<'py, PyAny>),
}

impl<'py> CallResult<'py> {
    /// Looks at the value's class.
    pub fn of(value: Bound<'py, PyAny>) -> PyResult<Self> {
        static GENERATOR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        static RANGE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let py = value.py();
        if value.is_none() {
            return Ok(Self::Nothing);
        }
        let class = value.get_type();
        if class.is(GENERATOR.import(py, "types", "GeneratorType")?) {
            return Ok(Self::Iterator(value));
        }
        match value.cast_into::<PyList>() {
            Ok(list) => Ok(Self::List(list)),
            Err(other) => {
                let value = other.into_inner();
                let many = class.is(RANGE.import(py, "builtins", "range")?);
                Ok(if many { Self::Iterator(value.try_iter()?.into_any()) } else { Self::One(value) })
            }
        }
    }
}

/// Rows of the output on their way to columns.
pub struct Rows<'py> {
    items: Bound<'py, PyList>,
    /// The input row of each.
    pub sources: Vec<u32>,
    /// Those without an item: rows of nulls.
    absent: Vec<usize>,
}

impl<'py> Rows<'py> {
    pub fn new(py: Python<'py>) -> Self {
        Self { items: PyList::empty(py), sources: Vec::new(), absent: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Takes in at most `room` results of a row, and says how many there were. What came before an exception stays.
    pub fn extend(&mut self, source: usize, results: &Bound<'py, PyAny>, room: usize) -> (usize, PyResult<()>) {
        static ISLICE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let py = results.py();
        let before = self.items.len();
        let taken = match results.cast::<PyList>() {
            Ok(list) => Ok(list.as_any().clone()),
            Err(_) => ISLICE.import(py, "itertools", "islice").and_then(|islice| islice.call1((results, room))),
        };
        let outcome = taken.and_then(|taken| self.items.call_method1(intern!(py, "extend"), (taken,))).map(drop);
        let added = self.items.len() - before;
        self.sources.extend(std::iter::repeat_n(source as u32, added));
        (added, outcome)
    }

    /// One result of a row.
    pub fn push(&mut self, source: usize, result: &Bound<'py, PyAny>) -> PyResult<()> {
        self.items.append(result)?;
        self.sources.push(source as u32);
        Ok(())
    }

    /// A row of nulls.
    pub fn push_absent(&mut self, source: usize) {
        self.absent.push(self.sources.len());
        self.sources.push(source as u32);
    }

    /// Takes the newest rows of an input row back.
    pub fn withdraw(&mut self, source: usize) -> PyResult<()> {
        let kept = self.sources.iter().rposition(|row| *row != source as u32).map_or(0, |last| last + 1);
        self.sources.truncate(kept);
        self.absent.retain(|position| *position < kept);
        let items = kept - self.absent.len();
        self.items.del_slice(items, self.items.len())
    }

    /// The columns. Input rows whose results do not fit are dealt with as `policy` says, and their errors added.
    pub fn columns(
        &mut self,
        result: &DataType,
        policy: OnError,
        failures: &mut Vec<Error>,
    ) -> Result<Vec<ArrayRef>, Error> {
        match self.convert(result) {
            Err(error) if is_row_error(&error) && matches!(policy, OnError::Null | OnError::Skip) => {
                self.drop_misfits(result, policy, failures)?;
                self.convert(result)
            }
            outcome => outcome,
        }
    }

    fn convert(&self, result: &DataType) -> Result<Vec<ArrayRef>, Error> {
        let columns = match only_column(result).and_then(|only| exact::of_list(&self.items, only)) {
            Some(column) => vec![column],
            None => columns_of(self.items.iter().collect(), self.rows(), result)?,
        };
        if self.absent.is_empty() {
            return Ok(columns);
        }
        let positions = self.positions();
        let taken = columns.iter().map(|column| take(column, &positions, None)).collect::<Result<_, _>>();
        taken.map_err(|e| Error::internal(format!("rows of nulls: {e}")))
    }

    /// The input row of each item.
    fn rows(&self) -> Vec<usize> {
        let mut absent = self.absent.iter().peekable();
        let present = |(at, _): &(usize, &u32)| absent.next_if(|absent| *absent == at).is_none();
        self.sources.iter().enumerate().filter(present).map(|(_, source)| *source as usize).collect()
    }

    /// The item of each row, null where there is none.
    fn positions(&self) -> UInt32Array {
        let mut absent = self.absent.iter().peekable();
        let mut item = 0;
        let position = |at: usize| {
            if absent.next_if(|next| **next == at).is_some() {
                return None;
            }
            item += 1;
            Some(item - 1)
        };
        (0..self.sources.len()).map(position).collect()
    }

    fn drop_misfits(&mut self, result: &DataType, policy: OnError, failures: &mut Vec<Error>) -> Result<(), Error> {
        let unexpected = |e: PyErr| Error::internal(format!("rows of a table function: {e}"));
        let items: Vec<Option<Bound<'py, PyAny>>> = self
            .positions()
            .iter()
            .map(|item| item.map(|item| self.items.get_item(item as usize)).transpose())
            .collect::<PyResult<_>>()
            .map_err(unexpected)?;
        let mut kept = Self::new(self.items.py());
        let mut start = 0;
        for group in self.sources.chunk_by(|a, b| a == b) {
            let source = group[0] as usize;
            let items = &items[start..start + group.len()];
            start += group.len();
            let present: Vec<_> = items.iter().flatten().cloned().collect();
            let rows = vec![source; present.len()];
            match columns_of(present, rows, result) {
                Err(error) if is_row_error(&error) => {
                    failures.push(error);
                    if policy == OnError::Null {
                        kept.push_absent(source);
                    }
                }
                Err(error) => return Err(error),
                Ok(_) => {
                    for item in items {
                        match item {
                            Some(item) => kept.push(source, item).map_err(unexpected)?,
                            None => kept.push_absent(source),
                        }
                    }
                }
            }
        }
        *self = kept;
        Ok(())
    }
}

/// The type of the column, where results are of one column.
fn only_column(result: &DataType) -> Option<&DataType> {
    match (result.root(), result.fields.as_slice()) {
        (TypeRoot::Row, [field]) => field.r#type.as_ref(),
        (TypeRoot::Row, _) => None,
        _ => Some(result),
    }
}

/// Items as columns: the fields of a ROW, or the one column.
pub fn columns_of(items: Vec<Bound<'_, PyAny>>, rows: Vec<usize>, result: &DataType) -> Result<Vec<ArrayRef>, Error> {
    if result.root() != TypeRoot::Row {
        return single(items, rows, "", result);
    }
    if let [field] = result.fields.as_slice() {
        return single(items, rows, &field.name, &field.r#type.clone().unwrap_or_default());
    }
    let whole = DataType { not_null: true, ..result.clone() };
    let array = to_array(&Column::of_items(items, rows), &whole)?;
    Ok(array.as_struct().columns().iter().map(Arc::clone).collect())
}

fn single(
    items: Vec<Bound<'_, PyAny>>,
    rows: Vec<usize>,
    name: &str,
    data_type: &DataType,
) -> Result<Vec<ArrayRef>, Error> {
    let items = items.into_iter().map(|item| unwrap(item, name, data_type)).collect::<PyResult<Vec<_>>>();
    let items = items.map_err(|e| Error::internal(format!("rows of one field: {e}")))?;
    if let Some(column) = exact::of_items(&items, data_type) {
        return Ok(vec![column]);
    }
    Ok(vec![to_array(&Column::of_items(items, rows), data_type)?])
}

/// A tuple or `Row` of one field is that field, as PyFlink has it; where it has a name, it must be the declared one.
fn unwrap<'py>(item: Bound<'py, PyAny>, name: &str, data_type: &DataType) -> PyResult<Bound<'py, PyAny>> {
    static ROW: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let fits = |names: Bound<'py, PyAny>| -> PyResult<bool> {
        Ok(name.is_empty() || names.is_none() || names.get_item(0)?.eq(name)?)
    };
    if let Ok(tuple) = item.cast::<PyTuple>() {
        let named = tuple.get_type().getattr_opt("_fields")?.filter(|names| names.len().is_ok_and(|count| count == 1));
        let fits = named.map_or(Ok(true), fits)?;
        return if tuple.len() == 1 && fits { tuple.get_item(0) } else { Ok(item) };
    }
    let is_row = || -> PyResult<bool> { Ok(item.get_type().is(ROW.import(item.py(), "udfleet", "Row")?)) };
    if data_type.root() != TypeRoot::Row && is_row()? && item.len()? == 1 {
        return if fits(item.getattr("_names")?)? { item.get_item(0) } else { Ok(item) };
    }
    let takes_dicts = matches!(data_type.root(), TypeRoot::Map | TypeRoot::Multiset | TypeRoot::Row);
    if !name.is_empty() && !takes_dicts && item.is_instance_of::<PyDict>() && item.len()? == 1 {
        return item.get_item(name).or(Ok(item));
    }
    Ok(item)
}
