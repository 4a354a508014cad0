//! What the fleet is and does as tables over Flight: DoGet of `system.functions` and others, so that DuckDB, Polars or
//! pandas can ask questions of their own.

use std::sync::Arc;

use arrow_flight::FlightData;
use udfleet_edge::flight::SystemTables;
use udfleet_proto::error::Error;
use udfleet_proto::histogram::Histogram;
use udfleet_proto::ipc;
use udfleet_proto::v1::{ErrorCode, FunctionMetrics};

use super::columns::Columns;
use super::failures::{FailureGroup, FunctionErrors, errors};
use super::rows::{EnvironmentRow, ExecutorRow, FunctionRow, Rates};
use crate::monitor::activity::Activity;
use crate::monitor::waiting::Waiting;
use crate::monitor::{Moment, Monitor};

/// Rows of one message.
const ROWS: usize = 2000;
/// What stands before the name of each.
const PREFIX: &str = "system.";
/// Their names.
const NAMES: [&str; 7] = ["functions", "calls", "executors", "environments", "errors", "events", "waiting"];

/// Reads from what the monitor has seen last.
pub struct FleetTables(pub Arc<Monitor>);

impl SystemTables for FleetTables {
    fn read(&self, ticket: &[u8]) -> Result<Vec<FlightData>, Error> {
        let columns = table(ticket, &self.0)?;
        let batch = columns.batch()?;
        let mut messages = vec![ipc::schema_message(&batch.schema())];
        for start in (0..batch.num_rows()).step_by(ROWS) {
            let part = batch.slice(start, ROWS.min(batch.num_rows() - start));
            messages.push(ipc::encode(&part).map_err(|error| Error::internal(format!("encoding a table: {error}")))?);
        }
        Ok(messages)
    }
}

/// `system.functions`, or `system.events?after=12`.
fn table(ticket: &[u8], monitor: &Monitor) -> Result<Columns, Error> {
    let text = std::str::from_utf8(ticket).unwrap_or_default();
    let (table, query) = text.split_once('?').map_or((text, None), |(table, query)| (table, Some(query)));
    let moment = monitor.moment();
    let name = table.strip_prefix(PREFIX).unwrap_or_default();
    if let Some(query) = query.filter(|_| name != "events") {
        return Err(Error::new(ErrorCode::InvalidInput, format!("system.{name} takes no {query:.100}")));
    }
    Ok(match name {
        "functions" => functions(&moment, monitor),
        "calls" => calls(&moment),
        "executors" => executors(&moment, monitor),
        "environments" => environments(&moment),
        "errors" => failures(&errors(monitor, &moment.snapshot, |_| true)),
        "events" => events(&after(query, monitor)?),
        "waiting" => waiting(&moment.waiting),
        _ => {
            let hint = NAMES.map(|name| format!("{PREFIX}{name}")).join(", ");
            let text = format!("no table {:?}", text.chars().take(100).collect::<String>());
            return Err(Error::new(ErrorCode::InvalidInput, text).hint(format!("tables are {hint}")));
        }
    })
}

/// Events, the oldest first; those that came after one, where the query says so.
fn after(query: Option<&str>, monitor: &Monitor) -> Result<Vec<Activity>, Error> {
    let after = match query {
        None => 0,
        Some(query) => query.strip_prefix("after=").and_then(|id| id.parse().ok()).ok_or_else(|| {
            Error::new(ErrorCode::InvalidInput, format!("system.events takes after=ID, not {query:.100}"))
        })?,
    };
    let mut events = monitor.activity(None, usize::MAX, |event| event.id > after);
    events.reverse();
    Ok(events)
}

