//! Functions and executors as the JSON API shows them: the fields of the SDK's `FunctionView` and `ExecutorView`.

use std::collections::BTreeMap;

use serde::Serialize;
use udfleet_proto::types::sql;
use udfleet_proto::v1::{ErrorInfo, ExecutorInfo, FunctionInfo, FunctionStatus, LoadState, OnError};

/// Why something is not as it should be.
#[derive(Debug, Serialize)]
pub struct Failure {
    code: &'static str,
    message: String,
    hint: String,
    function: String,
    row: Option<u64>,
    executor: String,
}

impl Failure {
    /// The parts of an error that are short.
    pub fn of(info: &ErrorInfo) -> Self {
        Self {
            code: info.code().as_str_name(),
            message: info.message.clone(),
            hint: info.hint.clone(),
            function: info.function.clone(),
            row: info.row,
            executor: info.executor.clone(),
        }
    }
}

/// One function as one executor has it.
#[derive(Debug, Serialize)]
pub struct OnExecutor {
    executor: String,
    function: String,
    state: &'static str,
    interpreters: u32,
    error: Option<Failure>,
    waiting: String,
}

impl OnExecutor {
    fn of(executor: &str, status: &FunctionStatus) -> Self {
        Self {
            executor: executor.to_owned(),
            function: status.function.clone(),
            state: status.state().as_str_name(),
            interpreters: status.interpreters,
            error: status.error.as_ref().map(Failure::of),
            waiting: status.waiting.clone(),
        }
    }
}

/// A registered function.
#[derive(Debug, Serialize)]
pub struct Function {
    name: String,
    version: u32,
    state: &'static str,
    reason: String,
    language: &'static str,
    kind: String,
    func_type: String,
    /// As SQL; null: any columns.
    input_types: Option<Vec<String>>,
    result_type: String,
    deterministic: bool,
    asynchronous: bool,
    merges: bool,
    on_error: &'static str,
    python: String,
    requirements: Vec<String>,
    environment: String,
    config: BTreeMap<String, String>,
    job: String,
    doc: String,
    source: String,
    created_unix_ms: i64,
    executors: Vec<OnExecutor>,
}

impl Function {
    /// Of what the registry and the executors say.
    pub fn of(info: &FunctionInfo) -> Self {
        let state = LoadState::try_from(info.state).unwrap_or_default().as_str_name();
        let definition = info.definition.clone().unwrap_or_default();
        let on_executor = |entry: &udfleet_proto::v1::ExecutorFunctionStatus| {
            entry.status.as_ref().map(|status| OnExecutor::of(&entry.executor, status))
        };
        Self {
            version: definition.version,
            state,
            reason: info.reason.clone(),
            language: definition.language().as_str_name(),
            kind: definition.kind().as_str_name().to_lowercase(),
            func_type: definition.func_type().as_str_name().to_lowercase(),
            input_types: definition.input_typed.then(|| definition.input_types.iter().map(sql).collect()),
            result_type: definition.result_type.as_ref().map(sql).unwrap_or_default(),
            deterministic: definition.deterministic,
            asynchronous: definition.asynchronous,
            merges: definition.merges,
            on_error: match definition.on_error() {
                OnError::Null => "null",
                OnError::Skip => "skip",
                OnError::Fail | OnError::Unspecified | OnError::Column => "fail",
            },
            environment: info.environment.clone(),
            created_unix_ms: definition.created_unix_ms,
            executors: info.executors.iter().filter_map(on_executor).collect(),
            python: definition.environment.as_ref().map(|e| e.python.clone()).unwrap_or_default(),
            requirements: definition.environment.map(|e| e.requirements).unwrap_or_default(),
            name: definition.name,
            config: definition.config.into_iter().collect(),
            job: definition.job,
            doc: definition.doc,
            source: definition.source,
        }
    }
}

/// An executor of the fleet.
#[derive(Debug, Serialize)]
pub struct Executor {
    id: String,
    state: String,
    address: String,
    version: String,
    pythons: Vec<String>,
    cores: u32,
    memory_bytes: u64,
    interpreters: u32,
    max_interpreters: u32,
    rss_bytes: u64,
    in_flight: u32,
    labels: BTreeMap<String, String>,
    report_age_ms: u64,
    functions: Vec<OnExecutor>,
}

impl Executor {
    /// Of what it said when it attached, and in its last report.
    pub fn of(info: &ExecutorInfo) -> Self {
        let hello = info.hello.clone().unwrap_or_default();
        Self {
            state: info.state.clone(),
            pythons: hello.pythons.into_iter().map(|python| python.version).collect(),
            cores: hello.cores,
            memory_bytes: hello.memory_bytes,
            interpreters: info.interpreters,
            max_interpreters: hello.max_interpreters,
            rss_bytes: info.rss_bytes,
            in_flight: info.in_flight,
            labels: hello.labels.into_iter().collect(),
            report_age_ms: info.report_age_ms,
            functions: info.functions.iter().map(|status| OnExecutor::of(&hello.executor, status)).collect(),
            id: hello.executor,
            address: hello.address,
            version: hello.version,
        }
    }
}
