//! What has changed in the fleet between two snapshots, as events that people read.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use udfleet_edge::tracked::Difference;
use udfleet_proto::v1::{ExecutorState, LoadState};

use crate::snapshot::{ExecutorEntry, FunctionEntry, Map, Snapshot};

/// Events that are kept; the oldest give way.
const KEPT: usize = 10_000;
/// Events of one second; of more it says how many.
const MOST_AT_ONCE: usize = 200;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It is as it should be.
    Info,
    /// It may need somebody.
    Warning,
    /// Calls fail, or will.
    Error,
}

impl Severity {
    /// As JSON has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What kind of thing an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    /// `add@3`
    Function,
    /// An executor's id.
    Executor,
    /// A coordinator's id.
    Coordinator,
}

impl SubjectKind {
    /// As JSON has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Executor => "executor",
            Self::Coordinator => "coordinator",
        }
    }
}

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Activity {
    /// Counts up by one, over restarts of the coordinator.
    pub id: u64,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// How much it matters.
    pub severity: Severity,
    /// For programs: `executor_lost`.
    pub event: Cow<'static, str>,
    /// What `subject` is.
    pub kind: SubjectKind,
    /// What it is about.
    pub subject: String,
    /// For people.
    pub message: String,
}

/// An event that has no number and time yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    severity: Severity,
    event: &'static str,
    kind: SubjectKind,
    subject: String,
    message: String,
}

impl Change {
    /// About this.
    pub fn new(
        severity: Severity,
        event: &'static str,
        kind: SubjectKind,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let mut message = message.into();
        udfleet_proto::error::truncate(&mut message, 500);
        Self { severity, event, kind, subject: subject.into(), message }
    }

    fn of_function(severity: Severity, event: &'static str, entry: &FunctionEntry, message: impl Into<String>) -> Self {
        Self::new(severity, event, SubjectKind::Function, &*entry.name, message)
    }

    fn of_executor(severity: Severity, event: &'static str, id: &str, message: impl Into<String>) -> Self {
        Self::new(severity, event, SubjectKind::Executor, id, message)
    }
}

/// The newest events.
#[derive(Debug, Default)]
pub struct ActivityLog {
    events: VecDeque<Activity>,
    last: u64,
}

impl ActivityLog {
    /// Notes what has happened now.
    pub fn extend(&mut self, unix_ms: u64, changes: Vec<Change>) {
        let left_out = changes.len().saturating_sub(MOST_AT_ONCE);
        let more = (left_out > 0).then(|| {
            let text = format!("{left_out} further changes in this second");
            Change::new(Severity::Info, "more_changes", SubjectKind::Coordinator, "", text)
        });
        for change in changes.into_iter().take(MOST_AT_ONCE).chain(more) {
            self.last += 1;
            if self.events.len() == KEPT {
                self.events.pop_front();
            }
            let Change { severity, event, kind, subject, message } = change;
            self.events.push_back(Activity {
                id: self.last,
                unix_ms,
                severity,
                event: event.into(),
                kind,
                subject,
                message,
            });
        }
    }

