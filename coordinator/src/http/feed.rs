//! History, events and logs, asked for by pages.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use udfleet_edge::http::HttpError;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{ErrorCode, LogLine};

use super::Http;
use super::rows::tidy;
use crate::logs::WantedLines;
use crate::monitor::activity::{Activity, Severity, SubjectKind};
use crate::monitor::ring::{Track, Window};

/// Events of one page.
const MOST_EVENTS: usize = 500;
/// Lines of one answer.
const MOST_LINES: usize = 2000;

/// What history is asked for.
#[derive(Deserialize)]
pub struct HistoryQuery {
    /// `fleet`, `function:add@3` or `executor:ID`.
    series: String,
    window: Option<Window>,
}

/// Numbers of one field, the oldest first; null: not known.
#[derive(Serialize, JsonSchema)]
pub struct HistoryField {
    /// `rows`, `calls`, `errors`, `row_errors` and `bytes` are per second; `queue`, `transfer`, `convert`, `run` and
    /// `cpu` are seconds per second; `p50`, `p95`, `p99` are seconds; `memory` is bytes; others are counts.
    name: &'static str,
    values: Vec<Option<f32>>,
}

/// How something went.
#[derive(Serialize, JsonSchema)]
pub struct History {
    series: String,
    window: Window,
    /// Between two values, in seconds.
    step_seconds: u32,
    /// Of the newest value, in milliseconds since 1970.
    end_unix_ms: u64,
    fields: Vec<HistoryField>,
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidInput, text)
}

/// Of what has never been called there is no value yet.
pub async fn history(State(http): State<Http>, Query(query): Query<HistoryQuery>) -> Result<Json<History>, HttpError> {
    let (window, moment) = (query.window.unwrap_or(Window::Minutes5), http.monitor.moment());
    let read = |track: &Track| fields(track, window);
    let fields = match query.series.split_once(':') {
        None if query.series == "fleet" => http.monitor.fleet(read),
        Some(("function", name)) => {
            if !moment.snapshot.functions.contains_key(name) {
                return Err(invalid(format!("no function {name:?} is registered"))
                    .hint("name a version, as add@3")
                    .into());
            }
            http.monitor.function(name, read).unwrap_or_default()
        }
        Some(("executor", id)) => {
            if !moment.snapshot.executors.contains_key(id) {
                return Err(invalid(format!("no executor {id:?} is known")).into());
            }
            http.monitor.executor(id, read).unwrap_or_default()
        }
        _ => {
            let known = "fleet, function:NAME@VERSION and executor:ID";
            return Err(invalid(format!("no series {:?}", query.series)).hint(format!("series are {known}")).into());
        }
    };
    let since = moment.tick % u64::from(window.step());
    let end_unix_ms = moment.unix_ms.saturating_sub(since * 1000);
    Ok(Json(History { series: query.series, window, step_seconds: window.step(), end_unix_ms, fields }))
}

fn fields(track: &Track, window: Window) -> Vec<HistoryField> {
    let of = |(index, field): (usize, &crate::monitor::ring::Field)| HistoryField {
        name: field.name,
        values: track.values(window, index).into_iter().map(tidy).collect(),
    };
    track.fields().iter().enumerate().map(of).collect()
}

/// Which events.
#[derive(Deserialize)]
pub struct ActivityQuery {
    /// Older than the event of this number.
    before: Option<u64>,
    limit: Option<usize>,
    /// Of this function, executor or coordinator.
    subject: Option<String>,
    kind: Option<String>,
    /// At least so severe.
    severity: Option<String>,
}

/// The newest first.
pub async fn activity(
    State(http): State<Http>,
    Query(query): Query<ActivityQuery>,
) -> Result<Json<Vec<Activity>>, HttpError> {
    let severity = match query.severity.as_deref() {
        None | Some("info") => Severity::Info,
        Some("warning") => Severity::Warning,
        Some("error") => Severity::Error,
        Some(other) => return Err(invalid(format!("no severity {other:?}: info, warning, error")).into()),
    };
    let kind = match query.kind.as_deref() {
        None => None,
        Some("function") => Some(SubjectKind::Function),
        Some("executor") => Some(SubjectKind::Executor),
        Some("coordinator") => Some(SubjectKind::Coordinator),
        Some(other) => return Err(invalid(format!("no kind {other:?}: function, executor, coordinator")).into()),
    };
    let limit = query.limit.unwrap_or(100).min(MOST_EVENTS);
    Ok(Json(http.monitor.activity(query.before, limit, |event| {
        event.severity >= severity
            && kind.is_none_or(|kind| event.kind == kind)
            && query.subject.as_ref().is_none_or(|subject| event.subject == *subject)
    })))
}

/// How many lines.
#[derive(Deserialize)]
pub struct LogsQuery {
    tail: Option<usize>,
}

/// A line that a function printed, or the build of an environment.
#[derive(Serialize, JsonSchema)]
pub struct LogRow {
    /// `add@3`, or the hash of an environment.
    function: String,
    executor: String,
    /// stdout, stderr, build
    stream: String,
    unix_ms: i64,
    text: String,
}

impl LogRow {
    fn of(line: &Arc<LogLine>) -> Self {
        Self {
            function: line.function.clone(),
            executor: line.executor.clone(),
            stream: line.stream.clone(),
            unix_ms: line.unix_ms,
            text: line.text.clone(),
        }
    }
}

/// The newest lines of `add`, or of `add@3`, the oldest of them first.
pub async fn logs(
    State(http): State<Http>,
    Path(name): Path<String>,
    Query(query): Query<LogsQuery>,
) -> Result<Json<Vec<LogRow>>, HttpError> {
    let which = FunctionRef::parse(&name).map_err(|error| invalid(error.to_string()))?;
    let tail = query.tail.unwrap_or(200).clamp(1, MOST_LINES);
    Ok(Json(http.logs.tail(&WantedLines::Function(which), tail).iter().map(LogRow::of).collect()))
}

/// The newest lines that building an environment has printed, the oldest of them first; `hash` is whole.
pub async fn builds(
    State(http): State<Http>,
    Path(hash): Path<String>,
    Query(query): Query<LogsQuery>,
) -> Json<Vec<LogRow>> {
    let tail = query.tail.unwrap_or(200).clamp(1, MOST_LINES);
    Json(http.builds.tail(&WantedLines::Named(hash), tail).iter().map(LogRow::of).collect())
}
