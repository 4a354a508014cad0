//! What waits, for what, and what would help: one line for each thing, with a reason that programs can compare.

use schemars::JsonSchema;
use serde::Serialize;
use udfleet_proto::v1::{ExecutorState, LoadState};

use super::activity::{Severity, SubjectKind};
use crate::snapshot::{FunctionEntry, Snapshot};

/// Lines that are kept and told; further ones are left out.
pub const MOST: usize = 500;

/// One thing that waits, or keeps others waiting.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Waiting {
    /// For programs: `NO_EXECUTORS`, `NOT_PLACED`, `PENDING`, `BUILDING`, `LOADING`, `CALLS_WAIT`, `DRAINING`, `LOST`,
    /// `UNREACHABLE`; of a function that could not be built or loaded, the code of its error, such as `LOAD_FAILED`.
    pub reason: String,
    /// How much it matters.
    pub severity: Severity,
    /// What `subject` is.
    pub kind: SubjectKind,
    /// What waits.
    pub subject: String,
    /// What is known of it.
    pub evidence: String,
    /// What would help; empty: nothing but time.
    pub remedy: String,
    /// Since when this coordinator has seen it, in milliseconds since 1970.
    pub since_unix_ms: u64,
}

impl Waiting {
    fn new(severity: Severity, kind: SubjectKind, subject: &str, reason: &str, evidence: String, remedy: &str) -> Self {
        let (reason, subject, remedy) = (reason.to_owned(), subject.to_owned(), remedy.to_owned());
        Self { reason, severity, kind, subject, evidence, remedy, since_unix_ms: 0 }
    }
}

/// All that waits, what matters most first.
#[must_use]
pub fn waiting(snapshot: &Snapshot) -> Vec<Waiting> {
    let mut all = Vec::new();
    let ready = snapshot.executors.values().filter(|executor| executor.state == ExecutorState::Ready).count();
    if ready == 0 {
        let known = snapshot.executors.size();
        let evidence = match known {
            0 => "no executor has attached to this coordinator".to_owned(),
            _ => format!("{known} executors are known, and none takes new work"),
        };
        let remedy = "start one: udfleet-executor --coordinator HOST:PORT";
        all.push(Waiting::new(Severity::Error, SubjectKind::Coordinator, "", "NO_EXECUTORS", evidence, remedy));
    }
    all.extend(snapshot.newest().iter().flat_map(|entry| function(entry)));
    all.extend(snapshot.executors.iter().filter_map(|(id, executor)| {
        let in_flight = executor.in_flight;
        let (severity, reason, evidence, remedy) = match executor.state {
            ExecutorState::Draining => {
                (Severity::Info, "DRAINING", format!("finishes {in_flight} batches in flight"), "")
            }
            ExecutorState::Lost => (
                Severity::Warning,
                "LOST",
                "has not reported for longer than executor_timeout".to_owned(),
                "look at its log and its machine; it attaches again by itself",
            ),
            ExecutorState::Unreachable => (
                Severity::Warning,
                "UNREACHABLE",
                "attached to another coordinator and not to this one".to_owned(),
                "check the network between this coordinator and the executor",
            ),
            _ => return None,
        };
        Some(Waiting::new(severity, SubjectKind::Executor, id, reason, evidence, remedy))
    }));
    all.sort_by_key(|waiting| std::cmp::Reverse(waiting.severity));
    all
}

fn function(entry: &FunctionEntry) -> Vec<Waiting> {
    let of = |severity, reason: &str, evidence: String, remedy: &str| {
        Waiting::new(severity, SubjectKind::Function, &entry.name, reason, evidence, remedy)
    };
    let reason = || entry.reason().to_owned();
    match entry.state() {
        LoadState::Ready => {
            let waits = entry.on.iter().filter(|(_, status)| !status.waiting.is_empty());
            let text = waits.map(|(id, status)| format!("{id}: {}", status.waiting)).collect::<Vec<_>>().join("; ");
            if text.is_empty() {
                return Vec::new();
            }
            vec![of(Severity::Warning, "CALLS_WAIT", text, "more interpreters, or another executor")]
        }
        LoadState::Failed => {
            let failed = entry.on.values().find_map(|status| status.error.as_ref());
            let code = failed.map_or("LOAD_FAILED", |error| error.code().as_str_name());
            let hint = failed.map_or("", |error| error.hint.as_str());
            vec![of(Severity::Error, code, reason(), hint)]
        }
        LoadState::Building => vec![of(Severity::Info, "BUILDING", reason(), "")],
        LoadState::Loading => vec![of(Severity::Info, "LOADING", reason(), "")],
        LoadState::Pending | LoadState::Unspecified if entry.is_placed() => {
            vec![of(Severity::Info, "PENDING", reason(), "")]
        }
        LoadState::Pending | LoadState::Unspecified => {
            let remedy = "start an executor that offers what it needs, or drop functions";
            vec![of(Severity::Error, "NOT_PLACED", reason(), remedy)]
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::snapshot::testing::{attach, counted};
    use udfleet_proto::v1::FunctionStatus;

    fn reasons(snapshot: &Snapshot) -> Vec<String> {
        waiting(snapshot).into_iter().map(|waiting| waiting.reason).collect()
    }

    #[test]
    fn everything_that_waits_has_a_reason() {
        let mut fleet = counted("f");
        assert_eq!(reasons(fleet.now()), ["NO_EXECUTORS", "NOT_PLACED"]);
        attach(&mut fleet, "e");
        assert_eq!(reasons(fleet.now()), ["NOT_PLACED"]);
        let id = Arc::from("e");
        let mut set = |state: LoadState, waiting: &str| {
            let status = FunctionStatus { state: state as i32, waiting: waiting.to_owned(), ..Default::default() };
            fleet.set_status("f@1", &id, Some(Arc::new(status)));
            waiting_of(fleet.now())
        };
        fn waiting_of(snapshot: &Snapshot) -> Vec<String> {
            reasons(snapshot)
        }
        assert_eq!(set(LoadState::Building, ""), ["BUILDING"]);
        assert_eq!(set(LoadState::Failed, ""), ["LOAD_FAILED"]);
        assert_eq!(set(LoadState::Ready, "an interpreter"), ["CALLS_WAIT"]);
        assert_eq!(set(LoadState::Ready, ""), [""; 0]);
    }
}