    /// Those that an earlier run of the coordinator has kept, the oldest first; the newest of them.
    #[must_use]
    pub fn restored(mut events: Vec<Activity>) -> Self {
        events.drain(..events.len().saturating_sub(KEPT));
        Self { last: events.last().map_or(0, |event| event.id), events: events.into() }
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn all(&self) -> &VecDeque<Activity> {
        &self.events
    }

    /// The newest that `wanted` takes and that are older than `before`, the newest first.
    pub fn newest(&self, before: Option<u64>, limit: usize, wanted: impl Fn(&Activity) -> bool) -> Vec<Activity> {
        let older = |event: &&Activity| before.is_none_or(|before| event.id < before);
        self.events.iter().rev().filter(older).filter(|event| wanted(event)).take(limit).cloned().collect()
    }

    /// Number of the newest; 0: there is none.
    pub fn last(&self) -> u64 {
        self.last
    }
}

/// What has happened from one snapshot to a later one.
#[must_use]
pub fn changes(before: &Snapshot, now: &Snapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    each(&before.executors, &now.executors, |id, before, now| executor(&mut changes, id, before, now));
    for Difference { before, now, .. } in now.functions.since(&before.functions, Arc::ptr_eq) {
        function(&mut changes, before.map(|entry| &**entry), now.map(|entry| &**entry));
    }
    changes
}

/// Entries that differ.
fn each<V>(before: &Map<Arc<V>>, now: &Map<Arc<V>>, mut told: impl FnMut(&str, Option<&V>, Option<&V>)) {
    for (key, entry) in before.iter().filter(|(key, _)| !now.contains_key(*key)) {
        told(key, Some(entry), None);
    }
    for (key, entry) in now.iter() {
        match before.get(key) {
            Some(held) if Arc::ptr_eq(held, entry) => {}
            held => told(key, held.map(|held| &**held), Some(entry)),
        }
    }
}

fn executor(changes: &mut Vec<Change>, id: &str, before: Option<&ExecutorEntry>, now: Option<&ExecutorEntry>) {
    use Severity::{Info, Warning};
    let mut tell = |severity, event, message: String| changes.push(Change::of_executor(severity, event, id, message));
    let Some(now) = now else {
        tell(Info, "executor_forgotten", format!("{id} has been away for long and is not listed any more"));
        return;
    };
    let attached = format!("{id} attached at {} with {} cores", now.hello.address, now.hello.cores);
    match before {
        None if now.state.attached() => tell(Info, "executor_attached", attached),
        None => {}
        Some(before) if before.hello.incarnation != now.hello.incarnation => {
            tell(Info, "executor_restarted", format!("{id} attached again as a new process"));
        }
        Some(before) if before.state == now.state => {}
        Some(before) => match now.state {
            ExecutorState::Ready if before.state.attached() => {
                tell(Info, "executor_in_service", format!("{id} takes new work again"));
            }
            ExecutorState::Ready => tell(Info, "executor_attached", format!("{id} attached again")),
            ExecutorState::Draining => {
                tell(Info, "executor_draining", format!("{id} takes nothing new and finishes what runs"));
            }
            ExecutorState::Drained => tell(Info, "executor_drained", format!("{id} has finished what ran")),
            ExecutorState::Stopped => tell(Info, "executor_stopped", format!("{id} stopped in order")),
            ExecutorState::Lost => {
                tell(Warning, "executor_lost", format!("{id} has been silent for too long: its work moves"));
            }
            ExecutorState::Unreachable => tell(
                Warning,
                "executor_unreachable",
                format!("{id} can't be reached from this coordinator; another one reaches it"),
            ),
            ExecutorState::Unspecified => {}
        },
    }
}

fn function(changes: &mut Vec<Change>, before: Option<&FunctionEntry>, now: Option<&FunctionEntry>) {
    use Severity::{Error, Info, Warning};
    let mut tell = |severity, event, entry: &FunctionEntry, message: String| {
        changes.push(Change::of_function(severity, event, entry, message));
    };
    let Some(now) = now else {
        if let Some(before) = before {
            tell(Info, "function_dropped", before, format!("{} was dropped", before.name));
        }
        return;
    };
    if before.is_none() {
        tell(Info, "function_registered", now, format!("{} was registered", now.name));
    }
    let held = before.map(FunctionEntry::state);
    let state = now.state();
    if held == Some(state) {
        return;
    }
    match state {
        LoadState::Ready => {
            tell(Info, "function_ready", now, format!("{} can be called", now.name));
        }
        LoadState::Failed => {
            tell(Error, "function_failed", now, format!("{} can't be loaded: {}", now.name, now.reason()))
        }
        LoadState::Building => {
            tell(Info, "environment_building", now, format!("the environment of {} is being built", now.name));
        }
        _ if held == Some(LoadState::Ready) => {
            tell(Warning, "function_not_ready", now, format!("{} can't be called: {}", now.name, now.reason()));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::testing::{attach, counted, executor};
    use udfleet_proto::error::Error;
    use udfleet_proto::v1::{ErrorCode, FunctionStatus};

    fn names(changes: &[Change]) -> Vec<(&'static str, &str)> {
        changes.iter().map(|change| (change.event, change.subject.as_str())).collect()
    }

    #[test]
    fn what_differs_between_two_snapshots_is_told() {
        let mut fleet = counted("f");
        let empty = Snapshot::default();
        let first = fleet.now().clone();
        assert_eq!(names(&changes(&empty, &first)), [("function_registered", "f@1")]);
        assert!(changes(&first, &first).is_empty());
        attach(&mut fleet, "e");
        let id = Arc::from("e");
        let status = |state: LoadState, error| FunctionStatus { state: state as i32, error, ..Default::default() };
        fleet.set_status("f@1", &id, Some(Arc::new(status(LoadState::Ready, None))));
        let ready = fleet.now().clone();
        assert_eq!(names(&changes(&first, &ready)), [("executor_attached", "e"), ("function_ready", "f@1")]);
        let error = Error::new(ErrorCode::LoadFailed, "no module x").into_info();
        fleet.set_status("f@1", &id, Some(Arc::new(status(LoadState::Failed, Some(error)))));
        fleet.set_executor(&id, Some(ExecutorEntry { state: ExecutorState::Lost, ..executor("e") }));
        let bad = fleet.now().clone();
        let told = changes(&ready, &bad);
        assert_eq!(names(&told), [("executor_lost", "e"), ("function_failed", "f@1")]);
        assert!(told[1].severity == Severity::Error && told[1].message.contains("no module x"));
        fleet.set_executor(&id, None);
        assert_eq!(names(&changes(&bad, fleet.now())), [("executor_forgotten", "e")]);
        assert_eq!(names(&changes(&first, &empty)), [("function_dropped", "f@1")]);
    }

    #[test]
    fn the_log_is_bounded_and_paged() {
        let mut log = ActivityLog::default();
        let change = |subject: usize| {
            Change::new(Severity::Info, "executor_lost", SubjectKind::Executor, subject.to_string(), "x")
        };
        log.extend(1, (0..MOST_AT_ONCE + 5).map(change).collect());
        assert_eq!(log.last() as usize, MOST_AT_ONCE + 1);
        assert_eq!(log.newest(None, 1, |_| true)[0].event, "more_changes");
        for _ in 0..KEPT {
            log.extend(2, vec![change(7)]);
        }
        assert_eq!(log.newest(None, usize::MAX, |_| true).len(), KEPT);
        let page = log.newest(Some(log.last() - 1), 2, |event| event.subject == "7");
        assert_eq!(page.iter().map(|event| log.last() - event.id).collect::<Vec<_>>(), [2, 3]);
    }
}
