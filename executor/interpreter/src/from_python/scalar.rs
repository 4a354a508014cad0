//! Numbers, truth values, text and bytes.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, FixedSizeBinaryBuilder, StringBuilder};
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyFloat, PyInt, PyString};
pub use udfleet_kernels::check_length;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{DataType, TypeRoot};

use super::Column;
use crate::failure::class_name;

pub fn to_array(column: &Column<'_>, data_type: &DataType) -> Result<ArrayRef, Error> {
    match data_type.root() {
        TypeRoot::Boolean => Ok(Arc::new(BooleanArray::from(column.convert(data_type, boolean)?))),
        TypeRoot::Tinyint => integers::<Int8Type>(column, data_type),
        TypeRoot::Smallint => integers::<Int16Type>(column, data_type),
        TypeRoot::Int => integers::<Int32Type>(column, data_type),
        TypeRoot::Bigint => integers::<Int64Type>(column, data_type),
        TypeRoot::Float => primitives::<Float32Type>(column.convert(data_type, single)?),
        TypeRoot::Double => primitives::<Float64Type>(column.convert(data_type, double)?),
        TypeRoot::Char | TypeRoot::Varchar => strings(column, data_type),
        TypeRoot::Varbinary => binaries(column, data_type),
        TypeRoot::Binary => fixed_binaries(column, data_type),
        _ => Err(Error::internal("no scalar type")),
    }
}

fn primitives<T: ArrowPrimitiveType>(values: Vec<Option<T::Native>>) -> Result<ArrayRef, Error> {
    Ok(Arc::new(PrimitiveArray::<T>::from_iter(values)))
}

