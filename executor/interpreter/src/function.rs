//! A loaded function.

use std::cell::RefCell;

use pyo3::prelude::*;
use udfleet_proto::config::{ASYNC_CONCURRENCY, ASYNC_RETRIES, ASYNC_RETRY_DELAY, ASYNC_TIMEOUT};
use udfleet_proto::v1::{self, FuncType, FunctionKind, OnError};

use crate::arguments::Declared;
use crate::encode::Encoder;
use crate::metrics::Metrics;

/// A function that is open and can be called.
pub struct Function {
    /// The number that commands name.
    pub number: u32,
    /// `add@3`
    pub name: String,
    /// The unpickled object; closed at unload.
    pub object: Py<PyAny>,
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
    /// Milliseconds before it is.
    pub retry_delay_ms: u64,
}

impl Asynchronous {
    /// Of coroutine functions.
    pub fn of(definition: &v1::FunctionDefinition) -> Option<Self> {
        let config = &definition.config;
        definition.asynchronous.then(|| Self {
            concurrency: ASYNC_CONCURRENCY.integer(config),
            timeout_ms: ASYNC_TIMEOUT.integer(config),
            retries: ASYNC_RETRIES.integer(config),
            retry_delay_ms: ASYNC_RETRY_DELAY.integer(config),
        })
    }
}
