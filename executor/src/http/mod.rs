//! /metrics for Prometheus and /healthz.

mod prometheus;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;

use udfleet_edge::auth::LoginFailures;
use udfleet_edge::engine::Engines;
use udfleet_edge::metrics::answer;
use udfleet_edge::tenant::Tenants;

use crate::node::Context;
use prometheus::Exporter;

/// The routes.
pub fn router(
    context: Arc<Context>,
    engines: Arc<Engines>,
    failures: Arc<LoginFailures>,
    tenants: Arc<Tenants>,
) -> Router {
    let exporter = Arc::new(Exporter::new(context, engines, failures, tenants));
    Router::new().route("/metrics", get(metrics)).route("/healthz", get(|| async { "ok\n" })).with_state(exporter)
}

async fn metrics(State(exporter): State<Arc<Exporter>>) -> impl IntoResponse {
    answer(exporter.render())
}
