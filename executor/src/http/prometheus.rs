//! The executor's metrics for Prometheus, labelled by function.

use std::sync::Arc;

use metrics::{Label, counter, describe_counter, describe_gauge, gauge};
use udfleet_edge::auth::LoginFailures;
use udfleet_edge::engine::Engines;
use udfleet_edge::metrics::{
    FunctionTimes, page, record_engines, record_login_failures, record_series, record_tenants, record_tls,
};
use udfleet_edge::tenant::Tenants;
use udfleet_proto::user_series::{Series, series};
use udfleet_proto::v1::{FunctionMetrics, SandboxLevel};

use crate::node::Context;

/// Series of user metrics on the page; names and labels come from user code, which may make any number of them.
const MAX_USER_SERIES: usize = 10_000;

/// Makes the page.
pub(super) struct Exporter {
    context: Arc<Context>,
    engines: Arc<Engines>,
    failures: Arc<LoginFailures>,
    tenants: Arc<Tenants>,
}

impl Exporter {
    pub(super) fn new(
        context: Arc<Context>,
        engines: Arc<Engines>,
        failures: Arc<LoginFailures>,
        tenants: Arc<Tenants>,
    ) -> Self {
        Self { context, engines, failures, tenants }
    }

    pub(super) fn render(&self) -> String {
        let functions = self.context.stats.snapshot();
        let rest = page(|| {
            describe();
            let (interpreters, rss) = self.context.memory.totals();
            gauge!("udfleet_executor_interpreters").set(interpreters);
            gauge!("udfleet_executor_interpreter_memory_bytes").set(rss as f64);
            gauge!("udfleet_executor_streams").set(self.context.table.streams() as f64);
            gauge!("udfleet_executor_environments").set(self.context.board.built_environments().len() as f64);
            record_sandbox(self.context.sandbox.level().status().level());
            record_engines(&self.engines);
            record_login_failures(&self.failures);
            record_tenants(&self.tenants);
            self.context.credentials.iter().for_each(|credentials| record_tls(credentials));
            functions.iter().for_each(function);
            functions.iter().flat_map(user).take(MAX_USER_SERIES).for_each(record_series);
        });
        rest + &times(&functions)
    }
}

fn describe() {
    describe_gauge!("udfleet_executor_interpreters", "Interpreter processes.");
    describe_gauge!("udfleet_executor_interpreter_memory_bytes", "Private memory of all interpreters.");
    describe_gauge!("udfleet_executor_streams", "Open streams.");
    describe_gauge!("udfleet_executor_environments", "Environments built on disk.");
    describe_gauge!("udfleet_executor_sandbox", "1 for the level at which user code is contained, 0 for the others.");
    describe_counter!("udfleet_executor_function_calls_total", "Batches answered.");
    describe_counter!("udfleet_executor_function_rows_total", "Rows of the answered batches.");
    describe_counter!("udfleet_executor_function_errors_total", "Batches that failed.");
    describe_counter!("udfleet_executor_function_retries_total", "Attempts beyond the first.");
    describe_counter!(
        "udfleet_executor_function_merged_total",
        "Batches that went to an interpreter in one call with others."
    );
    describe_counter!(
        "udfleet_executor_function_row_errors_total",
        "Rows that failed and were answered with null or left out."
    );
    describe_counter!("udfleet_executor_function_bytes_total", "Bytes of batch bodies.");
    describe_gauge!("udfleet_executor_function_in_flight", "Batches accepted and not yet answered.");
    describe_gauge!(
        "udfleet_executor_function_peak_memory_bytes",
        "The most memory of an interpreter that holds the function."
    );
}

fn record_sandbox(level: SandboxLevel) {
    for known in SandboxLevel::KNOWN {
        gauge!("udfleet_executor_sandbox", "level" => known.word()).set(f64::from(u8::from(known == level)));
    }
}

/// Where the functions' time goes.
fn times(functions: &[FunctionMetrics]) -> String {
    let families =
        FunctionTimes::new("udfleet_executor_function_seconds_total", "udfleet_executor_function_latency_seconds");
    functions.iter().fold(families, FunctionTimes::with).render()
}

/// What a function's user code counts.
fn user(m: &FunctionMetrics) -> impl Iterator<Item = Series> {
    m.user.iter().flat_map(|metric| series("udfleet_executor_user", &m.function, metric))
}

fn function(m: &FunctionMetrics) {
    let base = || vec![Label::new("function", m.function.clone())];
    let with = |key: &'static str, value: &'static str| [base(), vec![Label::new(key, value)]].concat();
    counter!("udfleet_executor_function_calls_total", base()).absolute(m.calls);
    counter!("udfleet_executor_function_rows_total", base()).absolute(m.rows);
    counter!("udfleet_executor_function_errors_total", base()).absolute(m.errors);
    counter!("udfleet_executor_function_retries_total", base()).absolute(m.retries);
    counter!("udfleet_executor_function_merged_total", base()).absolute(m.merged);
    counter!("udfleet_executor_function_row_errors_total", base()).absolute(m.row_errors);
    for (direction, bytes) in [("in", m.bytes_in), ("out", m.bytes_out)] {
        counter!("udfleet_executor_function_bytes_total", with("direction", direction)).absolute(bytes);
    }
    gauge!("udfleet_executor_function_in_flight", base()).set(m.in_flight as f64);
    gauge!("udfleet_executor_function_peak_memory_bytes", base()).set(m.peak_memory_bytes as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_their_numbers() {
        let metrics =
            FunctionMetrics { function: "add@3".into(), rows: 42, run_ns: 7_000_000, ..FunctionMetrics::default() };
        let text = page(|| {
            describe();
            function(&metrics);
            function(&metrics);
        });
        assert!(text.contains("udfleet_executor_function_rows_total{function=\"add@3\"} 42"), "{text}");
        let text = times(&[metrics]);
        assert!(
            text.contains("udfleet_executor_function_seconds_total{function=\"add@3\",part=\"run\"} 0.007"),
            "{text}"
        );
        assert!(text.contains("udfleet_executor_function_latency_seconds_count{function=\"add@3\"} 0"), "{text}");
    }
}
