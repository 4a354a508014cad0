//! Converts what a pandas function returned to the declared type: objects by the rules of general functions, dtypes by
//! the rules of Arrow arrays, which are the same. NaN in a Series is pandas' null.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, StructArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType as Arrow, Field};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyList, PySlice};
use udfleet_kernels::{Source, check_result, fit};
use udfleet_proto::error::Error;
use udfleet_proto::types::{arrow_type, sql};
use udfleet_proto::v1::{DataType, ErrorCode, Field as Named, TypeRoot};

use super::arrow::{from_pyarrow, validate};
use crate::failure::{python_error, repr};
use crate::from_python::{Column, to_array};

/// A column of the declared type.
pub fn convert(py: Python<'_>, returned: &Bound<'_, PyAny>, declared: &DataType) -> Result<ArrayRef, Error> {
    let broken = |e: PyErr| python_error(py, ErrorCode::ResultType, &e);
    if is_frame(py, returned).map_err(broken)? {
        return frame(py, returned, declared);
    }
    if let Some(array) = floats(py, returned, declared).map_err(broken)? {
        check_result(&array, declared)?;
        return Ok(array);
    }
    if declared.root() == TypeRoot::IntervalYearMonth || is_object(py, returned).map_err(broken)? {
        let values = objects(py, returned).map_err(broken)?;
        return to_array(&Column::of_list(&values), declared);
    }
    let array = natural(py, returned).map_err(|e| {
        let message = format!("the function returned a Series that does not fit {}: {}", sql(declared), e.value(py));
        Error::new(ErrorCode::ResultType, message)
    })?;
    fit(&array, declared, Source::Pandas)
}

/// True for a DataFrame.
pub fn is_frame(py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    static FRAME: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    value.is_instance(FRAME.import(py, "pandas", "DataFrame")?)
}

/// A DataFrame as a ROW column: by the names of the fields; by position where columns have no names, but numbers that
/// pandas gave them, and none has a field's name (`pd.concat` gives a computed Series a number beside named ones).
fn frame(py: Python<'_>, frame: &Bound<'_, PyAny>, declared: &DataType) -> Result<ArrayRef, Error> {
    let broken = |e: PyErr| python_error(py, ErrorCode::ResultType, &e);
    let labels = frame.getattr("columns").and_then(|columns| columns.call_method0("tolist")).map_err(broken)?;
    let (given, fields) = (labels.len().map_err(broken)?, &declared.fields);
    let is_label = |field: &Named| labels.contains(&field.name).unwrap_or(false);
    let numbered = has_number(&labels).map_err(broken)? && !fields.iter().any(is_label);
    if declared.root() != TypeRoot::Row || given != fields.len() || !(numbered || fields.iter().all(is_label)) {
        let message = format!(
            "the function returned a DataFrame with the columns {}, which does not fit {}",
            repr(&labels),
            sql(declared)
        );
        return Err(Error::new(ErrorCode::ResultType, message)
            .hint("name the columns of the DataFrame as the fields of the ROW")
            .with(|info| info.value = repr(&labels)));
    }
    let series = |position: usize, name: &str| -> PyResult<Bound<'_, PyAny>> {
        if numbered { frame.getattr("iloc")?.get_item((PySlice::full(py), position)) } else { frame.get_item(name) }
    };
    let (mut arrays, mut types) = (Vec::with_capacity(given), Vec::with_capacity(given));
    for (position, field) in fields.iter().enumerate() {
        let inner = field.r#type.clone().unwrap_or_default();
        let column = series(position, &field.name).map_err(broken)?;
        let told = |e: Error| e.with(|info| info.message = format!("field {}: {}", field.name, info.message));
        arrays.push(convert(py, &column, &inner).map_err(told)?);
        types.push(Field::new(&field.name, arrow_type(&inner), !inner.not_null));
    }
    let rows = frame.len().map_err(broken)?;
    let built = if arrays.is_empty() {
        Ok(StructArray::new_empty_fields(rows, None))
    } else {
        StructArray::try_new(types.into(), arrays, None)
    };
    built.map(|rows| Arc::new(rows) as ArrayRef).map_err(|e| Error::internal(format!("a DataFrame's columns: {e}")))
}

