//! What the executors of one stream are asked for: a function, or a stage of a plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::Schema;
use udfleet_proto::config::MAX_ATTEMPTS;
use udfleet_proto::error::Error;
use udfleet_proto::flight_info::result_fields;
use udfleet_proto::types::arrow_field;
use udfleet_proto::v1::{ErrorCode, ExchangeRequest, Field, FunctionKind, Stage};

use crate::registry::Function;
use crate::routes::{Routes, Server, Target};

/// See the module.
#[derive(Debug)]
pub(super) struct Work {
    /// For messages.
    pub name: String,
    /// `add@3`; an executor has to serve all of them.
    functions: Vec<String>,
    /// Of a stage without functions: any interpreter of it will do.
    environment: String,
    /// What executors are sent.
    pub request: ExchangeRequest,
    pub result: Schema,
    /// What comes in, where that is known.
    pub inputs: Option<Schema>,
    pub max_attempts: u32,
    /// The same input gives the same answer.
    pub repeatable: bool,
    /// One interpreter takes all batches and answers at their end.
    pub gathers: bool,
    /// An earlier stage of the plan gathers: its results all belong to the end of the client's input.
    pub behind: bool,
}

fn attempts(functions: &[Arc<Function>]) -> u32 {
    let least = functions.iter().map(|function| MAX_ATTEMPTS.integer(&function.definition.config)).min();
    least.map_or(3, |attempts| u32::try_from(attempts).unwrap_or(u32::MAX))
}

fn schema(fields: &[Field]) -> Schema {
    let field = |field: &Field| arrow_field(&field.name, &field.r#type.clone().unwrap_or_default());
    Schema::new(fields.iter().map(field).collect::<Vec<_>>())
}

impl Work {
    /// One function over all columns.
    pub fn of_function(function: &Arc<Function>, asked: &ExchangeRequest) -> Self {
        let definition = &function.definition;
        let inputs = definition.input_types.iter().enumerate();
        let inputs = inputs.map(|(index, input)| arrow_field(&format!("arg{}", index + 1), input));
        Self {
            name: function.name.clone(),
            functions: vec![function.name.clone()],
            environment: String::new(),
            request: ExchangeRequest { function: function.name.clone(), forwarded: true, ..asked.clone() },
            result: Schema::new(result_fields(definition)),
            inputs: definition.input_typed.then(|| Schema::new(inputs.collect::<Vec<_>>())),
            max_attempts: attempts(std::slice::from_ref(function)),
            repeatable: definition.deterministic,
            gathers: matches!(definition.kind(), FunctionKind::Aggregate | FunctionKind::TableAggregate),
            behind: false,
        }
    }

    /// A stage; `functions` are those that it names, `asked` is what goes for all stages.
    pub fn of_stage(stage: Stage, functions: &[Arc<Function>], asked: &ExchangeRequest, behind: bool) -> Self {
        Self {
            name: if stage.functions.is_empty() { "plan".to_owned() } else { stage.functions.join(", ") },
            functions: stage.functions.clone(),
            environment: stage.environment.clone(),
            result: schema(&stage.outputs),
            inputs: Some(schema(&stage.inputs)),
            max_attempts: attempts(functions),
            repeatable: functions.iter().all(|function| function.definition.deterministic),
            gathers: stage.gathers,
            behind,
            request: ExchangeRequest { stage: Some(stage), forwarded: true, ..asked.clone() },
        }
    }

    /// The function that an error is about, where there is only one.
    pub fn function(&self) -> &str {
        match &self.functions[..] {
            [one] => one,
            _ => "",
        }
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

    /// The refusal where nobody serves it.
    pub fn no_capacity(&self, routes: &Routes) -> Error {
        let unserved = |name: &String| routes.exact(name).filter(|target| target.servers.is_empty());
        if let Some(target) = self.functions.iter().find_map(unserved) {
            return target.no_capacity();
        }
        let message = format!("no executor serves all of {} now", self.name);
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