fn functions(moment: &Moment, monitor: &Monitor) -> Columns {
    let snapshot = &moment.snapshot;
    let rows: Vec<_> = snapshot.all_versions().iter().map(|entry| FunctionRow::of(entry, snapshot, monitor)).collect();
    let rows = &rows[..];
    let columns = Columns::default()
        .text("function", rows, |row| &row.function)
        .text("name", rows, |row| &row.name)
        .whole("version", rows, |row| row.version)
        .text("state", rows, |row| &row.state)
        .text("reason", rows, |row| &row.reason)
        .text("kind", rows, |row| &row.kind)
        .text("func_type", rows, |row| &row.func_type)
        .text("environment", rows, |row| &row.environment)
        .whole("ready_on", rows, |row| row.ready_on)
        .whole("placed_on", rows, |row| row.placed_on);
    rates(columns, rows, |row| &row.rates)
        .number("p50_seconds", rows, |row| row.latency.p50)
        .number("p95_seconds", rows, |row| row.latency.p95)
        .number("p99_seconds", rows, |row| row.latency.p99)
        .number("queue_seconds_per_second", rows, |row| Some(row.split.queue))
        .number("transfer_seconds_per_second", rows, |row| Some(row.split.transfer))
        .number("convert_seconds_per_second", rows, |row| Some(row.split.convert))
        .number("run_seconds_per_second", rows, |row| Some(row.split.run))
        .whole("calls", rows, |row| row.totals.calls)
        .whole("rows", rows, |row| row.totals.rows)
        .whole("errors", rows, |row| row.totals.errors)
        .whole("row_errors", rows, |row| row.totals.row_errors)
        .whole("in_flight", rows, |row| row.totals.in_flight)
        .whole("peak_memory_bytes", rows, |row| row.totals.peak_memory_bytes)
}

fn rates<R>(columns: Columns, rows: &[R], of: impl Fn(&R) -> &Rates) -> Columns {
    columns
        .number("rows_per_second", rows, |row| Some(of(row).rows))
        .number("calls_per_second", rows, |row| Some(of(row).calls))
        .number("errors_per_second", rows, |row| Some(of(row).errors))
        .number("busy_interpreters", rows, |row| Some(of(row).busy))
}

/// Numbers of each function on each executor that has called it.
fn calls(moment: &Moment) -> Columns {
    let each = moment.snapshot.numbers.iter().flat_map(|(name, numbers)| {
        let executors = numbers.sums().executors.iter();
        executors.filter_map(move |on| Some((&**name, on.executor.as_str(), on.metrics.as_ref()?)))
    });
    let rows: Vec<(&str, &str, &FunctionMetrics)> = each.collect();
    let seconds = |nanoseconds: u64| Some((nanoseconds as f64 / 1e9) as f32);
    let latency = |metrics: &FunctionMetrics, quantile: f64| {
        let latency = metrics.latency.as_ref().map(Histogram::from_proto).filter(|latency| latency.count() > 0)?;
        Some((latency.quantile_ms(quantile) / 1e3) as f32)
    };
    let rows = &rows[..];
    Columns::default()
        .text("function", rows, |row| row.0)
        .text("executor", rows, |row| row.1)
        .whole("calls", rows, |row| row.2.calls)
        .whole("rows", rows, |row| row.2.rows)
        .whole("errors", rows, |row| row.2.errors)
        .whole("row_errors", rows, |row| row.2.row_errors)
        .whole("retries", rows, |row| row.2.retries)
        .whole("merged", rows, |row| row.2.merged)
        .whole("bytes_in", rows, |row| row.2.bytes_in)
        .whole("bytes_out", rows, |row| row.2.bytes_out)
        .whole("in_flight", rows, |row| row.2.in_flight)
        .number("queue_seconds", rows, |row| seconds(row.2.queue_ns))
        .number("transfer_seconds", rows, |row| seconds(row.2.transfer_ns))
        .number("convert_seconds", rows, |row| seconds(row.2.convert_ns))
        .number("run_seconds", rows, |row| seconds(row.2.run_ns))
        .number("cpu_seconds", rows, |row| seconds(row.2.cpu_ns))
        .number("p50_seconds", rows, |row| latency(row.2, 0.5))
        .number("p95_seconds", rows, |row| latency(row.2, 0.95))
        .number("p99_seconds", rows, |row| latency(row.2, 0.99))
        .whole("peak_memory_bytes", rows, |row| row.2.peak_memory_bytes)
}

