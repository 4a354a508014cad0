//! What people watch, by topic: the same JSON for everybody who watches it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_NAME_BYTES;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::ErrorCode;

use super::Http;
use super::advice::{Advice, advise};
use super::failures::{FunctionErrors, errors};
use super::overview::Overview;
use super::progress::Progress;
use super::rows::{BatchRows, EnvironmentRow, ExecutorRow, FunctionRow};
use super::views::OnExecutor;
use crate::monitor::Moment;
use crate::monitor::activity::Activity;
use crate::monitor::waiting::Waiting;
use crate::snapshot::Snapshot;

/// Events that a topic shows; older ones are asked for by pages.
const EVENTS: usize = 100;
/// Events that a function's or an executor's topic shows.
const OWN_EVENTS: usize = 20;

/// Something that can be watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The fleet in one look.
    Overview,
    /// All functions, newest versions.
    Functions,
    /// All executors.
    Executors,
    /// All environments.
    Environments,
    /// What waits, and why.
    Waiting,
    /// The newest events.
    Activity,
    /// What fails.
    Errors,
    /// All versions of one function.
    Function(FunctionRef),
    /// One executor.
    Executor(String),
}

/// All versions of one function.
#[derive(Serialize, JsonSchema)]
pub struct FunctionDetail {
    name: String,
    /// The newest first.
    versions: Vec<FunctionRow>,
    /// Each version on each executor that should serve it.
    executors: Vec<OnExecutor>,
    /// Numbers of the version that is asked for, else of the newest, with those of each executor and its user metrics.
    progress: Option<Progress>,
    /// Sizes of its batches, the smallest first.
    batch_rows: Vec<BatchRows>,
    /// What would make it faster.
    advice: Vec<Advice>,
    /// What fails in any version.
    errors: Vec<FunctionErrors>,
    /// The newest first.
    activity: Vec<Activity>,
}

/// One executor, and what it does.
#[derive(Serialize, JsonSchema)]
pub struct ExecutorDetail {
    executor: ExecutorRow,
    functions: Vec<OnExecutor>,
    /// Where the other coordinators are that it is attached to.
    attached_to: Vec<String>,
    /// Environments that it should hold, with their interpreters.
    environments: BTreeMap<String, u32>,
    /// The newest first.
    activity: Vec<Activity>,
}

impl Topic {
    /// Of its name in a URL.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where there is no such topic.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let none = |reason: String| {
            let names = "overview, functions, executors, environments, waiting, activity, errors";
            Error::new(
                ErrorCode::InvalidInput,
                format!("no topic {:?}{reason}", text.chars().take(100).collect::<String>()),
            )
            .hint(format!("topics are {names}, function:NAME and executor:ID"))
        };
        Ok(match text {
            "overview" => Self::Overview,
            "functions" => Self::Functions,
            "executors" => Self::Executors,
            "environments" => Self::Environments,
            "waiting" => Self::Waiting,
            "activity" => Self::Activity,
            "errors" => Self::Errors,
            _ => match text.split_once(':') {
                Some(("function", name)) => {
                    Self::Function(FunctionRef::parse(name).map_err(|error| none(format!(": {error}")))?)
                }
                Some(("executor", id)) if !id.is_empty() && id.len() <= MAX_NAME_BYTES => Self::Executor(id.to_owned()),
                _ => return Err(none(String::new())),
            },
        })
    }

    /// As JSON, of one moment. `null`: it is not there (any more).
    ///
    /// # Errors
    /// Never with these types; serde wants it said.
    pub fn render(&self, http: &Http, moment: &Moment) -> Result<String, serde_json::Error> {
        let (snapshot, monitor) = (&*moment.snapshot, &http.monitor);
        match self {
            Self::Overview => serde_json::to_string(&Overview::of(http, moment)),
            Self::Functions => {
                let rows: Vec<_> =
                    snapshot.newest().iter().map(|entry| FunctionRow::of(entry, snapshot, monitor)).collect();
                serde_json::to_string(&rows)
            }
            Self::Executors => {
                let executors = snapshot.executors.values();
                let rows: Vec<_> = executors.map(|entry| ExecutorRow::of(entry, monitor, moment.unix_ms)).collect();
                serde_json::to_string(&rows)
            }
            Self::Environments => {
                let all = snapshot.environments.iter();
                let rows: Vec<_> = all.map(|(hash, entry)| EnvironmentRow::of(hash, entry, snapshot)).collect();
                serde_json::to_string(&rows)
            }
            Self::Waiting => serde_json::to_string::<Vec<Waiting>>(&moment.waiting),
            Self::Activity => serde_json::to_string(&monitor.activity(None, EVENTS, |_| true)),
            Self::Errors => serde_json::to_string(&errors(monitor, snapshot, |_| true)),
            Self::Function(which) => serde_json::to_string(&FunctionDetail::of(which, http, snapshot)),
            Self::Executor(id) => serde_json::to_string(&ExecutorDetail::of(id, http, moment)),
        }
    }
}

