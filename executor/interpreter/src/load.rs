//! Loading a function: unpickle, open, remember how to call it.

use std::cell::RefCell;

use arrow_schema::Schema;
use prost::Message;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use udfleet_proto::config::{ASYNC_CONCURRENCY, ASYNC_RETRIES, ASYNC_TIMEOUT, PROFILE_ENABLED};
use udfleet_proto::error::Error;
use udfleet_proto::flight_info::result_fields;
use udfleet_proto::v1::{self, ErrorCode, FuncType, FunctionKind, LoadSpec, OnError};

use crate::arguments::Declared;
use crate::encode::Encoder;
use crate::eval;
use crate::failure::python_error;
use crate::metrics::Metrics;

/// A function that is open and can be called.
pub struct Function {
    /// The number that commands name.
    pub number: u32,
    /// `add@3`
    pub name: String,
    /// The unpickled object; closed at unload.
    object: Py<PyAny>,
    /// What to call with the arguments: for aggregates over rows the object itself.
    pub callable: Py<PyAny>,
    pub kind: FunctionKind,
    pub func_type: FuncType,
    /// Of coroutine functions.
    pub asynchronous: Option<Asynchronous>,
    /// Declared input types; `None` accepts any columns.
    pub inputs: Option<Vec<Declared>>,
    pub result: v1::DataType,
    pub max_rows: usize,
    /// What it was registered with.
    pub on_error: OnError,
    pub encoder: RefCell<Encoder>,
    /// What its own metrics lie in; `None` where metrics are off.
    pub metrics: Option<Metrics>,
    /// Profiles are wanted.
    pub profiled: bool,
}

/// How coroutine functions are run.
#[derive(Clone, Copy, Default)]
pub struct Asynchronous {
    /// Rows that wait at the same time.
    pub concurrency: u64,
    /// Milliseconds that a row may take; 0: as long as it likes.
    pub timeout_ms: u64,
    /// How often a row that raised is tried again.
    pub retries: u64,
}

impl Asynchronous {
    fn of(definition: &v1::FunctionDefinition) -> Option<Self> {
        let config = &definition.config;
        definition.asynchronous.then(|| Self {
            concurrency: ASYNC_CONCURRENCY.integer(config),
            timeout_ms: ASYNC_TIMEOUT.integer(config),
            retries: ASYNC_RETRIES.integer(config),
        })
    }
}

fn failed(what: &str, error: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::LoadFailed, format!("{what}: {error}"))
}

impl Function {
    /// Loads what the spec describes.
    pub fn load(py: Python<'_>, spec: &[u8]) -> Result<Self, Error> {
        let spec = LoadSpec::decode(spec).map_err(|e| failed("malformed LoadSpec", e))?;
        let definition = spec.definition.clone().unwrap_or_default();
        let name = udfleet_proto::name::versioned(&definition.name, definition.version);
        let describe = |error: PyErr| {
            let hint = load_hint(py, &error);
            python_error(py, ErrorCode::LoadFailed, &error).hint(hint).function(name.clone())
        };
        prepare_path(py, &spec.pickle_support_path).map_err(describe)?;
        seed_sources(py, &definition).map_err(describe)?;
        let payload = std::fs::read(&spec.payload_path)
            .map_err(|e| failed(&format!("can't read the payload {}", spec.payload_path), e))?;
        import_containers(py, definition.func_type()).map_err(describe)?;
        let object = unpickle(py, &payload).map_err(describe)?;
        let metrics = Metrics::of(py, &definition).map_err(describe)?;
        let context = || function_context(py, &spec, &definition, &name, metrics.as_ref());
        let callable = open(&object, context).map_err(describe)?;
        let fields: Schema = Schema::new(result_fields(&definition));
        let function = Self {
            number: spec.function,
            callable: callable.unbind(),
            object: object.unbind(),
            kind: definition.kind(),
            func_type: definition.func_type(),
            asynchronous: Asynchronous::of(&definition),
            inputs: definition.input_typed.then(|| definition.input_types.iter().map(Declared::new).collect()),
            on_error: definition.on_error(),
            encoder: RefCell::new(Encoder::new(fields).map_err(|e| failed("result type", e))?),
            metrics,
            profiled: PROFILE_ENABLED.boolean(&definition.config),
            result: definition.result_type.unwrap_or_default(),
            max_rows: usize::try_from(spec.max_rows).unwrap_or(usize::MAX).max(1),
            name,
        };
        Ok(function)
    }

