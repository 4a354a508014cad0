//! From Python exceptions to typed errors.

use std::ffi::OsString;
use std::sync::OnceLock;

use pyo3::exceptions::{PyMemoryError, PyModuleNotFoundError, PyRuntimeError, PySystemExit};
use pyo3::ffi::c_str;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList};
use udfleet_proto::error::{Error, truncate};
use udfleet_proto::secrets::{FOLDER_VARIABLE, Masks};
use udfleet_proto::v1::{ErrorCode, Frame, PythonException};

use crate::child::{end_if_child, end_if_forked};

/// The values that no error may tell.
static MASKS: OnceLock<Masks> = OnceLock::new();
/// Longest `repr()` of a value in an error, bytes.
const MAX_REPR: usize = 256;
/// Longest traceback text, bytes.
const MAX_TEXT: usize = 64 << 10;

/// What the user's function raised.
pub fn user_error(py: Python<'_>, error: &PyErr) -> Error {
    python_error(py, ErrorCode::UserCode, error)
}

/// What a call of user code gave.
pub fn returned<T>(py: Python<'_>, outcome: PyResult<T>) -> Result<T, Error> {
    end_if_forked(py, outcome.as_ref().err());
    outcome.map_err(|error| user_error(py, &error))
}

/// Any code, with the exception described. Does not return in a process that user code has forked.
pub fn python_error(py: Python<'_>, code: ErrorCode, error: &PyErr) -> Error {
    end_if_child(py, Some(error));
    let exception = describe(py, error).unwrap_or_else(|reason| PythonException {
        r#type: type_name(py, error),
        message: format!("the exception could not be described: {}", type_name(py, &reason)),
        ..PythonException::default()
    });
    let message = match exception.message.as_str() {
        "" => exception.r#type.clone(),
        text => format!("{}: {text}", exception.r#type),
    };
    let typed = Error::new(code, message).with(|info| info.exception = Some(exception));
    match hint(py, error) {
        Some(hint) => typed.hint(hint),
        None => typed,
    }
}

fn hint(py: Python<'_>, error: &PyErr) -> Option<String> {
    if error.is_instance_of::<PySystemExit>(py) {
        Some("a function must not exit its interpreter; raise another exception".to_owned())
    } else if error.is_instance_of::<PyMemoryError>(py) {
        let hint = "raise udfleet.memory.limit or take smaller batches (python.fn-execution.arrow.batch.size)";
        Some(hint.to_owned())
    } else if error.is_instance_of::<PyModuleNotFoundError>(py) {
        Some(missing_module(py, error))
    } else {
        None
    }
}

/// The way out where a module is missing: the package, the file, or another version of a package that is there.
fn missing_module(py: Python<'_>, error: &PyErr) -> String {
    let name = error.value(py).getattr("name").and_then(|name| name.extract::<String>()).unwrap_or_default();
    if let Some((package, _)) = name.split_once('.')
        && let Some(version) = version_of(py, package)
    {
        return format!(
            "this environment has {package} {version}, which has no module {name:?}; what was made with another version \
             of {package} needs that version: name it in the environment's requirements"
        );
    }
    format!(
        "add the package that holds {name:?} to the environment's requirements, or the module to its files \
         (files=[...])"
    )
}

/// Of a package that has been imported.
fn version_of(py: Python<'_>, package: &str) -> Option<String> {
    let module = py.import("sys").ok()?.getattr("modules").ok()?.get_item(package).ok()?;
    module.getattr("__version__").ok()?.extract().ok()
}

fn type_name(py: Python<'_>, error: &PyErr) -> String {
    error.get_type(py).name().map_or_else(|_| "Exception".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Writes an exception that fails nothing to the function's log. (Python's own way to do that obeys SystemExit.)
pub fn log(py: Python<'_>, error: &PyErr) {
    end_if_child(py, Some(error));
    error.display(py);
}

fn module(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || {
        let code = c_str!(include_str!("../python/failure.py"));
        PyModule::from_code(py, code, c"_udfleet_failure.py", c"_udfleet_failure").map(Bound::unbind)
    });
    Ok(module?.bind(py))
}

/// Imports what describing an exception needs, before a user's file can shadow it, and reads which values of secrets it
/// must not tell: they are masked before anything is cut off.
pub fn prepare(py: Python<'_>) -> PyResult<()> {
    let masks = masks(std::env::var_os(FOLDER_VARIABLE)).map_err(PyRuntimeError::new_err)?;
    module(py)?.getattr("MASKED")?.call_method1("extend", (masks.expose(),))?;
    // Prepared once.
    let _ = MASKS.set(masks);
    Ok(())
}

fn masks(folder: Option<OsString>) -> Result<Masks, String> {
    let Some(folder) = folder else { return Ok(Masks::default()) };
    let read = || -> std::io::Result<Vec<Vec<u8>>> {
        std::fs::read_dir(&folder)?.map(|entry| std::fs::read(entry?.path())).collect()
    };
    let values = read().map_err(|error| format!("the secrets in {}: {error}", folder.display()))?;
    Masks::new(values.iter().map(Vec::as_slice)).map_err(|error| error.info().message.clone())
}

/// Asks the Python side for the tree of causes, frames with source lines, notes and group members.
fn describe(py: Python<'_>, error: &PyErr) -> PyResult<PythonException> {
    // `into_value` gives the exception its traceback, which older CPythons keep apart.
    let tree = module(py)?.call_method1("describe", (error.clone_ref(py).into_value(py),))?;
    from_tree(tree.cast::<PyDict>()?)
}

fn from_tree(tree: &Bound<'_, PyDict>) -> PyResult<PythonException> {
    let text =
        |key: &str| -> PyResult<String> { tree.get_item(key)?.map_or(Ok(String::new()), |value| value.extract()) };
    let mut exception = PythonException {
        r#type: text("type")?,
        message: text("message")?,
        text: text("text")?,
        ..PythonException::default()
    };
    truncate(&mut exception.text, MAX_TEXT);
    if let Some(frames) = tree.get_item("frames")? {
        for frame in frames.extract::<Vec<(String, u32, String, String)>>()? {
            let (file, line, function, source) = frame;
            exception.frames.push(Frame { file, line, function, source });
        }
    }
    if let Some(cause) = tree.get_item("cause")? {
        exception.cause = Some(Box::new(from_tree(cause.cast::<PyDict>()?)?));
        exception.explicit_cause =
            tree.get_item("explicit_cause")?.is_some_and(|flag| flag.is_truthy().unwrap_or(false));
    }
    if let Some(group) = tree.get_item("group")? {
        for member in group.cast::<PyList>()?.iter() {
            exception.group.push(from_tree(member.cast::<PyDict>()?)?);
        }
    }
    if let Some(notes) = tree.get_item("notes")? {
        exception.notes = notes.extract()?;
    }
    Ok(exception)
}

/// A bounded `repr()` that never fails.
pub fn repr(value: &Bound<'_, PyAny>) -> String {
    let mut text = match value.repr() {
        Ok(text) => text.to_string_lossy().into_owned(),
        Err(_) => format!("<{} whose repr() fails>", class_name(value)),
    };
    if let Some(masks) = MASKS.get() {
        masks.mask_in(&mut text);
    }
    truncate(&mut text, MAX_REPR);
    text
}

/// The name of a value's class.
pub fn class_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// A result that does not fit the declared type: `what` says how.
pub fn result_error(value: &Bound<'_, PyAny>, row: Option<usize>, what: &str) -> Error {
    let shown = repr(value);
    Error::new(ErrorCode::ResultType, format!("the function returned {shown} ({}), {what}", class_name(value))).with(
        |info| {
            info.row = row.map(|row| row as u64);
            info.value = shown;
        },
    )
}
