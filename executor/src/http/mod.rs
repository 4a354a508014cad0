//! /metrics for Prometheus and /healthz.

mod prometheus;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use udfleet_edge::engine::Engines;

use crate::node::Context;
use prometheus::Exporter;

/// The routes.
pub fn router(context: Arc<Context>, engines: Arc<Engines>) -> Router {
    let exporter = Arc::new(Exporter::new(context, engines));
    Router::new().route("/metrics", get(metrics)).route("/healthz", get(|| async { "ok\n" })).with_state(exporter)
}

async fn metrics(State(exporter): State<Arc<Exporter>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], exporter.render())
}
