//! The OpenAPI document of `/api/v1`, made of the types that are sent. The dashboard's types are made of it.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use schemars::r#gen::{SchemaGenerator, SchemaSettings};
use schemars::schema::Schema;
use serde_json::{Map, Value, json};
use udfleet_edge::http::FailureBody;

use super::capsules::CapsuleRow;
use super::failures::FunctionErrors;
use super::feed::{History, LogRow};
use super::live::Second;
use super::overview::Overview;
use super::profile::Profile;
use super::progress::Progress;
use super::rows::{EnvironmentRow, ExecutorRow, FunctionRow};
use super::session::{Login, WhoAmI};
use super::topics::{ExecutorDetail, FunctionDetail};
use super::views::{Environment, Executor, Function};
use crate::monitor::activity::Activity;
use crate::monitor::waiting::Waiting;

/// One path.
struct Operation {
    path: &'static str,
    summary: &'static str,
    /// Name, and whether it has to be there.
    query: &'static [(&'static str, bool)],
    answer: fn(&mut SchemaGenerator) -> Schema,
}

const fn get(path: &'static str, summary: &'static str, answer: fn(&mut SchemaGenerator) -> Schema) -> Operation {
    Operation { path, summary, query: &[], answer }
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const OPERATIONS: &[Operation] = &[
    get("/functions", "The newest version of each function", of::<Vec<Function>>),
    get("/functions/{name}", "Every version of a function, or one", of::<Vec<Function>>),
    get("/executors", "Executors, with the state of each function on them", of::<Vec<Executor>>),
    get("/environments", "Environments: who shares them, where they are", of::<Vec<Environment>>),
    get("/progress", "Numbers of each version, over the fleet and by executor", of::<Vec<Progress>>),
    get("/progress/{name}", "Numbers of a function", of::<Vec<Progress>>),
    get("/topics/overview", "The fleet in one look", of::<Overview>),
    get("/topics/functions", "What each function does now", of::<Vec<FunctionRow>>),
    get("/topics/executors", "What each executor does now", of::<Vec<ExecutorRow>>),
    get("/topics/environments", "Where each environment is", of::<Vec<EnvironmentRow>>),
    get("/topics/waiting", "What waits, for what, and what would help", of::<Vec<Waiting>>),
    get("/topics/activity", "The newest events", of::<Vec<Activity>>),
    get("/topics/errors", "What fails", of::<Vec<FunctionErrors>>),
    get("/topics/function:{name}", "All versions of one function", of::<FunctionDetail>),
    get("/topics/executor:{id}", "One executor", of::<ExecutorDetail>),
    Operation {
        query: &[("series", true), ("window", false)],
        ..get("/history", "How the fleet, a function or an executor went: 5m, 1h or 24h", of::<History>)
    },
    Operation {
        query: &[("before", false), ("limit", false), ("subject", false), ("kind", false), ("severity", false)],
        ..get("/activity", "Events, the newest first", of::<Vec<Activity>>)
    },
    Operation { query: &[("tail", false)], ..get("/logs/{name}", "What a function printed", of::<Vec<LogRow>>) },
    Operation {
        query: &[("tail", false)],
        ..get("/builds/{hash}", "What building an environment printed", of::<Vec<LogRow>>)
    },
    get("/capsules/{name}", "Failed batches of a function that are kept", of::<Vec<CapsuleRow>>),
    get("/profile/{name}", "Where a function spends its time, by stack", of::<Profile>),
    get("/whoami", "Who asks", of::<WhoAmI>),
];

fn parameters(operation: &Operation) -> Vec<Value> {
    let in_path = operation
        .path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let in_query = operation.query.iter().map(
        |(name, required)| json!({ "name": name, "in": "query", "required": required, "schema": { "type": "string" } }),
    );
    in_path.chain(in_query).collect()
}

fn answers(schema: &Value, failure: &Value) -> Value {
    json!({
        "200": { "description": "It is in the body.", "content": { "application/json": { "schema": schema } } },
        "default": { "description": "What went wrong.", "content": { "application/json": { "schema": failure } } },
    })
}

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut generator = SchemaSettings::openapi3().into_generator();
    let mut value = |schema: fn(&mut SchemaGenerator) -> Schema| json!(schema(&mut generator));
    let failure = value(of::<FailureBody>);
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let schema = value(operation.answer);
        let described = json!({
            "summary": operation.summary,
            "parameters": parameters(operation),
            "responses": answers(&schema, &failure),
        });
        paths.insert(format!("/api/v1{}", operation.path), json!({ "get": described }));
    }
    let tick = value(of::<Second>);
    let topics = json!([{ "name": "topics", "in": "query", "required": true, "schema": { "type": "string" } }]);
    paths.insert(
        "/api/v1/events".to_owned(),
        json!({ "get": {
            "summary": "Topics as they change, over server-sent events: each under its name, then a tick for each second",
            "parameters": topics,
            "responses": { "200": { "description": "A stream.", "content": { "text/event-stream": { "schema": tick } } } },
        } }),
    );
    let login = value(of::<Login>);
    let done = json!({ "204": { "description": "A cookie is set, or taken." } });
    paths.insert(
        "/api/v1/session".to_owned(),
        json!({
            "post": {
                "summary": "Logs a browser in",
                "requestBody": { "required": true, "content": { "application/json": { "schema": login } } },
                "responses": done,
            },
            "delete": { "summary": "Logs it out", "responses": done },
        }),
    );
    json!({
        "openapi": "3.0.3",
        "info": { "title": "udfleet", "version": "1", "description": "What a fleet is and does. Fields are added, never changed." },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
        "security": [{ "token": [] }],
    })
}

/// Serves it.
pub async fn serve() -> impl IntoResponse {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use udfleet_edge::auth::{Surface, method};

    /// The dashboard's types are made of the file, by `npm run types`.
    #[test]
    fn the_dashboards_copy_is_this_document() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard/openapi.json");
        let text = serde_json::to_string_pretty(&document()).unwrap() + "\n";
        if std::env::var_os("UDFLEET_WRITE_DOCS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let held = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            held == text,
            "{} differs from the types: UDFLEET_WRITE_DOCS=1 cargo test --release -p udfleet-coordinator --lib openapi, \
             then npm run types in coordinator/dashboard",
            path.display()
        );
    }

    #[test]
    fn every_path_is_served_to_those_who_may_ask() {
        let document = document();
        for path in document["paths"].as_object().unwrap().keys() {
            let asked = path.replace("{name}", "add@3").replace("{id}", "e").replace("{hash}", "0a");
            assert!(method(Surface::CoordinatorHttp, &asked).is_some(), "{path} is not in the table of methods");
        }
    }
}
