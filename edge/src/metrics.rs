//! Pages of metrics, in Prometheus' text format.

mod times;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use metrics::{Label, counter, describe_counter, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;
use udfleet_proto::user_series::Series;

use crate::auth::LoginFailures;
use crate::engine::Engines;
use crate::tenant::{LimitName, Tenants};
use crate::tls::Credentials;

pub use times::FunctionTimes;

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

/// The certificate of this process, and how its handshakes go.
pub fn record_tls(credentials: &Credentials) {
    describe_gauge!(
        "udfleet_tls_certificate_not_after_seconds",
        "When the TLS certificate ends, in seconds since 1970"
    );
    describe_counter!("udfleet_tls_reloads_total", "Changed TLS files that were taken");
    describe_counter!("udfleet_tls_failed_reloads_total", "Changed TLS files that can not be used");
    describe_counter!(
        "udfleet_tls_failed_handshakes_total",
        "Connections that ended in their TLS handshake or whose certificate is refused"
    );
    let numbers = credentials.numbers();
    gauge!("udfleet_tls_certificate_not_after_seconds").set(numbers.not_after as f64);
    counter!("udfleet_tls_reloads_total").absolute(numbers.reloads);
    counter!("udfleet_tls_failed_reloads_total").absolute(numbers.failed_reloads);
    counter!("udfleet_tls_failed_handshakes_total").absolute(numbers.failed_handshakes);
}

/// What tenants do at this process, and what they are refused.
pub fn record_tenants(tenants: &Tenants) {
    describe_gauge!("udfleet_tenant_streams_open", "Flight streams that are open, by the tenant of their callers");
    describe_counter!("udfleet_tenant_rows_total", "Rows received, by the tenant of their callers");
    describe_counter!("udfleet_tenant_refusals_total", "What tenants were refused because of their limits");
    for (tenant, counts) in tenants.counts() {
        gauge!("udfleet_tenant_streams_open", "tenant" => tenant.clone()).set(counts.open as f64);
        counter!("udfleet_tenant_rows_total", "tenant" => tenant.clone()).absolute(counts.rows);
        for (limit, refused) in LimitName::ALL.into_iter().zip(counts.refused).filter(|(_, refused)| *refused > 0) {
            let labels = [("tenant", tenant.clone()), ("limit", limit.name().to_owned())];
            counter!("udfleet_tenant_refusals_total", &labels).absolute(refused);
        }
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
