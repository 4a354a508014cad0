//! The HTTP port: metrics for Prometheus, health checks, the state of the fleet as JSON, and the dashboard.

mod advice;
mod api;
mod capsules;
mod columns;
mod failures;
mod feed;
mod live;
mod metrics;
mod openapi;
mod overview;
mod page;
mod profile;
mod progress;
mod rows;
mod session;
mod tables;
mod topics;
mod views;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use udfleet_edge::auth::Gate;
use udfleet_edge::http::SessionKeeper;
use udfleet_edge::metrics::answer;

use crate::fleet::{Capsules, Profiler};
use crate::leader::Session;
use crate::logs::LogStore;
use crate::membership::MembershipHandle;
use crate::monitor::Monitor;
use crate::router::Stats;
use crate::store::SharedStore;

pub use live::Live;
pub use metrics::{Exporter, TenantNumbers};
pub use tables::FleetTables;

/// What the handlers read.
#[derive(Clone)]
pub struct Http {
    /// What there is to tell of.
    pub fleet: MembershipHandle,
    /// Its history.
    pub monitor: Arc<Monitor>,
    /// Who watches it.
    pub live: Arc<Live>,
    /// What functions printed.
    pub logs: Arc<LogStore>,
    /// What building environments printed.
    pub builds: Arc<LogStore>,
    /// Asks executors where functions spend their time.
    pub profiler: Profiler,
    /// Asks executors for batches that failed.
    pub capsules: Capsules,
    /// The coordinators.
    pub session: Session,
    /// Of streams through this one.
    pub stats: Arc<Stats>,
    /// Renders /metrics.
    pub exporter: Arc<Exporter>,
    /// True while the coordinator serves.
    pub ready: Arc<AtomicBool>,
    /// Whose outage /readyz tells.
    pub store: SharedStore,
    /// Knows who logs in.
    pub gate: Gate,
    /// Of browsers.
    pub sessions: Arc<SessionKeeper>,
    /// When this coordinator started, in milliseconds since 1970.
    pub started_unix_ms: u64,
}

/// The routes of the second port.
pub fn routes(http: Http) -> axum::Router {
    let api = api::routes()
        .route("/topics/{topic}", get(live::topic))
        .route("/events", get(live::events))
        .route("/history", get(feed::history))
        .route("/activity", get(feed::activity))
        .route("/logs/{name}", get(feed::logs))
        .route("/builds/{hash}", get(feed::builds))
        .route("/capsules/{name}", get(capsules::capsules))
        .route("/capsules/{name}/file", get(capsules::file))
        .route("/profile/{name}", get(profile::profile))
        .route("/openapi.json", get(openapi::serve))
        .merge(session::routes());
    axum::Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .nest("/api/v1", api)
        .merge(page::routes())
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
