//! The HTTP port: metrics for Prometheus, health checks, the state of the fleet as JSON.

mod api;
mod metrics;
mod progress;
mod views;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::membership::MembershipHandle;
use crate::store::SharedStore;
use udfleet_edge::metrics::answer;

pub use metrics::Exporter;

/// What the handlers read.
#[derive(Clone)]
pub struct Http {
    /// What there is to tell of.
    pub fleet: MembershipHandle,
    /// Renders /metrics.
    pub exporter: Arc<Exporter>,
    /// True while the coordinator serves.
    pub ready: Arc<AtomicBool>,
    /// Whose outage /readyz tells.
    pub store: SharedStore,
}

/// The routes of the second port.
pub fn routes(http: Http) -> axum::Router {
    axum::Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .nest("/api/v1", api::routes())
        .with_state(http)
}

/// Without its metadata store a coordinator goes on routing, so it stays ready: were all coordinators taken out of
/// service because of etcd, calls would fail that need none.
async fn ready(State(http): State<Http>) -> (StatusCode, String) {
    if !http.ready.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "the coordinator is starting or stopping\n".to_owned());
    }
    let text = match http.store.outage() {
        None => "ready\n".to_owned(),
        Some(outage) => format!(
            "ready for calls; registrations and drains fail, since the metadata store is unavailable: {outage}\n"
        ),
    };
    (StatusCode::OK, text)
}

async fn render(State(http): State<Http>) -> Result<impl IntoResponse, (StatusCode, String)> {
    let page = http.exporter.render().await;
    page.map(answer).map_err(|e| (StatusCode::SERVICE_UNAVAILABLE, format!("{e}\n")))
}
