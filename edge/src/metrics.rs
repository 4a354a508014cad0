//! Pages of metrics, in Prometheus' text format.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use metrics::{Label, counter, describe_counter, gauge, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use udfleet_proto::user_series::Series;

use crate::auth::LoginFailures;
use crate::engine::Engines;

/// A page of the numbers that `record` sets. Each page has a recorder of its own: series of what has gone end.
pub fn page(record: impl FnOnce()) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    with_local_recorder(&recorder, record);
    recorder.handle().render()
}

/// A page as an answer.
#[must_use]
pub fn answer(page: String) -> impl IntoResponse + use<> {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page)
}

/// Calls of engines, by who makes them.
pub fn record_engines(engines: &Engines) {
    describe_counter!("udfleet_engine_calls_total", "Streams of remote-function clients, repeated ones included");
    describe_counter!("udfleet_engine_repeats_total", "Failed calls that came again and were answered from memory");
    for (engine, tenant, calls) in engines.calls() {
        counter!("udfleet_engine_calls_total", "engine" => engine.name(), "tenant" => tenant).absolute(calls);
    }
    for (engine, repeats) in engines.repeats() {
        counter!("udfleet_engine_repeats_total", "engine" => engine.name()).absolute(repeats);
    }
}

/// Failed logins, by reason.
pub fn record_login_failures(failures: &LoginFailures) {
    describe_counter!("udfleet_logins_failed_total", "Calls whose caller was not known, by reason");
    for (reason, count) in failures.counts() {
        counter!("udfleet_logins_failed_total", "reason" => reason).absolute(count);
    }
}

/// A number that user code has made.
pub fn record_series(series: Series) {
    let labels: Vec<Label> = series.labels.into_iter().map(|(name, value)| Label::new(name, value)).collect();
    if series.monotonic {
        counter!(series.name, labels).absolute(series.value as u64);
    } else {
        gauge!(series.name, labels).set(series.value);
    }
}
