//! Loads a function: unpickles and opens it.

use std::cell::RefCell;

use arrow_schema::Schema;
use prost::Message;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyType};
use sha2::{Digest, Sha256};
use udfleet_proto::config::PROFILE_ENABLED;
use udfleet_proto::error::Error;
use udfleet_proto::flight_info::result_fields;
use udfleet_proto::v1::{self, Artifact, ErrorCode, FuncType, LoadSpec};

use crate::arguments::Declared;
use crate::child::end_if_forked;
use crate::encode::Encoder;
use crate::eval;
use crate::failure::python_error;
use crate::function::{Asynchronous, Function};
use crate::keyed;
use crate::metrics::Metrics;

/// The base class of everything that is opened and closed.
const FUNCTION: &str = "UserDefinedFunction";
/// The base class of aggregates over rows.
const AGGREGATE: &str = "ImperativeAggregateFunction";

fn failed(what: &str, error: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::LoadFailed, format!("{what}: {error}"))
}

/// Loads what the spec describes.
///
/// # Errors
/// `LOAD_FAILED` with the exception.
pub fn load(py: Python<'_>, spec: &[u8]) -> Result<Function, Error> {
    let spec = LoadSpec::decode(spec).map_err(|e| failed("malformed LoadSpec", e))?;
    let definition = spec.definition.clone().unwrap_or_default();
    let name = udfleet_proto::name::versioned(&definition.name, definition.version);
    let describe = |error: PyErr| python_error(py, ErrorCode::LoadFailed, &error).function(name.clone());
    if !spec.pickle_support_path.is_empty() {
        read(&spec.pickle_support_path, definition.pickle_support.as_ref())?;
    }
    prepare_path(py, &spec.pickle_support_path).map_err(describe)?;
    seed_sources(py, &definition).map_err(describe)?;
    let payload = read(&spec.payload_path, definition.payload.as_ref())?;
    import_containers(py, definition.func_type()).map_err(describe)?;
    let object = unpickle(py, &payload).map_err(describe)?;
    if !definition.parts.is_empty() {
        let parts = parts(py, &spec, &definition, describe)?;
        object.call_method1("compose", (parts,)).map_err(describe)?;
    }
    if definition.keyed.is_some() {
        keyed::configure(&object, &definition.config).map_err(describe)?;
    }
    let metrics = Metrics::of(py, &definition).map_err(describe)?;
    let context = || function_context(py, &spec, &definition, &name, metrics.as_ref());
    let callable = open(&object, context).map_err(describe)?;
    let fields: Schema = Schema::new(result_fields(&definition));
    let function = Function {
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

/// Reads a file that is about to be run, and makes sure that it is what was registered.
fn read(path: &str, artifact: Option<&Artifact>) -> Result<Vec<u8>, Error> {
    let bytes = std::fs::read(path).map_err(|e| failed(&format!("can't read {path}"), e))?;
    let wanted = artifact.map_or("", |artifact| artifact.hash.as_str());
    let found = hex::encode(Sha256::digest(&bytes));
    if wanted.is_empty() || wanted == found {
        return Ok(bytes);
    }
    let problem = format!("its SHA-256 is {found}, and {wanted} was registered");
    Err(failed(path, problem)
        .hint("the file was changed on the executor: `udfleet drain` it, and see who can write there"))
}

/// What the payloads of other functions hold that this one calls.
fn parts<'py>(
    py: Python<'py>,
    spec: &LoadSpec,
    definition: &v1::FunctionDefinition,
    describe: impl Fn(PyErr) -> Error,
) -> Result<Bound<'py, PyList>, Error> {
    let parts = PyList::empty(py);
    for (path, artifact) in spec.part_paths.iter().zip(&definition.parts) {
        let payload = read(path, Some(artifact))?;
        unpickle(py, &payload).and_then(|part| parts.append(part)).map_err(&describe)?;
    }
    Ok(parts)
}

/// What user code gave in this process: a child that it has forked ends here.
fn own<T>(py: Python<'_>, outcome: PyResult<T>) -> PyResult<T> {
    end_if_forked(py, outcome.as_ref().err());
    outcome
}

/// Calls `close()` of an instance of a function class.
pub fn close(py: Python<'_>, function: &Function) -> PyResult<()> {
    let object = function.object.bind(py);
    if is_instance(object, FUNCTION)? {
        own(py, object.call_method0("close").and_then(|closed| eval::finish(&closed)))?;
    }
    Ok(())
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
    own(py, py.import("pickle")?.call_method1("loads", (PyBytes::new(py, payload),)))
}

/// Instances of a base class of the SDK; anything else is called as it is, whatever its methods are called: torch's
/// modules have an `eval`, too. An instance has had its base class imported when it was unpickled.
fn is_instance(object: &Bound<'_, PyAny>, class: &str) -> PyResult<bool> {
    let modules = object.py().import("sys")?.getattr("modules")?;
    match modules.get_item("udfleet.functions") {
        Ok(module) => {
            let base = module.getattr(class)?.cast_into::<PyType>()?;
            object.get_type().is_subclass(&base)
        }
        Err(_) => Ok(false),
    }
}

/// Functions are called as they are; instances of `ScalarFunction` and others are opened, and their `eval` is called,
/// of aggregates the methods that they are made of.
fn open<'py>(
    object: &Bound<'py, PyAny>,
    context: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    if !is_instance(object, FUNCTION)? {
        return Ok(object.clone());
    }
    own(object.py(), object.call_method1("open", (context()?,)).and_then(|opened| eval::finish(&opened)))?;
    if is_instance(object, AGGREGATE)? { Ok(object.clone()) } else { object.getattr("eval") }
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
    py.import("udfleet")?.getattr("FunctionContext")?.call((group, parameters), Some(&task))
}
