//! /metrics: values that the coordinator holds anyway, set when they are scraped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use metrics::{counter, describe_counter, describe_gauge, gauge};
use udfleet_edge::auth::LoginFailures;
use udfleet_edge::engine::Engines;
use udfleet_edge::metrics::{
    FunctionTimes, page, record_engines, record_login_failures, record_series, record_tenants, record_tls,
};
use udfleet_edge::tenant::Tenants;
use udfleet_edge::tls::Credentials;
use udfleet_proto::error::Error;
use udfleet_proto::user_series::series;
use udfleet_proto::v1::{ExecutorState, FunctionMetrics, FunctionProgress, SandboxLevel};

use crate::leader::Session;
use crate::membership::MembershipHandle;
use crate::registry::{Registry, all_holdings};
use crate::router::Stats;
use crate::snapshot::Snapshot;
use crate::store::SharedStore;

/// Functions with series of their own; further ones are left out, so that the page stays bounded.
const MOST_FUNCTIONS: usize = 500;
/// Series of user metrics on the page; names and labels come from user code, which may make any number of them.
const MOST_USER_SERIES: usize = 10_000;

/// Renders the page from these.
pub struct Exporter {
    /// Executors and functions.
    pub fleet: MembershipHandle,
    /// Coordinators, and which one leads.
    pub session: Session,
    /// What the router counts.
    pub stats: Arc<Stats>,
    /// Streams of engines.
    pub engines: Arc<Engines>,
    /// Whether the metadata store answers.
    pub store: SharedStore,
    /// Logins that were refused.
    pub failures: Arc<LoginFailures>,
    /// Certificates; none without TLS.
    pub credentials: Option<Arc<Credentials>>,
    /// Numbers of tenants.
    pub tenants: TenantNumbers,
}

/// Where the numbers of tenants come from.
pub struct TenantNumbers {
    /// What they do here.
    pub tenants: Arc<Tenants>,
    /// What they have registered.
    pub registry: Arc<Registry>,
}

impl TenantNumbers {
    fn record(&self) {
        record_tenants(&self.tenants);
        let mut by_label = BTreeMap::<String, [u64; 3]>::new();
        for (tenant, held) in all_holdings(&self.registry.catalog()) {
            let sums = by_label.entry(self.tenants.label(&tenant)).or_default();
            let numbers = [held.functions, held.environments.len() as u64, held.artifact_bytes()];
            sums.iter_mut().zip(numbers).for_each(|(sum, more)| *sum = sum.saturating_add(more));
        }
        for (tenant, [functions, environments, bytes]) in by_label {
            gauge!("udfleet_tenant_functions", "tenant" => tenant.clone()).set(functions as f64);
            gauge!("udfleet_tenant_environments", "tenant" => tenant.clone()).set(environments as f64);
            gauge!("udfleet_tenant_artifact_bytes", "tenant" => tenant).set(bytes as f64);
        }
    }
}

impl Exporter {
    /// The page, in Prometheus' text format.
    ///
    /// # Errors
    /// While the coordinator stops.
    pub async fn render(&self) -> Result<String, Error> {
        let snapshot = self.fleet.fresh_snapshot().await?;
        let functions = snapshot.progress(None);
        let times = FunctionTimes::new("udfleet_function_seconds_total", "udfleet_function_latency_seconds");
        let totals = functions.iter().take(MOST_FUNCTIONS).filter_map(|progress| progress.total.as_ref());
        let times = totals.fold(times, FunctionTimes::with).render();
        let rest = page(|| {
            describe();
            record_router(&self.stats);
            record_engines(&self.engines);
            record_login_failures(&self.failures);
            self.tenants.record();
            self.credentials.iter().for_each(|credentials| record_tls(credentials));
            gauge!("udfleet_meta_store_up").set(if self.store.outage().is_none() { 1.0 } else { 0.0 });
            record_coordinators(&self.session);
            record_executors(&snapshot);
            record_snapshot(&snapshot);
            functions.iter().take(MOST_FUNCTIONS).for_each(record_function);
            let shown = functions.iter().take(MOST_FUNCTIONS).filter_map(|progress| progress.total.as_ref());
            let user = |total: &FunctionMetrics| {
                let all = total.user.iter().flat_map(|metric| series("udfleet_user", &total.function, metric));
                all.collect::<Vec<_>>()
            };
            shown.flat_map(user).take(MOST_USER_SERIES).for_each(record_series);
        });
        Ok(rest + &times)
    }
}

