//! Lists, maps and rows.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::{build, child, to_list as values_of, unsupported};

/// ARRAY → list, MAP → dict, ROW → `udfleet.Row` with the field names.
pub fn to_list<'py>(py: Python<'py>, array: &ArrayRef) -> PyResult<Bound<'py, PyList>> {
    match array.data_type() {
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let items = values_of(py, &child(lists.values()))?;
            let offsets = lists.value_offsets();
            build(py, array, |row| Ok(items.get_slice(offsets[row] as usize, offsets[row + 1] as usize).into_any()))
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            let items = values_of(py, &child(lists.values()))?;
            let offsets = lists.value_offsets();
            build(py, array, |row| Ok(items.get_slice(offsets[row] as usize, offsets[row + 1] as usize).into_any()))
        }
        DataType::FixedSizeList(_, _) => {
            let lists = array.as_fixed_size_list();
            let items = values_of(py, &child(lists.values()))?;
            let start = |row: usize| lists.value_offset_at(row);
            build(py, array, |row| {
                Ok(items.get_slice(start(row), start(row) + lists.value_length() as usize).into_any())
            })
        }
        DataType::Map(_, _) => maps(py, array),
        DataType::Struct(_) => rows(py, array),
        other => Err(unsupported(other)),
    }
}

fn maps<'py>(py: Python<'py>, array: &ArrayRef) -> PyResult<Bound<'py, PyList>> {
    let maps = array.as_map();
    let (keys, values) = (values_of(py, &child(maps.keys()))?, values_of(py, &child(maps.values()))?);
    let offsets = maps.value_offsets();
    build(py, array, |row| {
        let dict = PyDict::new(py);
        for index in offsets[row] as usize..offsets[row + 1] as usize {
            dict.set_item(keys.get_item(index)?, values.get_item(index)?)?;
        }
        Ok(dict.into_any())
    })
}

fn rows<'py>(py: Python<'py>, array: &ArrayRef) -> PyResult<Bound<'py, PyList>> {
    let structs = array.as_struct();
    let columns = structs.columns().iter().map(|column| values_of(py, column)).collect::<PyResult<Vec<_>>>()?;
    let row_class = py.import("udfleet")?.getattr("Row")?;
    // Called with names, a Row is a template: called with values, that gives a row with these fields.
    let template = row_class.call1(PyTuple::new(py, structs.column_names())?)?;
    build(py, array, |row| {
        let values = columns.iter().map(|column| column.get_item(row)).collect::<PyResult<Vec<_>>>()?;
        template.call1(PyTuple::new(py, values)?)
    })
}
