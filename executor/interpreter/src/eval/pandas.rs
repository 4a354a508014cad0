//! Pandas functions: Series in, a Series out.

use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};
use udfleet_proto::error::Error;
use udfleet_proto::types::{arrow_type, sql};
use udfleet_proto::v1::{ErrorCode, TypeRoot};

use super::arrow::{from_pyarrow, missing_pyarrow, to_pyarrow, wrong_length};
use crate::failure::{python_error, repr, result_error, user_error};
use crate::from_python::check_array;
use crate::load::Function;

/// Calls the function once with all columns.
pub fn call(
    py: Python<'_>,
    function: &Function,
    arguments: &[ArrayRef],
    rows: usize,
    run_ns: &mut u64,
) -> Result<ArrayRef, Error> {
    let series = arguments.iter().map(|column| to_series(py, column)).collect::<PyResult<Vec<_>>>();
    let series = series.and_then(|s| PyTuple::new(py, s)).map_err(|e| missing_pyarrow(py, &e))?;
    let started = Instant::now();
    let returned = function.callable.bind(py).call1(series).map_err(|e| user_error(py, &e))?;
    *run_ns += started.elapsed().as_nanos() as u64;
    let length = checked_length(py, &returned)?;
    if length != rows {
        return Err(wrong_length(&returned, length, rows));
    }
    let array = convert(py, function, &returned).map_err(|e| first_misfit(py, function, &returned, rows, &e))?;
    check_array(&array, &function.result)?;
    Ok(array)
}

/// As pyarrow's `to_pandas` has it. Numbers without nulls become the same Series faster by way of numpy.
fn to_series<'py>(py: Python<'py>, column: &ArrayRef) -> PyResult<Bound<'py, PyAny>> {
    static SERIES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static WITHOUT_COPY: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let array = to_pyarrow(py, column)?;
    let is_number = column.data_type().is_integer() || column.data_type().is_floating();
    if !is_number || column.null_count() > 0 {
        return array.call_method0(intern!(py, "to_pandas"));
    }
    let options = WITHOUT_COPY.get_or_try_init(py, || -> PyResult<Py<PyDict>> {
        let options = PyDict::new(py);
        options.set_item("copy", false)?;
        Ok(options.unbind())
    })?;
    let values = array.call_method0(intern!(py, "to_numpy"))?;
    SERIES.import(py, "pandas", "Series")?.call((values,), Some(options.bind(py)))
}

/// The number of values, where the container is one that pandas functions may return.
fn checked_length(py: Python<'_>, returned: &Bound<'_, PyAny>) -> Result<usize, Error> {
    static SERIES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = SERIES.import(py, "pandas", "Series");
    let is_series = class.and_then(|class| returned.is_instance(class)).map_err(|e| missing_pyarrow(py, &e))?;
    if !is_series {
        return Err(result_error(returned, None, "not a pandas.Series"));
    }
    returned.len().map_err(|e| python_error(py, ErrorCode::ResultType, &e))
}

/// A column of the declared type. NaN in a Series of numbers is pandas' way to say null.
fn convert(py: Python<'_>, function: &Function, series: &Bound<'_, PyAny>) -> PyResult<ArrayRef> {
    match floats(py, function, series)? {
        Some(array) => Ok(array),
        None => convert_any(py, function, series),
    }
}

/// The common case without copy: numpy floats of the declared width. pyarrow's own search for NaN takes longer than
/// everything else together.
fn floats(py: Python<'_>, function: &Function, series: &Bound<'_, PyAny>) -> PyResult<Option<ArrayRef>> {
    static NDARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static TO_ARROW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    if !matches!(function.result.root(), TypeRoot::Double | TypeRoot::Float) {
        return Ok(None);
    }
    let values = series.getattr(intern!(py, "values"))?;
    if !values.get_type().is(NDARRAY.import(py, "numpy", "ndarray")?) {
        return Ok(None);
    }
    let array = TO_ARROW.import(py, "pyarrow", "array")?.call1((values,))?;
    let Some(array) = from_pyarrow(&array)? else { return Ok(None) };
    Ok(match (array.data_type(), function.result.root()) {
        (DataType::Float64, TypeRoot::Double) => Some(nan_to_null(array.as_primitive::<Float64Type>(), f64::is_nan)),
        (DataType::Float32, TypeRoot::Float) => Some(nan_to_null(array.as_primitive::<Float32Type>(), f32::is_nan)),
        _ => None,
    })
}

fn nan_to_null<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, is_nan: impl Fn(T::Native) -> bool) -> ArrayRef {
    // A block at a time without leaving early: that is what the compiler makes SIMD of.
    let any = |block: &[T::Native]| block.iter().fold(false, |found, value| found | is_nan(*value));
    if !array.values().chunks(256).any(any) {
        return Arc::new(array.clone());
    }
    let valid = NullBuffer::from_iter(array.values().iter().map(|value| !is_nan(*value)));
    Arc::new(PrimitiveArray::<T>::new(array.values().clone(), Some(valid)))
}

/// Any other Series; pyarrow's safe casts refuse what would change.
fn convert_any(py: Python<'_>, function: &Function, series: &Bound<'_, PyAny>) -> PyResult<ArrayRef> {
    static FROM_PANDAS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let from_pandas = FROM_PANDAS
        .get_or_try_init(py, || py.import("pyarrow")?.getattr("Array")?.getattr("from_pandas").map(Bound::unbind))?;
    // Made once per function: building the type and the options costs as much as converting a small batch.
    let options = function.pandas_options.get_or_try_init(py, || -> PyResult<Py<PyDict>> {
        let options = PyDict::new(py);
        options.set_item("type", declared(py, function)?)?;
        options.set_item("safe", true)?;
        Ok(options.unbind())
    })?;
    let array = from_pandas.bind(py).call((series,), Some(options.bind(py)))?;
    let array = if array.hasattr(intern!(py, "combine_chunks"))? {
        array.call_method0(intern!(py, "combine_chunks"))?
    } else {
        array
    };
    from_pyarrow(&array)?
        .ok_or_else(|| pyo3::exceptions::PyValueError::new_err("the result does not fit in one Arrow array"))
}

/// The declared type as a pyarrow type.
fn declared<'py>(py: Python<'py>, function: &Function) -> PyResult<Bound<'py, PyAny>> {
    let empty = arrow_array::new_empty_array(&arrow_type(&function.result));
    to_pyarrow(py, &empty)?.getattr(intern!(py, "type"))
}

/// Finds the first value that can't be converted, by halving: the error of a whole Series names no row.
fn first_misfit(py: Python<'_>, function: &Function, series: &Bound<'_, PyAny>, rows: usize, whole: &PyErr) -> Error {
    let fits = |end: usize| -> bool {
        let head =
            series.getattr("iloc").and_then(|iloc| iloc.get_item(pyo3::types::PySlice::new(py, 0, end as isize, 1)));
        head.and_then(|head| convert(py, function, &head)).is_ok()
    };
    let (mut good, mut bad) = (0, rows);
    while good + 1 < bad {
        let middle = good + (bad - good) / 2;
        if fits(middle) { good = middle } else { bad = middle }
    }
    let value = series.getattr("iloc").and_then(|iloc| iloc.get_item(good));
    let shown = value.as_ref().map_or_else(|_| String::new(), repr);
    let message =
        format!("the function returned {shown}, which does not fit {}: {}", sql(&function.result), whole.value(py));
    Error::new(ErrorCode::ResultType, message).with(|info| {
        info.row = Some(good as u64);
        info.value = shown;
    })
}
