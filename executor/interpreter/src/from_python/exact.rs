//! The fast path of results: every value is exactly of the class that the type stands for, or `None`. One pass, and the
//! values would be the same when converted back.

use std::ffi::c_char;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::types::{Float64Type, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyList;
use udfleet_kernels::check_length;
use udfleet_proto::v1::{DataType, TypeRoot};

unsafe extern "C" {
    /// In every CPython since 3.3, though in the stable ABI only since 3.10: the text's own UTF-8, without a copy.
    fn PyUnicode_AsUTF8AndSize(text: *mut ffi::PyObject, size: *mut ffi::Py_ssize_t) -> *const c_char;
}

/// The column; `None` where any value needs a closer look.
pub fn of_list(list: &Bound<'_, PyList>, data_type: &DataType) -> Option<ArrayRef> {
    // SAFETY: the list is ours alone and the index is within it; the reference is borrowed from it.
    let item = |index| unsafe { ffi::PyList_GetItem(list.as_ptr(), index as ffi::Py_ssize_t) };
    to_array(list.len(), item, data_type)
}

/// The same for values that are held one by one.
pub fn of_items(items: &[Bound<'_, PyAny>], data_type: &DataType) -> Option<ArrayRef> {
    to_array(items.len(), |index: usize| items[index].as_ptr(), data_type)
}

fn to_array(length: usize, item: impl Fn(usize) -> *mut ffi::PyObject, data_type: &DataType) -> Option<ArrayRef> {
    match data_type.root() {
        TypeRoot::Tinyint => integers::<Int8Type>(length, item, data_type),
        TypeRoot::Smallint => integers::<Int16Type>(length, item, data_type),
        TypeRoot::Int => integers::<Int32Type>(length, item, data_type),
        TypeRoot::Bigint => integers::<Int64Type>(length, item, data_type),
        TypeRoot::Double => primitives::<Float64Type>(length, item, data_type, &raw mut ffi::PyFloat_Type, |item| {
            // SAFETY: `item` is a float.
            Some(unsafe { ffi::PyFloat_AsDouble(item) })
        }),
        TypeRoot::Char | TypeRoot::Varchar => texts(length, item, data_type),
        _ => None,
    }
}

/// True where all values are bytes or truth values of Python's own classes, or `None`.
pub fn is_plain(list: &Bound<'_, PyList>, data_type: &DataType) -> bool {
    let class = match data_type.root() {
        TypeRoot::Binary | TypeRoot::Varbinary => &raw mut ffi::PyBytes_Type,
        TypeRoot::Boolean => &raw mut ffi::PyBool_Type,
        _ => return false,
    };
    list.iter().all(|item| item.is_none() || std::ptr::eq(item.get_type_ptr(), class))
}

fn is_none(item: *mut ffi::PyObject) -> bool {
    // SAFETY: the one `None`.
    std::ptr::eq(item, unsafe { ffi::Py_None() })
}

fn is_of(item: *mut ffi::PyObject, class: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: a valid object.
    std::ptr::eq(unsafe { ffi::Py_TYPE(item) }, class)
}

fn integers<T>(length: usize, item: impl Fn(usize) -> *mut ffi::PyObject, data_type: &DataType) -> Option<ArrayRef>
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i64>,
{
    primitives::<T>(length, item, data_type, &raw mut ffi::PyLong_Type, |item| {
        // SAFETY: `item` is an int. An error that it leaves behind is cleared: the closer look finds it again.
        unsafe {
            let value = ffi::PyLong_AsLongLong(item);
            if value == -1 && !ffi::PyErr_Occurred().is_null() {
                ffi::PyErr_Clear();
                return None;
            }
            T::Native::try_from(value).ok()
        }
    })
}

fn primitives<T: ArrowPrimitiveType>(
    length: usize,
    item: impl Fn(usize) -> *mut ffi::PyObject,
    data_type: &DataType,
    class: *mut ffi::PyTypeObject,
    value: impl Fn(*mut ffi::PyObject) -> Option<T::Native>,
) -> Option<ArrayRef> {
    let mut values = Vec::with_capacity(length);
    let mut valid: Option<BooleanBufferBuilder> = None;
    for index in 0..length {
        let item = item(index);
        if is_of(item, class) {
            values.push(value(item)?);
            if let Some(valid) = &mut valid {
                valid.append(true);
            }
        } else if is_none(item) && !data_type.not_null {
            let valid = valid.get_or_insert_with(|| {
                let mut before = BooleanBufferBuilder::new(length);
                before.append_n(index, true);
                before
            });
            valid.append(false);
            values.push(T::Native::default());
        } else {
            return None;
        }
    }
    let nulls = valid.map(|mut valid| NullBuffer::new(valid.finish()));
    Some(Arc::new(PrimitiveArray::<T>::new(values.into(), nulls)))
}

fn texts(length: usize, item: impl Fn(usize) -> *mut ffi::PyObject, data_type: &DataType) -> Option<ArrayRef> {
    let (limit, exact) = (data_type.length as usize, data_type.root() == TypeRoot::Char);
    let mut builder = StringBuilder::with_capacity(length, 16 * length);
    let mut bytes = 0_usize;
    for index in 0..length {
        let item = item(index);
        if is_of(item, &raw mut ffi::PyUnicode_Type) {
            let text = utf8(item)?;
            bytes += text.len();
            // Arrow's 32-bit offsets end there; the closer look says so.
            if bytes > i32::MAX as usize || check_length(text, limit, exact).is_err() {
                return None;
            }
            builder.append_value(text);
        } else if is_none(item) && !data_type.not_null {
            builder.append_null();
        } else {
            return None;
        }
    }
    Some(Arc::new(builder.finish()))
}

/// `None` for text that is no Unicode: lone surrogates.
fn utf8<'a>(text: *mut ffi::PyObject) -> Option<&'a str> {
    let mut size = 0;
    // SAFETY: `text` is a str, and keeps the bytes, which are UTF-8, for as long as it lives: the caller copies them.
    unsafe {
        let start = PyUnicode_AsUTF8AndSize(text, &raw mut size);
        if start.is_null() {
            ffi::PyErr_Clear();
            return None;
        }
        Some(std::str::from_utf8_unchecked(std::slice::from_raw_parts(start.cast(), size as usize)))
    }
}
