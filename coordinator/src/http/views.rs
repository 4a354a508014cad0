//! Functions and executors in the JSON API: the fields of the SDK's `FunctionView` and `ExecutorView`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;
use udfleet_edge::http::Failure;
use udfleet_proto::types::sql;
use udfleet_proto::v1::{FunctionStatus, HeldDevice, LoadState, OnError, SandboxStatus};

use crate::snapshot::{EnvironmentEntry, ExecutorEntry, FunctionEntry};

/// One function as one executor has it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OnExecutor {
    executor: String,
    function: String,
    state: &'static str,
    interpreters: u32,
    error: Option<Failure>,
    waiting: String,
}

impl OnExecutor {
    /// As an executor reports it.
    pub fn of(executor: &str, status: &FunctionStatus) -> Self {
        Self {
            executor: executor.to_owned(),
            function: status.function.clone(),
            // Of what another coordinator has yet to place nothing is reported.
            state: match status.state() {
                LoadState::Unspecified => LoadState::Pending,
                state => state,
            }
            .as_str_name(),
            interpreters: status.interpreters,
            error: status.error.as_ref().map(Failure::of),
            waiting: status.waiting.clone(),
        }
    }
}

/// A registered function.
#[derive(Debug, Serialize, JsonSchema)]
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
    labels: BTreeMap<String, String>,
    resources: BTreeMap<String, u32>,
    /// Variables of its interpreters.
    env: BTreeMap<String, String>,
    /// Names of those that its interpreters see.
    secrets: Vec<String>,
    job: String,
    doc: String,
    source: String,
    created_unix_ms: i64,
    executors: Vec<OnExecutor>,
}

impl Function {
    /// Of a snapshot's entry.
    pub fn of(entry: &FunctionEntry) -> Self {
        let definition = &entry.function.definition;
        Self {
            name: definition.name.clone(),
            version: definition.version,
            state: entry.state().as_str_name(),
            reason: entry.reason().to_owned(),
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
            environment: entry.function.environment.clone(),
            created_unix_ms: definition.created_unix_ms,
            executors: entry.on.iter().map(|(executor, status)| OnExecutor::of(executor, status)).collect(),
            python: definition.environment.as_ref().map(|e| e.python.clone()).unwrap_or_default(),
            requirements: definition.environment.as_ref().map(|e| e.requirements.clone()).unwrap_or_default(),
            config: definition.config.clone().into_iter().collect(),
            labels: definition.labels.clone(),
            resources: definition.resources.clone(),
            env: definition.variables.clone(),
            secrets: definition.secrets.clone(),
            job: definition.job.clone(),
            doc: definition.doc.clone(),
            source: definition.source.clone(),
        }
    }
}

/// A device that an interpreter has for itself.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Device {
    kind: String,
    device: String,
    environment: String,
}

impl Device {
    fn of(held: &HeldDevice) -> Self {
        Self { kind: held.kind.clone(), device: held.device.clone(), environment: held.environment.clone() }
    }
}

/// How far an executor contains user code.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Sandbox {
    /// `full`, `partial`, `off` or `unknown`.
    level: &'static str,
    missing: Vec<String>,
}

impl Sandbox {
    fn of(status: SandboxStatus) -> Self {
        Self { level: status.level().word(), missing: status.missing }
    }
}

/// An executor of the fleet.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Executor {
    id: String,
    state: &'static str,
    address: String,
    version: String,
    pythons: Vec<String>,
    cores: u32,
    memory_bytes: u64,
    interpreters: u32,
    max_interpreters: u32,
    rss_bytes: u64,
    /// 0: it has no TLS certificate.
    certificate_ends_unix: u64,
    in_flight: u32,
    labels: BTreeMap<String, String>,
    /// Ids of the devices that it offers, by kind.
    resources: BTreeMap<String, Vec<String>>,
    /// Devices that interpreters hold.
    devices: Vec<Device>,
    report_age_ms: u64,
    functions: Vec<OnExecutor>,
    /// Where the other coordinators are that it is attached to.
    attached_to: Vec<String>,
    sandbox: Sandbox,
}

impl Executor {
    /// Of a snapshot's entry.
    pub fn of(entry: &ExecutorEntry, now: Instant) -> Self {
        let hello = &entry.hello;
        let status = |status: &Arc<FunctionStatus>| OnExecutor::of(&hello.executor, status);
        Self {
            id: hello.executor.clone(),
            state: entry.state.word(),
            address: hello.address.clone(),
            version: hello.version.clone(),
            pythons: hello.pythons.iter().map(|python| python.version.clone()).collect(),
            cores: hello.cores,
            memory_bytes: hello.memory_bytes,
            interpreters: entry.interpreters,
            max_interpreters: hello.max_interpreters,
            rss_bytes: entry.rss_bytes,
            certificate_ends_unix: entry.certificate_ends_unix,
            in_flight: entry.in_flight,
            labels: hello.labels.clone().into_iter().collect(),
            resources: hello.resources.iter().map(|(kind, all)| (kind.clone(), all.devices.clone())).collect(),
            devices: entry.devices.iter().map(Device::of).collect(),
            report_age_ms: entry.report_age_ms(now),
            functions: entry.functions.values().map(status).collect(),
            attached_to: entry.attached_to.clone(),
            sandbox: Sandbox::of(entry.sandbox()),
        }
    }
}

/// An environment of the fleet.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Environment {
    hash: String,
    python: String,
    requirements: Vec<String>,
    /// `add@3`
    functions: Vec<String>,
    /// Interpreters by executor that should hold it.
    assigned: BTreeMap<String, u32>,
    /// Executors that have it on disk.
    built_on: Vec<String>,
    /// Why no executor should hold it.
    reason: String,
}

impl Environment {
    /// Of a snapshot's entry.
    pub fn of(hash: &str, entry: &EnvironmentEntry) -> Self {
        Self {
            hash: hash.to_owned(),
            python: entry.environment.python.clone(),
            requirements: entry.environment.requirements.clone(),
            functions: entry.functions.iter().map(|name| name.to_string()).collect(),
            assigned: entry.assigned.clone(),
            built_on: entry.built_on.iter().map(|id| id.to_string()).collect(),
            reason: entry.unplaced.clone(),
        }
    }
}