impl FunctionDetail {
    fn of(which: &FunctionRef, http: &Http, snapshot: &Snapshot) -> Option<Self> {
        // A page of one version shows the others beside it.
        let name = &which.name;
        let entries = snapshot.matching(&FunctionRef { name: name.clone(), version: None });
        let mut versions: Vec<_> =
            entries.iter().map(|entry| FunctionRow::of(entry, snapshot, &http.monitor)).collect();
        versions.reverse();
        let wanted = entries.iter().rev().find(|entry| which.includes(&entry.name)).or(entries.last())?;
        let on = |entry: &std::sync::Arc<crate::snapshot::FunctionEntry>| {
            entry.on.iter().map(|(id, status)| OnExecutor::of(id, status)).collect::<Vec<_>>()
        };
        let numbers = snapshot.numbers.get(&wanted.name);
        let total = numbers.and_then(|numbers| numbers.sums().total.as_ref());
        let batch_rows = total.map(|total| BatchRows::of(&total.batch_rows)).unwrap_or_default();
        let own = |function: &str| function.split_once('@').is_some_and(|(own, _)| own == name);
        Some(Self {
            name: name.clone(),
            advice: advise(&FunctionRow::of(wanted, snapshot, &http.monitor), &batch_rows),
            batch_rows,
            versions,
            executors: entries.iter().rev().flat_map(on).collect(),
            progress: numbers.map(|numbers| Progress::of(numbers.sums())),
            errors: errors(&http.monitor, snapshot, own),
            activity: http.monitor.activity(None, OWN_EVENTS, |event| own(&event.subject)),
        })
    }
}

impl ExecutorDetail {
    fn of(id: &str, http: &Http, moment: &Moment) -> Option<Self> {
        let entry = moment.snapshot.executors.get(id)?;
        let environments = moment.snapshot.environments.iter();
        Some(Self {
            executor: ExecutorRow::of(entry, &http.monitor, moment.unix_ms),
            functions: entry.functions.values().map(|status| OnExecutor::of(id, status)).collect(),
            attached_to: entry.attached_to.clone(),
            environments: environments
                .filter_map(|(hash, environment)| Some((hash.to_string(), *environment.assigned.get(id)?)))
                .collect(),
            activity: http.monitor.activity(None, OWN_EVENTS, |event| event.subject == id),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_have_names() {
        for name in ["overview", "functions", "executors", "environments", "waiting", "activity", "errors"] {
            assert!(Topic::parse(name).is_ok(), "{name}");
        }
        assert!(matches!(Topic::parse("function:add@3"), Ok(Topic::Function(which)) if which.version == Some(3)));
        assert_eq!(Topic::parse("executor:e-1").unwrap(), Topic::Executor("e-1".to_owned()));
        for bad in ["", "nothing", "function:", "function:a b", "executor:", "overview:x", &"x".repeat(5000)] {
            assert_eq!(Topic::parse(bad).unwrap_err().code(), ErrorCode::InvalidInput, "{bad}");
        }
    }
}
