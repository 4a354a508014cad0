//! Converts Arrow columns to Series for pandas functions, without changing values: integers with nulls stay integers,
//! at any depth.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList};

use super::arrow::to_pyarrow;
use crate::mapping::Mapping;
use crate::private::WritableInput;
use crate::to_python::to_list;

/// What may be done with a Series.
#[derive(Clone, Copy)]
pub enum Access<'a> {
    /// User code may write to it; other users of the data don't see that.
    Writable(Option<&'a WritableInput>),
    /// It will be copied.
    ReadOnly,
}

/// A column as a Series; a ROW as a DataFrame. Numbers without nulls become the same Series faster by way of numpy.
pub fn to_series<'py>(py: Python<'py>, column: &ArrayRef, access: Access<'_>) -> PyResult<Bound<'py, PyAny>> {
    match column.data_type() {
        kind if (kind.is_integer() || kind.is_floating()) && column.null_count() == 0 => {
            series_over(py, &numbers(py, column, access)?)
        }
        // pandas' own integers with a mask: floats would lose digits.
        kind if kind.is_integer() => to_pandas(py, column, "types_mapper", masked_types(py)?),
        DataType::Struct(_) => to_frame(py, column),
        // As general functions get them: months.
        DataType::Interval(_) => objects(py, to_list(py, column)?),
        DataType::List(_) if has_missing_floats(column) => objects(py, arrays(py, &to_list(py, column)?)?),
        DataType::Map(_, _) => objects(py, to_list(py, column)?),
        // Those of pyarrow's own that need no copy come without the right to write.
        DataType::Timestamp(_, None) | DataType::Duration(_) if column.null_count() == 0 => {
            to_pandas(py, column, "integer_object_nulls", true.into_pyobject(py)?.as_any())?.call_method0("copy")
        }
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
            _ => to_series(py, &values, Access::ReadOnly)?,
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

/// Numbers as a numpy array.
fn numbers<'py>(py: Python<'py>, column: &ArrayRef, access: Access<'_>) -> PyResult<Bound<'py, PyAny>> {
    if let Access::Writable(input) = access {
        if let Some(array) = input.and_then(|input| claimed(py, column, input).transpose()) {
            return array;
        }
        static COPY: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
        let copy = options(py, &COPY, &[("zero_copy_only", false), ("writable", true)])?;
        return to_pyarrow(py, column)?.call_method(intern!(py, "to_numpy"), (), Some(copy));
    }
    to_pyarrow(py, column)?.call_method0(intern!(py, "to_numpy"))
}

/// The column's bytes in memory that is private to this call.
fn claimed<'py>(py: Python<'py>, column: &ArrayRef, input: &WritableInput) -> PyResult<Option<Bound<'py, PyAny>>> {
    static AS_ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let data = column.to_data();
    let (Some(width), [buffer]) = (column.data_type().primitive_width(), data.buffers()) else { return Ok(None) };
    let start = buffer.as_ptr() as usize + data.offset() * width;
    let Some((start, memory)) = input.claim(start, data.len() * width) else { return Ok(None) };
    let kind = match column.data_type() {
        kind if kind.is_signed_integer() => 'i',
        kind if kind.is_unsigned_integer() => 'u',
        _ => 'f',
    };
    let numbers = Numbers { start: start.as_ptr() as usize, length: data.len(), kind, width, _memory: memory };
    AS_ARRAY.import(py, "numpy", "asarray")?.call1((Bound::new(py, numbers)?,)).map(Some)
}

/// Memory that numpy makes an array of; the array keeps it.
#[pyclass(frozen)]
struct Numbers {
    start: usize,
    length: usize,
    kind: char,
    width: usize,
    _memory: Arc<Mapping>,
}

#[pymethods]
impl Numbers {
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let interface = PyDict::new(py);
        interface.set_item(intern!(py, "shape"), (self.length,))?;
        interface.set_item(intern!(py, "typestr"), format!("<{}{}", self.kind, self.width))?;
        interface.set_item(intern!(py, "data"), (self.start, false))?;
        interface.set_item(intern!(py, "version"), 3)?;
        Ok(interface)
    }
}

fn series_over<'py>(py: Python<'py>, values: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static WITHOUT_COPY: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    series(py)?.call((values,), Some(options(py, &WITHOUT_COPY, &[("copy", false)])?))
}

fn options<'py>(
    py: Python<'py>,
    held: &'static PyOnceLock<Py<PyDict>>,
    values: &[(&str, bool)],
) -> PyResult<&'py Bound<'py, PyDict>> {
    let options = held.get_or_try_init(py, || -> PyResult<Py<PyDict>> {
        let options = PyDict::new(py);
        values.iter().try_for_each(|(name, value)| options.set_item(name, value))?;
        Ok(options.unbind())
    })?;
    Ok(options.bind(py))
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
