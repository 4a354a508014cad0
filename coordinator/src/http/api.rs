//! `/api/v1`: what the SDK's `functions()`, `executors()` and `progress()` return, as JSON.

use std::time::Instant;

use axum::Json;
use axum::extract::{Path, State};
use axum::routing::get;
use udfleet_edge::http::HttpError;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::ErrorCode;

use super::Http;
use super::progress::Progress;
use super::views::{Environment, Executor, Function};
use crate::snapshot::Snapshot;

/// The routes below `/api/v1`.
pub fn routes() -> axum::Router<Http> {
    axum::Router::new()
        .route("/functions", get(functions))
        .route("/functions/{name}", get(function))
        .route("/executors", get(executors))
        .route("/environments", get(environments))
        .route("/progress", get(all_progress))
        .route("/progress/{name}", get(progress))
}

fn parse(name: &str) -> Result<FunctionRef, HttpError> {
    Ok(FunctionRef::parse(name).map_err(|e| Error::new(ErrorCode::InvalidInput, e.to_string()))?)
}

/// JSON made from one snapshot, with its revision: who polls sees whether anything has changed.
type FromSnapshot<T> = Result<([(&'static str, String); 1], Json<T>), HttpError>;

fn answer<T>(snapshot: &Snapshot, body: T) -> FromSnapshot<T> {
    Ok(([("udfleet-revision", snapshot.revision.to_string())], Json(body)))
}

async fn functions(State(http): State<Http>) -> FromSnapshot<Vec<Function>> {
    let snapshot = http.fleet.snapshot();
    answer(&snapshot, snapshot.newest().iter().map(|entry| Function::of(entry)).collect())
}

/// `add`: every version. `add@3`: this one.
async fn function(State(http): State<Http>, Path(name): Path<String>) -> FromSnapshot<Vec<Function>> {
    let (which, snapshot) = (parse(&name)?, http.fleet.snapshot());
    let found = snapshot.matching(&which);
    if found.is_empty() {
        return Err(snapshot.catalog.not_found(&which).into());
    }
    answer(&snapshot, found.iter().map(|entry| Function::of(entry)).collect())
}

async fn executors(State(http): State<Http>) -> FromSnapshot<Vec<Executor>> {
    let (snapshot, now) = (http.fleet.snapshot(), Instant::now());
    answer(&snapshot, snapshot.executors.values().map(|entry| Executor::of(entry, now)).collect())
}

async fn environments(State(http): State<Http>) -> FromSnapshot<Vec<Environment>> {
    let snapshot = http.fleet.snapshot();
    answer(&snapshot, snapshot.environments.iter().map(|(hash, entry)| Environment::of(hash, entry)).collect())
}

async fn all_progress(State(http): State<Http>) -> FromSnapshot<Vec<Progress>> {
    let snapshot = http.fleet.fresh_snapshot().await?;
    answer(&snapshot, snapshot.progress(None).iter().map(Progress::of).collect())
}

/// `add`: all its versions together. `add@3`: this one.
async fn progress(State(http): State<Http>, Path(name): Path<String>) -> FromSnapshot<Vec<Progress>> {
    let which = parse(&name)?;
    let snapshot = http.fleet.fresh_snapshot().await?;
    let found = snapshot.progress(Some(&which));
    if found.is_empty() {
        return Err(snapshot.catalog.not_found(&which).into());
    }
    answer(&snapshot, found.iter().map(Progress::of).collect())
}
