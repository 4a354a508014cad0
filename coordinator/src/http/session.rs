//! Logging in from a browser.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::connect_info::ConnectInfo;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::routing::{get, post};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use udfleet_edge::auth::{Principal, Right};
use udfleet_edge::http::HttpError;
use udfleet_proto::error::Error;

use super::Http;

/// The longest request, bytes.
const MAX_BYTES: usize = 8 << 10;

/// What somebody logs in with.
#[derive(Deserialize, JsonSchema)]
pub struct Login {
    /// The fleet's token, or one with the role observe.
    token: String,
}

/// Who asks.
#[derive(Serialize, JsonSchema)]
pub struct WhoAmI {
    /// Of the token; empty where it has no name.
    name: String,
    /// How the caller has shown who it is: `anonymous` where the fleet asks for no token.
    kind: &'static str,
    /// It may see what the fleet does.
    observes: bool,
    /// It may read batches that failed.
    inspects: bool,
}

/// Of logins, for the audit log.
const PATH: &str = "/api/v1/session";

type Cookie = [(axum::http::HeaderName, String); 1];

/// The routes below `/api/v1`.
pub fn routes() -> axum::Router<Http> {
    axum::Router::new()
        .route("/session", post(log_in).delete(log_out).layer(DefaultBodyLimit::max(MAX_BYTES)))
        .route("/whoami", get(who_am_i))
}

/// The token is in no URL, answer or log; it comes back sealed, in a cookie that scripts can't read.
async fn log_in(
    State(http): State<Http>,
    from: Option<Extension<ConnectInfo<SocketAddr>>>,
    Json(login): Json<Login>,
) -> Result<(StatusCode, Cookie), HttpError> {
    let from = from.map(|Extension(ConnectInfo(address))| address);
    let caller = http.gate.login(Some(login.token.trim()), PATH, from)?;
    http.gate.demand(&caller, &[Right::Observe], "the dashboard", PATH, from)?;
    let cookie = http.sessions.start(login.token.trim(), SystemTime::now())?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]))
}

async fn log_out(State(http): State<Http>) -> (StatusCode, Cookie) {
    (StatusCode::NO_CONTENT, [(SET_COOKIE, http.sessions.end())])
}

async fn who_am_i(caller: Option<Extension<Arc<Principal>>>) -> Result<Json<WhoAmI>, HttpError> {
    let Extension(caller) = caller.ok_or_else(|| Error::internal("a request has passed no gate"))?;
    let observes = caller.rights.has(Right::Observe);
    let inspects = caller.rights.has(Right::Inspect);
    Ok(Json(WhoAmI { name: caller.name.clone(), kind: caller.kind.name(), observes, inspects }))
}
