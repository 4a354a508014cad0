//! From Arrow columns to what pandas functions are given. Nothing changes on the way: integers stay integers where some
//! are missing, at any depth.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList};

use super::arrow::to_pyarrow;
use crate::to_python::to_list;

/// A column as a Series; a ROW as a DataFrame. Numbers without nulls become the same Series faster by way of numpy.
pub fn to_series<'py>(py: Python<'py>, column: &ArrayRef) -> PyResult<Bound<'py, PyAny>> {
    match column.data_type() {
        kind if (kind.is_integer() || kind.is_floating()) && column.null_count() == 0 => numbers(py, column),
        // pandas' own integers with a mask: floats would lose digits.
        kind if kind.is_integer() => to_pandas(py, column, "types_mapper", masked_types(py)?),
        DataType::Struct(_) => to_frame(py, column),
        // As general functions get them: months.
        DataType::Interval(_) => objects(py, to_list(py, column)?),
        DataType::List(_) if has_missing_floats(column) => objects(py, arrays(py, &to_list(py, column)?)?),
        DataType::Map(_, _) => objects(py, to_list(py, column)?),
        _ => to_pandas(py, column, "integer_object_nulls", true.into_pyobject(py)?.as_any()),
    }
}

/// A ROW column as a DataFrame of its fields. pandas has no null rows: all fields of one are null.
pub fn to_frame<'py>(py: Python<'py>, column: &ArrayRef) -> PyResult<Bound<'py, PyAny>> {
    static FRAME: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let rows = column.as_struct();
    let index = py.import("builtins")?.getattr("range")?.call1((rows.len(),))?;
    let columns = PyDict::new(py);
    for (field, values) in rows.fields().iter().zip(rows.columns()) {
        let values = match rows.nulls() {
            Some(nulls) if nulls.null_count() > 0 => under(values, nulls)?,
            _ => values.clone(),
        };
        // A column of a DataFrame can't be one itself.
        let values = match field.data_type() {
            DataType::Struct(_) => objects(py, to_list(py, &values)?)?,
            _ => to_series(py, &values)?,
        };
        columns.set_item(field.name(), values)?;
    }
    FRAME.import(py, "pandas", "DataFrame")?.call1((columns, index))
}

/// The values, null also where their row is.
fn under(values: &ArrayRef, nulls: &arrow_buffer::NullBuffer) -> PyResult<ArrayRef> {
    let is_null = arrow_array::BooleanArray::new(!nulls.inner(), None);
    arrow_select::nullif::nullif(values, &is_null).map_err(|e| pyo3::exceptions::PyValueError::new_err(e.to_string()))
}

fn numbers<'py>(py: Python<'py>, column: &ArrayRef) -> PyResult<Bound<'py, PyAny>> {
    static WITHOUT_COPY: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let options = WITHOUT_COPY.get_or_try_init(py, || -> PyResult<Py<PyDict>> {
        let options = PyDict::new(py);
        options.set_item("copy", false)?;
        Ok(options.unbind())
    })?;
    let values = to_pyarrow(py, column)?.call_method0(intern!(py, "to_numpy"))?;
    series(py)?.call((values,), Some(options.bind(py)))
}

fn series(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static SERIES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    SERIES.import(py, "pandas", "Series")
}

fn to_pandas<'py>(
    py: Python<'py>,
    column: &ArrayRef,
    option: &str,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let options = PyDict::new(py);
    options.set_item(option, value)?;
    to_pyarrow(py, column)?.call_method(intern!(py, "to_pandas"), (), Some(&options))
}

/// From pyarrow's integer types to pandas' masked ones.
fn masked_types(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static MAPPER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let mapper = MAPPER.get_or_try_init(py, || -> PyResult<Py<PyAny>> {
        let (pyarrow, pandas, types) = (py.import("pyarrow")?, py.import("pandas")?, PyDict::new(py));
        for bits in ["8", "16", "32", "64"] {
            for (small, large) in [("int", "Int"), ("uint", "UInt")] {
                let masked = pandas.getattr(format!("{large}{bits}Dtype"))?.call0()?;
                types.set_item(pyarrow.call_method0(format!("{small}{bits}"))?, masked)?;
            }
        }
        Ok(types.getattr("get")?.unbind())
    })?;
    Ok(mapper.bind(py))
}

/// numpy would write NaN for them, which is a number.
fn has_missing_floats(array: &dyn Array) -> bool {
    if array.data_type().is_floating() {
        return array.null_count() > 0;
    }
    let data = array.to_data();
    data.child_data().iter().any(|child| has_missing_floats(&arrow_array::make_array(child.clone())))
}

/// Lists as arrays of objects.
fn arrays<'py>(py: Python<'py>, lists: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyList>> {
    let (empty, object) = (py.import("numpy")?.getattr("empty")?, py.import("builtins")?.getattr("object")?);
    let array = |list: Bound<'py, PyAny>| -> PyResult<Bound<'py, PyAny>> {
        if list.is_none() {
            return Ok(list);
        }
        let array = empty.call1((list.len()?, &object))?;
        array.set_item(pyo3::types::PySlice::full(py), list)?;
        Ok(array)
    };
    PyList::new(py, lists.iter().map(array).collect::<PyResult<Vec<_>>>()?)
}

fn objects<'py>(py: Python<'py>, values: Bound<'py, PyList>) -> PyResult<Bound<'py, PyAny>> {
    let options = PyDict::new(py);
    options.set_item("dtype", "object")?;
    series(py)?.call((values,), Some(&options))
}