fn describe() {
    describe_gauge!("udfleet_tenant_functions", "Registered versions of functions, by tenant");
    describe_gauge!("udfleet_tenant_environments", "Environments that these run in, by tenant");
    describe_gauge!("udfleet_tenant_artifact_bytes", "Bytes of the files that these need, by tenant");
    describe_counter!("udfleet_streams_total", "Flight streams accepted by the coordinator");
    describe_gauge!("udfleet_streams_open", "Flight streams open at the coordinator");
    describe_counter!("udfleet_batches_forwarded_total", "Batches that the coordinator forwarded");
    describe_counter!(
        "udfleet_batches_resent_total",
        "Batches sent again because an executor was lost or refused them"
    );
    describe_gauge!("udfleet_meta_store_up", "1 while the coordinator's metadata store answers, else 0");
    describe_gauge!("udfleet_coordinators", "Coordinators that hold a lease in the metadata store");
    describe_gauge!("udfleet_leader_term", "The term in which this coordinator leads; 0: another does");
    describe_gauge!("udfleet_executors", "Executors by state");
    describe_gauge!("udfleet_executors_by_sandbox", "Attached executors by the level at which they contain user code");
    describe_counter!("udfleet_snapshot_revision_total", "Changes of the fleet that the coordinator has published");
    describe_counter!(
        "udfleet_snapshot_entries_replaced_total",
        "Functions, executors and environments whose entries these changes touched"
    );
    describe_gauge!("udfleet_interpreter_memory_bytes", "Private memory of all interpreters, summed over executors");
    describe_gauge!("udfleet_interpreters", "Interpreters running in the fleet");
    describe_counter!("udfleet_function_calls_total", "Batches answered, with success or not");
    describe_counter!("udfleet_function_rows_total", "Rows answered");
    describe_counter!("udfleet_function_errors_total", "Batches answered with an error");
    describe_counter!("udfleet_function_retries_total", "Batches tried again");
    describe_counter!("udfleet_function_merged_total", "Batches that went to an interpreter in one call with others");
    describe_counter!("udfleet_function_row_errors_total", "Rows that failed and were answered with null or left out");
    describe_counter!("udfleet_function_bytes_total", "Bytes of batch bodies");
    describe_gauge!("udfleet_function_in_flight", "Batches accepted and not yet answered");
    describe_gauge!("udfleet_function_peak_memory_bytes", "The most memory an interpreter took");
}

fn record_router(stats: &Stats) {
    counter!("udfleet_streams_total").absolute(stats.streams.load(Ordering::Relaxed));
    gauge!("udfleet_streams_open").set(stats.active.load(Ordering::Relaxed) as f64);
    counter!("udfleet_batches_forwarded_total").absolute(stats.batches.load(Ordering::Relaxed));
    counter!("udfleet_batches_resent_total").absolute(stats.retries.load(Ordering::Relaxed));
}

fn record_coordinators(session: &Session) {
    gauge!("udfleet_coordinators").set(session.peers().borrow().coordinators.len() as f64);
    let term = session.standing().role.term().unwrap_or_default();
    gauge!("udfleet_leader_term").set(term as f64);
}

/// What keeping the snapshot up to date costs.
fn record_snapshot(snapshot: &Snapshot) {
    counter!("udfleet_snapshot_revision_total").absolute(snapshot.revision);
    counter!("udfleet_snapshot_entries_replaced_total").absolute(snapshot.replaced);
}

fn record_executors(snapshot: &Snapshot) {
    let executors = || snapshot.executors.values();
    for state in ExecutorState::ALL {
        let count = executors().filter(|executor| executor.state == state).count();
        gauge!("udfleet_executors", "state" => state.word()).set(count as f64);
    }
    let attached = || executors().filter(|executor| executor.state.attached());
    for level in SandboxLevel::KNOWN {
        let count = attached().filter(|executor| executor.sandbox().level() == level).count();
        gauge!("udfleet_executors_by_sandbox", "level" => level.word()).set(count as f64);
    }
    gauge!("udfleet_interpreters").set(attached().map(|e| f64::from(e.interpreters)).sum::<f64>());
    gauge!("udfleet_interpreter_memory_bytes").set(attached().map(|e| e.rss_bytes as f64).sum::<f64>());
}

fn record_function(progress: &FunctionProgress) {
    let Some(total) = &progress.total else { return };
    let function = total.function.clone();
    counter!("udfleet_function_calls_total", "function" => function.clone()).absolute(total.calls);
    counter!("udfleet_function_rows_total", "function" => function.clone()).absolute(total.rows);
    counter!("udfleet_function_errors_total", "function" => function.clone()).absolute(total.errors);
    counter!("udfleet_function_retries_total", "function" => function.clone()).absolute(total.retries);
    counter!("udfleet_function_merged_total", "function" => function.clone()).absolute(total.merged);
    counter!("udfleet_function_row_errors_total", "function" => function.clone()).absolute(total.row_errors);
    gauge!("udfleet_function_in_flight", "function" => function.clone()).set(total.in_flight as f64);
    gauge!("udfleet_function_peak_memory_bytes", "function" => function.clone()).set(total.peak_memory_bytes as f64);
    for (direction, bytes) in [("in", total.bytes_in), ("out", total.bytes_out)] {
        counter!("udfleet_function_bytes_total", "function" => function.clone(), "direction" => direction)
            .absolute(bytes);
    }
}