    /// Calls the object's `close()` if it has one.
    pub fn close(&self, py: Python<'_>) -> PyResult<()> {
        let object = self.object.bind(py);
        if is_opened(object)? && object.hasattr("close")? {
            eval::finish(&object.call_method0("close")?)?;
        }
        Ok(())
    }
}

fn load_hint(py: Python<'_>, error: &PyErr) -> String {
    if error.is_instance_of::<pyo3::exceptions::PyModuleNotFoundError>(py) {
        let name = error.value(py).getattr("name").and_then(|name| name.extract::<String>()).unwrap_or_default();
        return format!(
            "add the package that holds {name:?} to the environment's requirements, or the module to its files"
        );
    }
    String::new()
}

/// The pickler's own package goes in front, so that the payload is read by the version that wrote it.
fn prepare_path(py: Python<'_>, support: &str) -> PyResult<()> {
    if support.is_empty() {
        return Ok(());
    }
    let path = py.import("sys")?.getattr("path")?.cast_into::<PyList>()?;
    if !path.contains(support)? {
        path.insert(0, support)?;
    }
    Ok(())
}

/// Imports what columns are handed over in: it takes up to seconds, which the first call should not.
fn import_containers(py: Python<'_>, func_type: FuncType) -> PyResult<()> {
    let packages: &[&str] = match func_type {
        FuncType::Pandas => &["pyarrow", "pandas"],
        FuncType::Arrow => &["pyarrow"],
        FuncType::General | FuncType::Unspecified => &[],
    };
    packages.iter().try_for_each(|package| py.import(*package).map(drop))
}

/// Puts the client's source text into `linecache`, so that tracebacks show lines of files that this node lacks.
fn seed_sources(py: Python<'_>, definition: &v1::FunctionDefinition) -> PyResult<()> {
    if definition.source_files.is_empty() {
        return Ok(());
    }
    let cache = py.import("linecache")?.getattr("cache")?.cast_into::<PyDict>()?;
    for (file, text) in &definition.source_files {
        let earlier = cache.get_item(file)?.map(|entry| entry.extract::<(usize, Option<f64>, Vec<String>, String)>());
        let lines = match earlier {
            Some(Ok((_, None, earlier, _))) => merge_lines(text, earlier),
            _ => text.split_inclusive('\n').map(str::to_owned).collect(),
        };
        // A modification time of None keeps the entry from being checked against the disk.
        cache.set_item(file, (text.len(), py.None(), lines, file))?;
    }
    Ok(())
}

/// A function brings its own lines of a file and leaves the others blank: they may have come with another function.
fn merge_lines(text: &str, mut lines: Vec<String>) -> Vec<String> {
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if index >= lines.len() {
            lines.push(line.to_owned());
        } else if !line.trim().is_empty() {
            line.clone_into(&mut lines[index]);
        }
    }
    lines
}

fn unpickle<'py>(py: Python<'py>, payload: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    py.import("pickle")?.call_method1("loads", (PyBytes::new(py, payload),))
}

/// Instances of function classes; anything else is called as it is.
fn is_opened(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(object.hasattr("eval")? || object.hasattr("accumulate")?)
}

/// Functions are called as they are; instances of `ScalarFunction` and others are opened, and their `eval` is called.
fn open<'py>(
    object: &Bound<'py, PyAny>,
    context: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    if !is_opened(object)? {
        return Ok(object.clone());
    }
    if object.hasattr("open")? {
        eval::finish(&object.call_method1("open", (context()?,))?)?;
    }
    if object.hasattr("eval")? { object.getattr("eval") } else { Ok(object.clone()) }
}

/// What `open` is given.
fn function_context<'py>(
    py: Python<'py>,
    spec: &LoadSpec,
    definition: &v1::FunctionDefinition,
    name: &str,
    metrics: Option<&Metrics>,
) -> PyResult<Bound<'py, PyAny>> {
    let parameters = PyDict::new(py);
    for (key, value) in &definition.job_parameters {
        parameters.set_item(key, value)?;
    }
    let subtask = spec.subtask.unwrap_or_default();
    let task = PyDict::new(py);
    task.set_item("task_name", name)?;
    task.set_item("index_of_this_subtask", subtask.index)?;
    task.set_item("number_of_parallel_subtasks", subtask.parallelism.max(1))?;
    task.set_item("max_number_of_parallel_subtasks", subtask.max_parallelism.max(1))?;
    task.set_item("attempt_number", subtask.attempt)?;
    let group = metrics.map(|metrics| metrics.group(py));
    py.import("udfleet")?.getattr("FunctionContext")?.call((parameters, group), Some(&task))
}
