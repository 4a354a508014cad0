//! Bundles of keyed functions: what surrounds the calls for their rows. Which instance runs them, and its state, is Python's:
//! `python-sdk/src/udfleet/_state/keyed_table.py`.

use std::rc::Rc;

use arrow_array::{ArrayRef, RecordBatch};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use udfleet_kernels::Value;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, KeyedBundle};
use udfleet_proto::{config, key};

use crate::child::end_if_forked;
use crate::eval::{self, Call};
use crate::failure::{log, user_error};
use crate::function::Function;

/// A bundle that runs. Others run in the same interpreter while a part of its results waits to be fetched.
pub struct KeyedRun {
    object: Py<PyAny>,
    /// Which instance of the function runs it.
    pub session: u64,
}

/// The columns that are arguments, and the bundle that has begun with them.
pub fn begin(
    py: Python<'_>,
    function: &Rc<Function>,
    session: u64,
    bundle: &KeyedBundle,
    batch: &RecordBatch,
) -> Result<(KeyedRun, RecordBatch), Error> {
    let invalid = |what: String| Error::new(ErrorCode::InvalidInput, format!("the key columns: {what}"));
    let count = bundle.key_columns as usize;
    if count > batch.num_columns() {
        return Err(invalid(format!("{count}, of {} columns", batch.num_columns())));
    }
    let kinds = batch.schema().fields().last().is_some_and(|last| last.name() == key::ROW_KIND);
    let all: Vec<usize> = (count..batch.num_columns() - usize::from(kinds)).collect();
    let arguments = batch.project(&all).map_err(|e| invalid(e.to_string()))?;
    let columns: &[ArrayRef] = &batch.columns()[..count];
    let encoded = key::encode(columns, batch.num_rows()).map_err(|e| invalid(e.to_string()))?;
    let values: Vec<Value> = columns.iter().cloned().map(Value::Column).collect();
    let given = Call { arguments: &values, rows: batch.num_rows(), values: None, writable: None };
    let values = eval::iterables(py, &given)?;
    let names: Vec<String> = arguments.schema().fields().iter().map(|field| field.name().clone()).collect();
    let keys: Vec<Bound<'_, PyBytes>> = encoded.iter().map(|key| PyBytes::new(py, key)).collect();
    let run = KeyedRun { object: function.object.clone_ref(py), session };
    let begun =
        PyList::new(py, keys).and_then(|keys| Ok((keys, PyList::new(py, values)?))).and_then(|(keys, values)| {
            let object = function.object.bind(py);
            object.call_method1("begin", (session, bundle.token, bundle.bundle, bundle.now_ms, names, keys, values))
        });
    end_if_forked(py, begun.as_ref().err());
    let begun = match begun {
        Ok(_) if kinds => run.set_kinds(py, batch),
        begun => begun.map(drop),
    };
    match begun {
        Ok(()) => Ok((run, arguments)),
        Err(error) => {
            run.discard(py);
            Err(not_begun(py, &error))
        }
    }
}

/// Why no bundle can begin: what the function raised when it was opened, or state that it can't keep.
fn not_begun(py: Python<'_>, error: &PyErr) -> Error {
    let is_layout = error.get_type(py).name().is_ok_and(|name| name == "StateLayoutError");
    if !is_layout {
        return user_error(py, error);
    }
    Error::new(ErrorCode::InvalidInput, error.value(py).to_string())
        .hint("declare it as it was, or open the stream with reset to begin anew: its state is deleted then")
}

impl KeyedRun {
    /// What each row of a table of changes does to it: the last column.
    fn set_kinds(&self, py: Python<'_>, batch: &RecordBatch) -> PyResult<()> {
        let column: Vec<Value> = batch.columns().last().cloned().map(Value::Column).into_iter().collect();
        let given = Call { arguments: &column, rows: batch.num_rows(), values: None, writable: None };
        let mut values =
            eval::iterables(py, &given).map_err(|error| PyValueError::new_err(error.info().message.clone()))?;
        let set = self.object.bind(py).call_method1("set_row_kinds", (self.session, values.pop()));
        end_if_forked(py, set.as_ref().err());
        set.map(drop)
    }

    /// Its rows are the ones that run now, with its state.
    pub fn resume(&self, py: Python<'_>) -> Result<(), Error> {
        self.call(py, "resume")
    }

    /// All rows have run: changes of state that are still held in memory are written.
    pub fn finish(&self, py: Python<'_>) -> Result<(), Error> {
        self.call(py, "finish")
    }

    fn call(&self, py: Python<'_>, method: &str) -> Result<(), Error> {
        let called = self.object.bind(py).call_method1(method, (self.session,));
        end_if_forked(py, called.as_ref().err());
        called.map(drop).map_err(|error| user_error(py, &error))
    }

    /// The bundle has failed, or nobody wants it any more.
    pub fn discard(&self, py: Python<'_>) {
        told(py, self.object.bind(py).call_method1("discard", (self.session,)));
    }
}

/// The instance of a session is not needed any more.
pub fn forget(py: Python<'_>, object: &Py<PyAny>, session: u64) {
    told(py, object.bind(py).call_method1("forget", (session,)));
}

/// Tells a function how large its caches are, before it is opened.
pub fn configure(object: &Bound<'_, PyAny>, keys: &std::collections::BTreeMap<String, String>) -> PyResult<()> {
    let sizes = [config::STATE_CACHE, config::MAP_READ_CACHE, config::MAP_WRITE_CACHE, config::MAP_PAGE];
    let [states, reads, writes, page] = sizes.map(|key| key.integer(keys));
    object.call_method1("configure", (states, reads, writes, page)).map(drop)
}

fn told(py: Python<'_>, outcome: PyResult<Bound<'_, PyAny>>) {
    end_if_forked(py, outcome.as_ref().err());
    if let Err(error) = outcome {
        log(py, &error);
    }
}