fn integers<T>(column: &Column<'_>, data_type: &DataType) -> Result<ArrayRef, Error>
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i64>,
{
    let value = |item: &Bound<'_, PyAny>| T::Native::try_from(integer(item)?).map_err(|_| "out of range".to_owned());
    primitives::<T>(column.convert(data_type, value)?)
}

/// Integers, what says of itself that it is one (`__index__`: numpy's integers), and floats that are whole numbers: they
/// are what pandas makes of integers as soon as one is missing.
pub fn integer(item: &Bound<'_, PyAny>) -> Result<i64, String> {
    if item.is_instance_of::<PyInt>() {
        return exact_integer(item);
    }
    if let Some(value) = float(item)? {
        return whole(value);
    }
    // numpy's truth values, as Python's own, are integers here.
    if matches!(class_name(item).as_str(), "bool" | "bool_") {
        return item.is_truthy().map(i64::from).map_err(|e| e.to_string());
    }
    // SAFETY: a valid object; the result is a new reference or null with an exception set.
    let index = unsafe { Bound::from_owned_ptr_or_err(item.py(), ffi::PyNumber_Index(item.as_ptr())) };
    match index {
        Ok(index) => exact_integer(&index),
        Err(_) => Err(format!("a {} is no integer", class_name(item))),
    }
}

fn whole(value: f64) -> Result<i64, String> {
    // From -2^63 to below 2^63: both are exact doubles.
    let range = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
    match value {
        value if !value.is_finite() => Err("it is no finite number".to_owned()),
        value if value.fract() != 0.0 => Err("it is no whole number".to_owned()),
        value if range.contains(&value) => Ok(value as i64),
        _ => Err("out of range".to_owned()),
    }
}

/// Of Python's floats and numpy's, of any width, which are no subclass of float; wide ones where a double holds them.
fn float(item: &Bound<'_, PyAny>) -> Result<Option<f64>, String> {
    if item.is_instance_of::<PyFloat>() {
        // SAFETY: `item` is a float.
        return Ok(Some(unsafe { ffi::PyFloat_AsDouble(item.as_ptr()) }));
    }
    static FLOATING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    if !is_of_numpy(item, &FLOATING, "floating") {
        return Ok(None);
    }
    let value: f64 = item.extract().map_err(|e: PyErr| e.to_string())?;
    let same = value.is_nan() || item.eq(value).map_err(|e| e.to_string())?;
    same.then_some(Some(value)).ok_or_else(|| "no double holds it exactly".to_owned())
}

/// Whether a value is of a class of numpy's. Where numpy has not been loaded, none is.
pub fn is_of_numpy(item: &Bound<'_, PyAny>, class: &PyOnceLock<Py<PyAny>>, name: &str) -> bool {
    let found = class.get_or_try_init(item.py(), || -> PyResult<Py<PyAny>> {
        let modules = item.py().import("sys")?.getattr("modules")?;
        Ok(modules.get_item("numpy")?.getattr(name)?.unbind())
    });
    found.is_ok_and(|class| item.is_instance(class.bind(item.py())).unwrap_or(false))
}

fn exact_integer(item: &Bound<'_, PyAny>) -> Result<i64, String> {
    // SAFETY: `item` is an int.
    let value = unsafe { ffi::PyLong_AsLongLong(item.as_ptr()) };
    if value == -1 && PyErr::take(item.py()).is_some() { Err("out of range".to_owned()) } else { Ok(value) }
}

/// `bool` and numpy's; numbers are no truth values.
fn boolean(item: &Bound<'_, PyAny>) -> Result<bool, String> {
    if let Ok(value) = item.cast::<PyBool>() {
        return Ok(value.is_true());
    }
    match class_name(item).as_str() {
        "bool_" | "bool" => item.is_truthy().map_err(|e| e.to_string()),
        other => Err(format!("a {other} is no truth value")),
    }
}

/// Floats, and integers that a double holds exactly.
fn double(item: &Bound<'_, PyAny>) -> Result<f64, String> {
    if let Some(value) = float(item)? {
        return Ok(value);
    }
    match integer(item) {
        // 2^53: beyond it, doubles skip integers.
        Ok(value) if value.unsigned_abs() <= 1 << 53 || (value as f64) as i128 == i128::from(value) => Ok(value as f64),
        Ok(_) => Err(SKIPPED.to_owned()),
        Err(why) if why == "out of range" => large(item),
        Err(_) => Err(format!("a {} is no number", class_name(item))),
    }
}

const SKIPPED: &str = "no double holds this integer exactly";

/// An integer of more than 64 bits.
fn large(item: &Bound<'_, PyAny>) -> Result<f64, String> {
    // SAFETY: a valid object; the result is a new reference or null with an exception set.
    let index = unsafe { Bound::from_owned_ptr_or_err(item.py(), ffi::PyNumber_Index(item.as_ptr())) };
    let index = index.map_err(|e| e.to_string())?;
    let value: f64 = index.extract().map_err(|_| "out of range".to_owned())?;
    let same = index.eq(value).map_err(|e| e.to_string())?;
    same.then_some(value).ok_or_else(|| SKIPPED.to_owned())
}

/// As [`double`]; of floats the nearest single-precision value is taken, and only overflow to infinity is refused.
fn single(item: &Bound<'_, PyAny>) -> Result<f32, String> {
    let value = double(item)?;
    let narrow = value as f32;
    if narrow.is_infinite() && value.is_finite() {
        return Err("out of range".to_owned());
    }
    if f64::from(narrow) != value && float(item)?.is_none() {
        return Err("no single-precision number holds this integer exactly".to_owned());
    }
    Ok(narrow)
}

fn strings(column: &Column<'_>, data_type: &DataType) -> Result<ArrayRef, Error> {
    let exact = data_type.root() == TypeRoot::Char;
    let limit = data_type.length as usize;
    let texts = column.convert(data_type, |item| {
        let text = item.cast::<PyString>().map_err(|_| format!("a {} is no str", class_name(item)))?;
        // abi3 before 3.10 has no borrowed UTF-8 access.
        let text = text.to_cow().map_err(|_| "lone surrogates are no Unicode text".to_owned())?.into_owned();
        check_length(&text, limit, exact)?;
        Ok(text)
    })?;
    let bytes = texts.iter().flatten().map(String::len).sum();
    let mut builder = StringBuilder::with_capacity(texts.len(), bytes);
    ensure_offsets(bytes)?;
    texts.iter().for_each(|text| builder.append_option(text.as_deref()));
    Ok(Arc::new(builder.finish()))
}

fn bytes_of(item: &Bound<'_, PyAny>) -> Result<Vec<u8>, String> {
    if let Ok(bytes) = item.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    if let Ok(bytes) = item.cast::<PyByteArray>() {
        return Ok(bytes.to_vec());
    }
    if class_name(item) == "memoryview" {
        let copied = item.call_method0("tobytes").and_then(|bytes| bytes.extract::<Vec<u8>>());
        return copied.map_err(|e| e.to_string());
    }
    Err(format!("a {} is no bytes", class_name(item)))
}

fn binaries(column: &Column<'_>, data_type: &DataType) -> Result<ArrayRef, Error> {
    let limit = data_type.length as usize;
    let values = column.convert(data_type, |item| {
        let bytes = bytes_of(item)?;
        if bytes.len() > limit { Err(format!("it has {} bytes", bytes.len())) } else { Ok(bytes) }
    })?;
    let total = values.iter().flatten().map(Vec::len).sum();
    ensure_offsets(total)?;
    let mut builder = BinaryBuilder::with_capacity(values.len(), total);
    values.iter().for_each(|value| builder.append_option(value.as_deref()));
    Ok(Arc::new(builder.finish()))
}

fn fixed_binaries(column: &Column<'_>, data_type: &DataType) -> Result<ArrayRef, Error> {
    let length = data_type.length as usize;
    let values = column.convert(data_type, |item| {
        let bytes = bytes_of(item)?;
        if bytes.len() == length { Ok(bytes) } else { Err(format!("it has {} bytes", bytes.len())) }
    })?;
    let mut builder = FixedSizeBinaryBuilder::with_capacity(values.len(), i32::try_from(length).unwrap_or(i32::MAX));
    for value in values {
        match value {
            Some(bytes) => builder.append_value(bytes).map_err(|e| Error::internal(e.to_string()))?,
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// Arrow's 32-bit offsets bound the bytes of one column.
fn ensure_offsets(bytes: usize) -> Result<(), Error> {
    if i32::try_from(bytes).is_ok() {
        return Ok(());
    }
    let message = format!("the results of one batch hold {bytes} bytes, more than the 2 GiB that an Arrow column can");
    Err(Error::new(udfleet_proto::v1::ErrorCode::LimitExceeded, message).hint("send smaller batches"))
}
