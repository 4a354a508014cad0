//! From Arrow columns to lists of Python values, for general functions.

mod nested;
mod temporal;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyList, PyString};

/// A list with one Python value per row; nulls are `None`.
pub fn to_list<'py>(py: Python<'py>, array: &ArrayRef) -> PyResult<Bound<'py, PyList>> {
    match array.data_type() {
        DataType::Null => PyList::new(py, (0..array.len()).map(|_| py.None())),
        DataType::Boolean => {
            let values = array.as_boolean();
            build(py, array, |row| Ok(PyBool::new(py, values.value(row)).to_owned().into_any()))
        }
        DataType::Int8 => integers::<Int8Type>(py, array),
        DataType::Int16 => integers::<Int16Type>(py, array),
        DataType::Int32 => integers::<Int32Type>(py, array),
        DataType::Int64 => integers::<Int64Type>(py, array),
        DataType::UInt8 => integers::<UInt8Type>(py, array),
        DataType::UInt16 => integers::<UInt16Type>(py, array),
        DataType::UInt32 => integers::<UInt32Type>(py, array),
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>();
            // SAFETY: a new reference or null with an exception set, which from_owned_ptr_or_err handles.
            build(py, array, |row| unsafe {
                Bound::from_owned_ptr_or_err(py, ffi::PyLong_FromUnsignedLongLong(values.value(row)))
            })
        }
        DataType::Float16 => {
            let values = array.as_primitive::<Float16Type>();
            build(py, array, |row| float(py, f64::from(values.value(row))))
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            build(py, array, |row| float(py, f64::from(values.value(row))))
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            build(py, array, |row| float(py, values.value(row)))
        }
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            build(py, array, |row| Ok(PyString::new(py, values.value(row)).into_any()))
        }
        DataType::LargeUtf8 => {
            let values = array.as_string::<i64>();
            build(py, array, |row| Ok(PyString::new(py, values.value(row)).into_any()))
        }
        DataType::Utf8View => {
            let values = array.as_string_view();
            build(py, array, |row| Ok(PyString::new(py, values.value(row)).into_any()))
        }
        DataType::Binary => {
            let values = array.as_binary::<i32>();
            build(py, array, |row| Ok(PyBytes::new(py, values.value(row)).into_any()))
        }
        DataType::LargeBinary => {
            let values = array.as_binary::<i64>();
            build(py, array, |row| Ok(PyBytes::new(py, values.value(row)).into_any()))
        }
        DataType::BinaryView => {
            let values = array.as_binary_view();
            build(py, array, |row| Ok(PyBytes::new(py, values.value(row)).into_any()))
        }
        DataType::FixedSizeBinary(_) => {
            let values = array.as_fixed_size_binary();
            build(py, array, |row| Ok(PyBytes::new(py, values.value(row)).into_any()))
        }
        DataType::Dictionary(_, values) => to_list(py, &cast(array, values)?),
        DataType::LargeListView(_) | DataType::ListView(_) | DataType::RunEndEncoded(_, _) | DataType::Union(_, _) => {
            Err(unsupported(array.data_type()))
        }
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(_, _)
        | DataType::Map(_, _)
        | DataType::Struct(_) => nested::to_list(py, array),
        _ => temporal::to_list(py, array),
    }
}

fn unsupported(data_type: &DataType) -> PyErr {
    pyo3::exceptions::PyTypeError::new_err(format!(
        "columns of Arrow type {data_type} can't be given to a general function"
    ))
}

fn cast(array: &ArrayRef, to: &DataType) -> PyResult<ArrayRef> {
    arrow_cast::cast(array, to).map_err(|e| pyo3::exceptions::PyTypeError::new_err(e.to_string()))
}

fn float(py: Python<'_>, value: f64) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: a new reference or null with an exception set, which from_owned_ptr_or_err handles.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyFloat_FromDouble(value)) }
}

fn integers<'py, T>(py: Python<'py>, array: &ArrayRef) -> PyResult<Bound<'py, PyList>>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i64>,
{
    let values = array.as_primitive::<T>();
    // SAFETY: a new reference or null with an exception set, which from_owned_ptr_or_err handles.
    build(py, array, |row| unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyLong_FromLongLong(values.value(row).into()))
    })
}

/// Fills a new list; `value` is asked for rows that are not null.
fn build<'py>(
    py: Python<'py>,
    array: &ArrayRef,
    mut value: impl FnMut(usize) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyList>> {
    let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    let length = array.len() as ffi::Py_ssize_t;
    // SAFETY: a new list or null with an exception set. Its slots stay null until set, which CPython's own list
    // destructor allows for, should `value` fail midway; the list is not visible to Python code before it is full.
    unsafe {
        let list = Bound::from_owned_ptr_or_err(py, ffi::PyList_New(length))?;
        for row in 0..array.len() {
            let item = match &nulls {
                Some(nulls) if nulls.is_null(row) => py.None().into_bound(py),
                _ => value(row)?,
            };
            if ffi::PyList_SetItem(list.as_ptr(), row as ffi::Py_ssize_t, item.into_ptr()) != 0 {
                return Err(PyErr::fetch(py));
            }
        }
        Ok(list.cast_into_unchecked())
    }
}

/// Children of a nested array, shared.
fn child(array: &dyn Array) -> ArrayRef {
    Arc::clone(&arrow_array::make_array(array.to_data()))
}
