//! Arrow functions: pyarrow arrays in, a pyarrow array out, both without copying.

use std::time::Instant;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow_array::{Array, ArrayRef, make_array};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use udfleet_proto::error::Error;
use udfleet_proto::types::{arrow_type, sql};
use udfleet_proto::v1::ErrorCode;

use crate::failure::{python_error, result_error, user_error};
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
    let arguments = arguments.iter().map(|column| to_pyarrow(py, column)).collect::<PyResult<Vec<_>>>();
    let arguments = arguments.and_then(|a| PyTuple::new(py, a)).map_err(|e| missing_pyarrow(py, &e))?;
    let started = Instant::now();
    let returned = function.callable.bind(py).call1(arguments).map_err(|e| user_error(py, &e))?;
    *run_ns += started.elapsed().as_nanos() as u64;
    let array = accept(py, function, &returned).map_err(|e| python_error(py, ErrorCode::ResultType, &e))??;
    if array.len() != rows {
        return Err(wrong_length(&returned, array.len(), rows));
    }
    check_array(&array, &function.result)?;
    Ok(array)
}

/// What to say when pyarrow can't be used in this environment.
pub fn missing_pyarrow(py: Python<'_>, error: &PyErr) -> Error {
    python_error(py, ErrorCode::LoadFailed, error)
        .hint("functions of type pandas and arrow need pyarrow in their environment")
}

/// A result with another number of rows than the input.
pub fn wrong_length(value: &Bound<'_, PyAny>, got: usize, rows: usize) -> Error {
    let class = crate::failure::class_name(value);
    Error::new(ErrorCode::ResultType, format!("the function returned a {class} of {got} values for {rows} rows"))
        .hint("return one value per row")
}

fn accept<'py>(
    py: Python<'py>,
    function: &Function,
    returned: &Bound<'py, PyAny>,
) -> PyResult<Result<ArrayRef, Error>> {
    static ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static CHUNKED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let chunked = returned.is_instance(CHUNKED.import(py, "pyarrow", "ChunkedArray")?)?;
    if !chunked && !returned.is_instance(ARRAY.import(py, "pyarrow", "Array")?)? {
        return Ok(Err(result_error(returned, None, "not a pyarrow.Array or pyarrow.ChunkedArray")));
    }
    let array = if chunked { returned.call_method0(intern!(py, "combine_chunks"))? } else { returned.clone() };
    let array = match from_pyarrow(&array)? {
        // pyarrow gives a chunked array where one array has no room for the data.
        None => return Ok(Err(result_error(returned, None, "which does not fit in one Arrow array"))),
        Some(array) => array,
    };
    Ok(fit(array, function))
}

/// Casts to the declared type where nothing is lost.
fn fit(array: ArrayRef, function: &Function) -> Result<ArrayRef, Error> {
    let wanted = arrow_type(&function.result);
    if array.data_type() == &wanted {
        return Ok(array);
    }
    let (given, declared) = (array.data_type().clone(), sql(&function.result));
    let refuse =
        |why: &str| Error::new(ErrorCode::ResultType, format!("the function returned {given} for {declared}{why}"));
    if !arrow_cast::can_cast_types(&given, &wanted) || loses_meaning(&given, &wanted) {
        return Err(refuse(""));
    }
    // What does not fit becomes null, and does not come back.
    let cast = arrow_cast::cast(&array, &wanted).map_err(|e| refuse(&format!(": {e}")))?;
    let back = arrow_cast::cast(&cast, &given).map_err(|e| refuse(&format!(": {e}")))?;
    if back.to_data() == array.to_data() {
        return Ok(cast);
    }
    let changed = |row: &usize| array.slice(*row, 1).to_data() != back.slice(*row, 1).to_data();
    let Some(row) = (0..array.len()).find(changed) else { return Err(refuse(": values would change")) };
    let value = arrow_cast::display::array_value_to_string(&array, row).unwrap_or_default();
    let message = format!("the function returned {value} ({given}), which does not fit {declared}");
    Err(Error::new(ErrorCode::ResultType, message).with(|info| (info.row, info.value) = (Some(row as u64), value)))
}

/// Casts between kinds of values (text to number, number to truth) are conversions that nobody asked for.
fn loses_meaning(from: &arrow_schema::DataType, to: &arrow_schema::DataType) -> bool {
    use arrow_schema::DataType as D;
    let kind = |t: &D| match t {
        D::Null => 0,
        D::Boolean => 1,
        t if t.is_numeric() => 2,
        D::Utf8 | D::LargeUtf8 | D::Utf8View => 3,
        D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_) => 4,
        D::Date32 | D::Date64 => 5,
        D::Time32(_) | D::Time64(_) => 6,
        D::Timestamp(_, None) => 7,
        D::Timestamp(_, Some(_)) => 8,
        D::Duration(_) => 9,
        D::Interval(_) => 10,
        D::Dictionary(_, _) => 11,
        _ => 12,
    };
    let (from, to) = (kind(from), kind(to));
    from != to && from != 0 && from != 11
}

/// Hands an array to pyarrow through the C Data Interface.
pub fn to_pyarrow<'py>(py: Python<'py>, array: &ArrayRef) -> PyResult<Bound<'py, PyAny>> {
    let fail = |e: arrow_schema::ArrowError| pyo3::exceptions::PyValueError::new_err(e.to_string());
    let (mut exported, mut schema) = to_ffi(&array.to_data()).map_err(fail)?;
    static ARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class = ARRAY.import(py, "pyarrow", "Array")?;
    let addresses = (&raw mut exported as usize, &raw mut schema as usize);
    class.call_method1(intern!(py, "_import_from_c"), addresses)
}

/// Takes an array from pyarrow; `None` where it is no single array.
pub fn from_pyarrow(array: &Bound<'_, PyAny>) -> PyResult<Option<ArrayRef>> {
    let py = array.py();
    if !array.hasattr(intern!(py, "_export_to_c"))? {
        return Ok(None);
    }
    let (mut exported, mut schema) = (FFI_ArrowArray::empty(), FFI_ArrowSchema::empty());
    let addresses = (&raw mut exported as usize, &raw mut schema as usize);
    array.call_method1(intern!(py, "_export_to_c"), addresses)?;
    // SAFETY: pyarrow has just filled both structures as the C Data Interface says.
    let data = unsafe { from_ffi(exported, &schema) };
    data.map(|data| Some(make_array(data))).map_err(|e| pyo3::exceptions::PyValueError::new_err(e.to_string()))
}
