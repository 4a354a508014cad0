//! From Python exceptions to typed errors.

use pyo3::exceptions::{PyMemoryError, PySystemExit};
use pyo3::ffi::c_str;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use udfleet_proto::error::{Error, truncate};
use udfleet_proto::v1::{ErrorCode, Frame, PythonException};

/// Longest `repr()` of a value in an error, bytes.
const MAX_REPR: usize = 256;
/// Longest traceback text, bytes.
const MAX_TEXT: usize = 64 << 10;

/// What the user's function raised.
pub fn user_error(py: Python<'_>, error: &PyErr) -> Error {
    python_error(py, ErrorCode::UserCode, error)
}

/// Any code, with the exception described.
pub fn python_error(py: Python<'_>, code: ErrorCode, error: &PyErr) -> Error {
    let exception = describe(py, error).unwrap_or_else(|_| PythonException {
        r#type: type_name(py, error),
        message: "the exception could not be described".to_owned(),
        ..PythonException::default()
    });
    let message = match exception.message.as_str() {
        "" => exception.r#type.clone(),
        text => format!("{}: {text}", exception.r#type),
    };
    let mut typed = Error::new(code, message).with(|info| info.exception = Some(exception));
    if error.is_instance_of::<PySystemExit>(py) {
        typed = typed.hint("a function must not exit its interpreter; raise another exception");
    } else if error.is_instance_of::<PyMemoryError>(py) {
        typed = typed.hint("raise udfleet.memory.limit or take smaller batches (python.fn-execution.arrow.batch.size)");
    }
    typed
}

fn type_name(py: Python<'_>, error: &PyErr) -> String {
    error.get_type(py).name().map_or_else(|_| "Exception".to_owned(), |name| name.to_string())
}

/// Asks the Python side for the tree of causes, frames with source lines, notes and group members.
fn describe(py: Python<'_>, error: &PyErr) -> PyResult<PythonException> {
    let module = match py.import("sys")?.getattr("modules")?.get_item("_udfleet_failure") {
        Ok(module) => module,
        Err(_) => {
            let code = c_str!(include_str!("../python/failure.py"));
            PyModule::from_code(py, code, c"_udfleet_failure.py", c"_udfleet_failure")?.into_any()
        }
    };
    // `into_value` gives the exception its traceback, which older CPythons keep apart.
    let tree = module.call_method1("describe", (error.clone_ref(py).into_value(py),))?;
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
    truncate(&mut text, MAX_REPR);
    text
}

/// The name of a value's class.
pub fn class_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string())
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
