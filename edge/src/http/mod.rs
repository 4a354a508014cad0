//! What all HTTP ports have in common: the checks that come before a handler, and how errors look.

mod failure;
mod hosts;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};

use crate::auth::{Gate, GateRefusal};
use crate::identity::Identity;

pub use failure::{Failure, FailureBody, HttpError};
pub use hosts::AllowedHosts;
pub use session::{SessionKeeper, SessionKey, new_session_key};

/// What a request passes before it is answered.
#[derive(Debug, Clone)]
pub struct HttpGuard {
    /// Who may ask for what.
    pub gate: Gate,
    /// Under which names the port may be called.
    pub hosts: Arc<AllowedHosts>,
    /// Knows callers by the cookie of a browser, where the port lets people log in.
    pub sessions: Option<Arc<SessionKeeper>>,
}

/// The routes behind a guard. Handlers find the caller among the extensions of their request.
pub fn guarded(routes: axum::Router, guard: HttpGuard) -> axum::Router {
    routes.layer(middleware::from_fn_with_state(guard, check))
}

async fn check(State(guard): State<HttpGuard>, mut request: Request, next: Next) -> Response {
    if let Err(error) = guard.hosts.check(request.headers()) {
        return HttpError::from(error).into_response();
    }
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    // A header counts before a cookie: who sends one means it.
    let session = || Some(format!("Bearer {}", guard.sessions.as_ref()?.token(request.headers(), SystemTime::now())?));
    let shown = header.map(str::to_owned).or_else(session);
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let certificate = request.extensions().get::<Identity>().cloned();
    match guard.gate.check(request.uri().path(), shown.as_deref(), from, certificate.as_ref()) {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            next.run(request).await
        }
        Err(GateRefusal::Denied(error)) => HttpError::from(error).into_response(),
        Err(GateRefusal::Unknown(_)) => StatusCode::NOT_FOUND.into_response(),
    }
}
