//! The request that a stream sends to executors, a function or a stage of a plan, and the executors that serve it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::Schema;
use udfleet_proto::config::{MAX_ATTEMPTS, max_attempts};
use udfleet_proto::error::Error;
use udfleet_proto::flight_info::result_fields;
use udfleet_proto::types::arrow_field;
use udfleet_proto::v1::{ErrorCode, ExchangeRequest, Field, FunctionKind, Stage};

use super::core::{ExchangeSpec, Serving, Source};
use crate::registry::Function;
use crate::routes::{Routes, Server, Target};

/// How long a batch waits at an executor behind long calls of other functions before it comes back, milliseconds: longer
/// than it takes until the executors' reports tell who is free.
const GIVE_BACK_AFTER_MS: u32 = 2_000;

/// Clients are not told more often than this how their stream stands.
const SHORTEST_PROGRESS: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug)]
pub(super) struct RoutedStage {
    pub spec: ExchangeSpec,
    /// `add@3`; an executor has to serve all of them.
    functions: Vec<String>,
    /// Of a stage without functions: any interpreter of it will do.
    environment: String,
    /// What executors are sent.
    pub request: ExchangeRequest,
}

/// What goes for every exchange with an executor.
fn forwarded(asked: &ExchangeRequest) -> ExchangeRequest {
    ExchangeRequest { forwarded: true, refuse_if_busy: false, give_back_after_ms: GIVE_BACK_AFTER_MS, ..asked.clone() }
}

/// How often the client wants to hear how its stream stands.
fn progress_every(asked: &ExchangeRequest) -> Option<Duration> {
    let wanted = Duration::from_millis(u64::from(asked.progress_every_ms));
    (!wanted.is_zero()).then(|| wanted.max(SHORTEST_PROGRESS))
}

fn attempts(functions: &[Arc<Function>]) -> u32 {
    let least = functions.iter().map(|function| max_attempts(&function.definition)).min();
    u32::try_from(least.unwrap_or_else(|| MAX_ATTEMPTS.integer(&Default::default()))).unwrap_or(u32::MAX)
}

fn schema(fields: &[Field]) -> Schema {
    let field = |field: &Field| arrow_field(&field.name, &field.r#type.clone().unwrap_or_default());
    Schema::new(fields.iter().map(field).collect::<Vec<_>>())
}

impl RoutedStage {
    /// One function over all columns.
    pub fn of_function(function: &Arc<Function>, asked: &ExchangeRequest) -> Self {
        let definition = &function.definition;
        let inputs = definition.input_types.iter().enumerate();
        let inputs = inputs.map(|(index, input)| arrow_field(&format!("arg{}", index + 1), input));
        Self {
            functions: vec![function.name.clone()],
            environment: String::new(),
            request: ExchangeRequest { function: function.name.clone(), ..forwarded(asked) },
            spec: ExchangeSpec {
                name: function.name.clone(),
                function: function.name.clone(),
                producer: asked.producer.clone(),
                source: Source::Client,
                result: Schema::new(result_fields(definition)),
                inputs: definition.input_typed.then(|| Schema::new(inputs.collect::<Vec<_>>())),
                max_attempts: attempts(std::slice::from_ref(function)),
                deterministic: definition.deterministic,
                aggregates: matches!(definition.kind(), FunctionKind::Aggregate | FunctionKind::TableAggregate),
                partition_by: Vec::new(),
                after_aggregation: false,
                progress_every: progress_every(asked),
            },
        }
    }

    /// The stage of a plan at `index`; `functions` are those that it names, `asked` is what goes for all stages.
    pub fn of_stage(
        stage: Stage,
        index: usize,
        functions: &[Arc<Function>],
        asked: &ExchangeRequest,
        after_aggregation: bool,
    ) -> Self {
        // Later stages number their batches themselves: their sequences are no client's.
        let (source, producer) = match index {
            0 => (Source::Client, asked.producer.clone()),
            _ => (Source::Stage, format!("{}/{index}", asked.producer)),
        };
        // What groups are at, or are to be, is decided already.
        let moves = !stage.pipeline_breaker && stage.partition_by.is_empty();
        let give_back_after_ms = if moves { GIVE_BACK_AFTER_MS } else { 0 };
        let function = match &stage.functions[..] {
            [one] => one.clone(),
            _ => String::new(),
        };
        Self {
            functions: stage.functions.clone(),
            environment: stage.environment.clone(),
            spec: ExchangeSpec {
                name: if stage.functions.is_empty() { "plan".to_owned() } else { stage.functions.join(", ") },
                function,
                producer: producer.clone(),
                source,
                result: schema(&stage.outputs),
                inputs: Some(schema(&stage.inputs)),
                max_attempts: attempts(functions),
                deterministic: functions.iter().all(|function| function.definition.deterministic),
                aggregates: stage.pipeline_breaker,
                partition_by: stage.partition_by.clone(),
                after_aggregation,
                progress_every: progress_every(asked),
            },
            request: ExchangeRequest { give_back_after_ms, stage: Some(stage), producer, ..forwarded(asked) },
        }
    }

    /// Executors that serve all of it now, or why there are none.
    ///
    /// # Errors
    /// [`ErrorCode::FunctionNotFound`] where a function has been dropped.
    pub fn serving(&self, routes: &Routes) -> Result<Serving<Server>, Error> {
        let servers: Arc<[Server]> = self.servers(routes)?.into();
        let unserved = servers.is_empty().then(|| self.no_capacity(routes));
        Ok(Serving { servers, unserved })
    }

    /// Executors that serve all of it now.
    ///
    /// # Errors
    /// [`ErrorCode::FunctionNotFound`] where a function has been dropped.
    pub fn servers(&self, routes: &Routes) -> Result<Vec<Server>, Error> {
        let mut servers: Option<Vec<Server>> = None;
        for name in &self.functions {
            let target = routes.exact(name).ok_or_else(|| {
                Error::new(ErrorCode::FunctionNotFound, "the function was dropped while the stream ran")
                    .function(name.as_str())
            })?;
            servers = Some(match servers {
                None => target.servers.clone(),
                Some(servers) => both(servers, target),
            });
        }
        Ok(servers.unwrap_or_else(|| self.of_environment(routes)))
    }

    fn of_environment(&self, routes: &Routes) -> Vec<Server> {
        let mut servers: BTreeMap<String, Server> = BTreeMap::new();
        for server in routes.in_environment(&self.environment).flat_map(|target| &target.servers) {
            let known = servers.entry(server.endpoint.executor.clone()).or_insert_with(|| server.clone());
            known.interpreters = known.interpreters.max(server.interpreters);
        }
        servers.into_values().collect()
    }

    /// The error if no executor serves it.
    pub fn no_capacity(&self, routes: &Routes) -> Error {
        let unserved = |name: &String| routes.exact(name).filter(|target| target.servers.is_empty());
        if let Some(target) = self.functions.iter().find_map(unserved) {
            return target.no_capacity();
        }
        let message = format!("no executor serves all of {} now", self.spec.name);
        Error::new(ErrorCode::NoCapacity, message)
            .hint("`udfleet status` shows what is pending and why; try again later")
    }
}

/// Those that serve the target too.
fn both(servers: Vec<Server>, target: &Target) -> Vec<Server> {
    let also = |server: &Server| {
        let other = target.servers.iter().find(|other| other.endpoint.executor == server.endpoint.executor)?;
        Some(Server { interpreters: server.interpreters.min(other.interpreters), ..server.clone() })
    };
    servers.iter().filter_map(also).collect()
}
