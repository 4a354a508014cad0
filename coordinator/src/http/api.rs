//! `/api/v1`: what the SDK's `functions()`, `executors()` and `progress()` tell, as JSON for whoever has no SDK.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::ErrorCode;

use super::Http;
use super::progress::Progress;
use super::views::{Executor, Failure, Function};

/// The routes below `/api/v1`. They ask for the fleet's token, as gRPC does.
pub fn routes(http: Http) -> axum::Router<Http> {
    axum::Router::new()
        .route("/functions", get(functions))
        .route("/functions/{name}", get(function))
        .route("/executors", get(executors))
        .route("/progress", get(all_progress))
        .route("/progress/{name}", get(progress))
        .layer(middleware::from_fn_with_state(http, require_token))
}

async fn require_token(State(http): State<Http>, request: Request, next: Next) -> Result<Response, Refusal> {
    http.door.check(request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()))?;
    Ok(next.run(request).await)
}

/// An error as an HTTP answer: the status of its code, and a body that says why.
struct Refusal(Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code().http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(serde_json::json!({ "error": Failure::of(self.0.info()) }))).into_response()
    }
}

/// `add`: every version. `add@3`: one.
fn named(http: &Http, name: &str) -> Result<FunctionRef, Refusal> {
    let which = FunctionRef::parse(name).map_err(|e| Error::new(ErrorCode::InvalidInput, e.to_string()))?;
    let catalog = http.registry.catalog();
    if catalog.matching(&which).is_empty() { Err(catalog.not_found(&which).into()) } else { Ok(which) }
}

async fn functions(State(http): State<Http>) -> Result<Json<Vec<Function>>, Refusal> {
    Ok(Json(http.fleet.functions(None, false).await?.iter().map(Function::of).collect()))
}

async fn function(State(http): State<Http>, Path(name): Path<String>) -> Result<Json<Vec<Function>>, Refusal> {
    let which = named(&http, &name)?;
    Ok(Json(http.fleet.functions(Some(which), true).await?.iter().map(Function::of).collect()))
}

async fn executors(State(http): State<Http>) -> Result<Json<Vec<Executor>>, Refusal> {
    Ok(Json(http.fleet.executors().await?.iter().map(Executor::of).collect()))
}

async fn all_progress(State(http): State<Http>) -> Result<Json<Vec<Progress>>, Refusal> {
    Ok(Json(http.fleet.progress(None).await?.iter().map(Progress::of).collect()))
}

async fn progress(State(http): State<Http>, Path(name): Path<String>) -> Result<Json<Vec<Progress>>, Refusal> {
    let which = named(&http, &name)?;
    Ok(Json(http.fleet.progress(Some(which)).await?.iter().map(Progress::of).collect()))
}