/// Whether a label is an integer, as pandas gives them to columns without a name.
fn has_number(labels: &Bound<'_, PyAny>) -> PyResult<bool> {
    for label in labels.try_iter()? {
        if label?.is_exact_instance_of::<PyInt>() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The common case without copy: numpy floats of the declared width. pyarrow's own search for NaN takes longer than
/// everything else together.
fn floats(py: Python<'_>, series: &Bound<'_, PyAny>, declared: &DataType) -> PyResult<Option<ArrayRef>> {
    static NDARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static TO_ARROW: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    if !matches!(declared.root(), TypeRoot::Double | TypeRoot::Float) {
        return Ok(None);
    }
    let values = series.getattr(intern!(py, "values"))?;
    if !values.get_type().is(NDARRAY.import(py, "numpy", "ndarray")?) || is_object(py, &values)? {
        return Ok(None);
    }
    let array = TO_ARROW.import(py, "pyarrow", "array")?.call1((values,))?;
    let Some(array) = from_pyarrow(&array)? else { return Ok(None) };
    Ok(match (array.data_type(), declared.root()) {
        (Arrow::Float64, TypeRoot::Double) => Some(nan_to_null(array.as_primitive::<Float64Type>(), f64::is_nan)),
        (Arrow::Float32, TypeRoot::Float) => Some(nan_to_null(array.as_primitive::<Float32Type>(), f32::is_nan)),
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

fn is_object(py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<bool> {
    let name = values.getattr(intern!(py, "dtype"))?.getattr(intern!(py, "name"))?;
    name.eq(intern!(py, "object"))
}

/// The values, `None` for whatever pandas takes as missing.
fn objects<'py>(py: Python<'py>, series: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    let values = series.call_method0(intern!(py, "tolist"))?.cast_into::<PyList>()?;
    let missing = || series.call_method0("isna")?.call_method0(intern!(py, "tolist"))?.extract::<Vec<bool>>();
    // pandas can't tell of a signalling NaN, which is refused below with its row.
    let missing = missing().unwrap_or_default();
    for (row, _) in missing.into_iter().enumerate().filter(|(_, missing)| *missing) {
        values.set_item(row, py.None())?;
    }
    Ok(values)
}

/// In the Arrow type that the Series' dtype stands for.
fn natural(py: Python<'_>, series: &Bound<'_, PyAny>) -> PyResult<ArrayRef> {
    static FROM_PANDAS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let from_pandas = FROM_PANDAS
        .get_or_try_init(py, || py.import("pyarrow")?.getattr("Array")?.getattr("from_pandas").map(Bound::unbind))?;
    let array = from_pandas.bind(py).call1((series,))?;
    let array = if array.hasattr(intern!(py, "combine_chunks"))? {
        array.call_method0(intern!(py, "combine_chunks"))?
    } else {
        array
    };
    validate(&array)?;
    let converted = from_pyarrow(&array)?;
    // A period, for instance, is kept as a number that means nothing by itself.
    if converted.as_ref().is_some_and(|array| array.data_type().is_numeric()) && !is_numeric(py, series)? {
        let dtype = series.getattr(intern!(py, "dtype"))?;
        return Err(pyo3::exceptions::PyTypeError::new_err(format!("values of dtype {dtype} are no numbers")));
    }
    converted.ok_or_else(|| pyo3::exceptions::PyValueError::new_err("it does not fit in one Arrow array"))
}

/// Whether the dtype is one of numbers or of truth values; Arrow's decimals are numbers.
fn is_numeric(py: Python<'_>, series: &Bound<'_, PyAny>) -> PyResult<bool> {
    static IS_NUMERIC: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let dtype = series.getattr(intern!(py, "dtype"))?;
    IS_NUMERIC.import(py, "pandas.api.types", "is_numeric_dtype")?.call1((dtype,))?.extract()
}
