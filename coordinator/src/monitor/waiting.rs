//! What waits, for what, and what would help: one line for each thing, with a reason that programs can compare.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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

/// Functions whose newest version waits, by name. Kept up from one snapshot to the next, which costs what has changed.
#[derive(Debug, Default)]
pub struct WaitingFunctions(BTreeMap<String, Waiting>);

impl WaitingFunctions {
    /// Goes on to a later snapshot.
    pub fn follow(&mut self, before: &Snapshot, now: &Snapshot) {
        let changed = now.functions.since(&before.functions, Arc::ptr_eq);
        let entries = changed.iter().filter_map(|difference| difference.now.or(difference.before));
        for name in entries.map(|entry| entry.function.definition.name.as_str()).collect::<BTreeSet<_>>() {
            let newest = now.catalog.newest(name).and_then(|newest| now.functions.get(newest.name.as_str()));
            match newest.and_then(|entry| function(entry)) {
                Some(waiting) => drop(self.0.insert(name.to_owned(), waiting)),
                None => drop(self.0.remove(name)),
            }
        }
    }

    /// All that waits in the snapshot that this has gone on to, what matters most first.
    #[must_use]
    pub fn all(&self, snapshot: &Snapshot) -> Vec<Waiting> {
        let mut all = coordinator(snapshot);
        all.extend(self.0.values().cloned());
        all.extend(executors(snapshot));
        all.sort_by_key(|waiting| std::cmp::Reverse(waiting.severity));
        all
    }
}

fn coordinator(snapshot: &Snapshot) -> Vec<Waiting> {
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
    all
}

fn executors(snapshot: &Snapshot) -> impl Iterator<Item = Waiting> {
    snapshot.executors.iter().filter_map(|(id, executor)| {
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
    })
}

fn function(entry: &FunctionEntry) -> Option<Waiting> {
    let of = |severity, reason: &str, evidence: String, remedy: &str| {
        Waiting::new(severity, SubjectKind::Function, &entry.name, reason, evidence, remedy)
    };
    let reason = || entry.reason().to_owned();
    match entry.state() {
        LoadState::Ready => {
            let waits = entry.on.iter().filter(|(_, status)| !status.waiting.is_empty());
            let text = waits.map(|(id, status)| format!("{id}: {}", status.waiting)).collect::<Vec<_>>().join("; ");
            if text.is_empty() {
                return None;
            }
            Some(of(Severity::Warning, "CALLS_WAIT", text, "more interpreters, or another executor"))
        }
        LoadState::Failed => {
            let failed = entry.on.values().find_map(|status| status.error.as_ref());
            let code = failed.map_or("LOAD_FAILED", |error| error.code().as_str_name());
            let hint = failed.map_or("", |error| error.hint.as_str());
            Some(of(Severity::Error, code, reason(), hint))
        }
        LoadState::Building => Some(of(Severity::Info, "BUILDING", reason(), "")),
        LoadState::Loading => Some(of(Severity::Info, "LOADING", reason(), "")),
        LoadState::Pending | LoadState::Unspecified if entry.is_placed() => {
            Some(of(Severity::Info, "PENDING", reason(), ""))
        }
        LoadState::Pending | LoadState::Unspecified => {
            let remedy = "start an executor that offers what it needs, or drop functions";
            Some(of(Severity::Error, "NOT_PLACED", reason(), remedy))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::SnapshotBuilder;
    use crate::snapshot::testing::{attach, counted};
    use udfleet_proto::v1::FunctionStatus;

    /// Follows a fleet.
    #[derive(Default)]
    struct Follower {
        before: Snapshot,
        functions: WaitingFunctions,
    }

    impl Follower {
        fn reasons(&mut self, fleet: &SnapshotBuilder) -> Vec<String> {
            self.functions.follow(&self.before, fleet.now());
            self.before = fleet.now().clone();
            let mut anew = WaitingFunctions::default();
            anew.follow(&Snapshot::default(), fleet.now());
            assert_eq!(anew.all(fleet.now()), self.functions.all(fleet.now()), "as from scratch");
            self.functions.all(fleet.now()).into_iter().map(|waiting| waiting.reason).collect()
        }
    }

    #[test]
    fn everything_that_waits_has_a_reason() {
        let (mut follower, mut fleet) = (Follower::default(), counted("f"));
        assert_eq!(follower.reasons(&fleet), ["NO_EXECUTORS", "NOT_PLACED"]);
        attach(&mut fleet, "e");
        assert_eq!(follower.reasons(&fleet), ["NOT_PLACED"]);
        let id = Arc::from("e");
        for (state, waiting, expected) in [
            (LoadState::Building, "", &["BUILDING"][..]),
            (LoadState::Failed, "", &["LOAD_FAILED"]),
            (LoadState::Ready, "an interpreter", &["CALLS_WAIT"]),
            (LoadState::Ready, "", &[]),
        ] {
            let status = FunctionStatus { state: state as i32, waiting: waiting.to_owned(), ..Default::default() };
            fleet.set_status("f@1", &id, Some(Arc::new(status)));
            assert_eq!(follower.reasons(&fleet), expected);
        }
    }
}