fn executors(moment: &Moment, monitor: &Monitor) -> Columns {
    let all = moment.snapshot.executors.values();
    let rows: Vec<_> = all.map(|entry| ExecutorRow::of(entry, monitor, moment.unix_ms)).collect();
    let rows = &rows[..];
    let columns = Columns::default()
        .text("executor", rows, |row| &row.id)
        .text("state", rows, |row| &row.state)
        .text("address", rows, |row| &row.address)
        .text("version", rows, |row| &row.version)
        .texts("pythons", rows, |row| row.pythons.iter().map(String::as_str))
        .whole("cores", rows, |row| row.cores)
        .whole("memory_bytes", rows, |row| row.memory_bytes)
        .whole("rss_bytes", rows, |row| row.rss_bytes)
        .whole("interpreters", rows, |row| row.interpreters)
        .whole("max_interpreters", rows, |row| row.max_interpreters)
        .whole("in_flight", rows, |row| row.in_flight)
        .whole("functions_ready", rows, |row| row.functions.get("READY").copied().unwrap_or_default())
        .whole("functions_failed", rows, |row| row.functions.get("FAILED").copied().unwrap_or_default())
        .time("reported", rows, |row| row.reported_unix_ms as i64);
    rates(columns, rows, |row| &row.rates)
}

fn environments(moment: &Moment) -> Columns {
    let all = moment.snapshot.environments.iter();
    let rows: Vec<_> = all.map(|(hash, entry)| EnvironmentRow::of(hash, entry, &moment.snapshot)).collect();
    let rows = &rows[..];
    Columns::default()
        .text("environment", rows, |row| &row.hash)
        .text("state", rows, |row| &row.state)
        .text("reason", rows, |row| &row.reason)
        .text("python", rows, |row| &row.python)
        .texts("requirements", rows, |row| row.requirements.iter().map(String::as_str))
        .texts("functions", rows, |row| row.functions.iter().map(String::as_str))
        .texts("assigned_to", rows, |row| row.assigned.keys().map(String::as_str))
        .texts("built_on", rows, |row| row.built_on.iter().map(String::as_str))
        .whole("interpreters", rows, |row| row.assigned.values().sum::<u32>())
}

/// A row for each kind of failure of batches.
fn failures(all: &[FunctionErrors]) -> Columns {
    let groups = all.iter().flat_map(|one| one.groups.iter().map(|group| (one.function.as_str(), group)));
    let rows: Vec<(&str, &FailureGroup)> = groups.collect();
    let rows = &rows[..];
    Columns::default()
        .text("function", rows, |row| row.0)
        .text("code", rows, |row| row.1.example.code)
        .text("exception", rows, |row| &row.1.exception)
        .text("message", rows, |row| &row.1.example.message)
        .whole("count", rows, |row| row.1.count)
        .time("first", rows, |row| row.1.first_unix_ms)
        .time("last", rows, |row| row.1.last_unix_ms)
        .texts("executors", rows, |row| row.1.executors.keys().map(String::as_str))
        .text("traceback", rows, |row| &row.1.traceback)
}

fn events(rows: &[Activity]) -> Columns {
    Columns::default()
        .whole("id", rows, |row| row.id)
        .time("time", rows, |row| row.unix_ms as i64)
        .text("severity", rows, |row| row.severity.name())
        .text("event", rows, |row| &row.event)
        .text("kind", rows, |row| row.kind.name())
        .text("subject", rows, |row| &row.subject)
        .text("message", rows, |row| &row.message)
}

fn waiting(rows: &[Waiting]) -> Columns {
    Columns::default()
        .text("reason", rows, |row| &row.reason)
        .text("severity", rows, |row| row.severity.name())
        .text("kind", rows, |row| row.kind.name())
        .text("subject", rows, |row| &row.subject)
        .text("evidence", rows, |row| &row.evidence)
        .text("remedy", rows, |row| &row.remedy)
        .time("since", rows, |row| row.since_unix_ms as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_rows_of_its_schema() {
        let tables = FleetTables(Arc::default());
        for name in NAMES {
            let messages = tables.read(format!("{PREFIX}{name}").as_bytes()).unwrap();
            assert_eq!(messages.len(), 1, "{name}: only a schema, of an empty fleet");
        }
        assert!(tables.read(b"system.events?after=7").is_ok());
        for bad in
            ["", "functions", "system.", "system.nothing", "system.events?after=x", "system.calls?after=1", "\u{1}"]
        {
            assert_eq!(tables.read(bad.as_bytes()).unwrap_err().code(), ErrorCode::InvalidInput, "{bad}");
        }
        assert_eq!(tables.read(&[0xff, 0xfe]).unwrap_err().code(), ErrorCode::InvalidInput);
    }
}
