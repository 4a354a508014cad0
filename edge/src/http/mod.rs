//! What all HTTP ports have in common: the checks that come before a handler, and how errors look.

mod failure;
mod hosts;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};

use crate::auth::{Gate, GateRefusal};

pub use failure::{Failure, HttpError};
pub use hosts::AllowedHosts;

/// What a request passes before it is answered.
#[derive(Debug, Clone)]
pub struct HttpGuard {
    /// Who may ask for what.
    pub gate: Gate,
    /// Under which names the port may be called.
    pub hosts: Arc<AllowedHosts>,
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
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    match guard.gate.check(request.uri().path(), header, from) {
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
