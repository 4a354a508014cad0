//! Arrow functions: pyarrow arrays in, a pyarrow array out, both without copying.

use std::time::Instant;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow_array::{Array, ArrayRef, make_array};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use udfleet_kernels::{Source, fit};
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, TypeRoot};

use super::{Call, vectors};
use crate::failure::{self, python_error, result_error};
use crate::function::Function;

/// Calls the function once with all columns.
pub fn call(py: Python<'_>, function: &Function, given: &Call<'_>, run_ns: &mut u64) -> Result<ArrayRef, Error> {
    let rows = given.rows;
    let arguments = vectors(py, given, |column| to_pyarrow(py, column));
    let arguments = arguments.and_then(|a| PyTuple::new(py, a)).map_err(|e| not_handed_over(py, &e))?;
    let started = Instant::now();
    let returned = failure::returned(py, function.callable.bind(py).call1(arguments))?;
    *run_ns += started.elapsed().as_nanos() as u64;
    let array = accept(py, function, &returned).map_err(|e| python_error(py, ErrorCode::ResultType, &e))??;
    if array.len() != rows {
        return Err(wrong_length(&returned, array.len(), rows));
    }
    Ok(array)
}

/// What to say when columns can't be handed over: most likely pyarrow can't be used in this environment.
pub fn not_handed_over(py: Python<'_>, error: &PyErr) -> Error {
    if !error.is_instance_of::<pyo3::exceptions::PyImportError>(py) {
        return Error::new(
            ErrorCode::InvalidInput,
            format!("a column can't be given to the function: {}", error.value(py)),
        );
    }
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
    let returned = &whole_rows(py, function, returned)?;
    let chunked = returned.is_instance(CHUNKED.import(py, "pyarrow", "ChunkedArray")?)?;
    if !chunked && !returned.is_instance(ARRAY.import(py, "pyarrow", "Array")?)? {
        return Ok(Err(result_error(returned, None, "not a pyarrow.Array or pyarrow.ChunkedArray")));
    }
    let array = if chunked { returned.call_method0(intern!(py, "combine_chunks"))? } else { returned.clone() };
    validate(&array)?;
    let array = match from_pyarrow(&array)? {
        // pyarrow gives a chunked array where one array has no room for the data.
        None => return Ok(Err(result_error(returned, None, "which does not fit in one Arrow array"))),
        Some(array) => array,
    };
    Ok(fit(&array, &function.result, Source::Arrow))
}

/// A RecordBatch or Table, which functions of ROWs may give, as an array of structs.
fn whole_rows<'py>(py: Python<'py>, function: &Function, returned: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static BATCH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static TABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static STRUCTS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let is_batch = || returned.is_instance(BATCH.import(py, "pyarrow", "RecordBatch")?);
    let is_table = || returned.is_instance(TABLE.import(py, "pyarrow", "Table")?);
    if function.result.root() != TypeRoot::Row || !(is_batch()? || is_table()?) {
        return Ok(returned.clone());
    }
    let single = |column: PyResult<Bound<'py, PyAny>>| -> PyResult<Bound<'py, PyAny>> {
        let column = column?;
        let chunked = column.hasattr(intern!(py, "combine_chunks"))?;
        if chunked { column.call_method0(intern!(py, "combine_chunks")) } else { Ok(column) }
    };
    let columns = returned.getattr("columns")?.try_iter()?.map(single).collect::<PyResult<Vec<_>>>()?;
    let names = returned.getattr("schema")?.getattr("names")?;
    STRUCTS.import(py, "pyarrow", "StructArray")?.call_method1("from_arrays", (columns, names))
}

/// Offsets, texts and keys of a malformed array would be read beyond its buffers. Numbers can't be malformed.
pub fn validate(array: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = array.py();
    let kind = array.getattr(intern!(py, "type"))?;
    let is_plain = kind.getattr(intern!(py, "num_fields"))?.extract::<usize>()? == 0
        && kind.hasattr(intern!(py, "bit_width")).unwrap_or(false)
        && !array.hasattr(intern!(py, "dictionary"))?
        && !array.hasattr(intern!(py, "storage"))?;
    if is_plain {
        return Ok(());
    }
    let full = pyo3::types::PyDict::new(py);
    full.set_item("full", true)?;
    array.call_method("validate", (), Some(&full)).map(drop)
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
