//! What fails, as people look for it: by kind, with an example of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use udfleet_edge::http::Failure;
use udfleet_proto::error_groups::alike;
use udfleet_proto::v1::{ErrorGroup, ErrorInfo, FunctionProgress, FunctionStatus, LoadState, ProcessExit};

use super::rows::FunctionRow;
use crate::monitor::Monitor;
use crate::snapshot::{FunctionEntry, Snapshot};

/// What fails in one version of a function.
#[derive(Serialize, JsonSchema)]
pub struct FunctionErrors {
    /// `add@3`
    pub(super) function: String,
    /// Batches answered with an error, since it was registered.
    errors: u64,
    /// The same in a second, now.
    errors_per_second: f32,
    /// Rows that failed and became null or were left out.
    row_errors: u64,
    calls: u64,
    /// What made batches fail, the newest first; at most a few kinds.
    pub(super) groups: Vec<FailureGroup>,
    /// Why executors could not load it, each with the executor.
    load_failures: Vec<Failure>,
}

/// Errors of one code, exception type and place.
#[derive(Serialize, JsonSchema)]
pub struct FailureGroup {
    pub(super) count: u64,
    /// In milliseconds since 1970.
    pub(super) first_unix_ms: i64,
    /// In milliseconds since 1970.
    pub(super) last_unix_ms: i64,
    /// The newest of them.
    pub(super) example: Failure,
    /// Of the exception; empty: there was none.
    pub(super) exception: String,
    /// As Python prints it.
    pub(super) traceback: String,
    /// Of the interpreter, where it ended.
    exit: Option<InterpreterExit>,
    /// How many on each executor.
    pub(super) executors: BTreeMap<String, u64>,
}

/// How an interpreter ended.
#[derive(Serialize, JsonSchema)]
pub struct InterpreterExit {
    /// 0: it exited by itself.
    signal: i32,
    status: i32,
    peak_rss_bytes: u64,
    /// 0: none.
    memory_limit_bytes: u64,
    last_stderr: String,
}

impl InterpreterExit {
    fn of(exit: &ProcessExit) -> Self {
        Self {
            signal: exit.signal,
            status: exit.status,
            peak_rss_bytes: exit.peak_rss_bytes,
            memory_limit_bytes: exit.memory_limit_bytes,
            last_stderr: exit.last_stderr.clone(),
        }
    }
}

impl FailureGroup {
    fn of(group: &ErrorGroup, progress: &FunctionProgress) -> Option<Self> {
        let newest = group.newest.as_ref()?;
        let mut executors = BTreeMap::new();
        for executor in &progress.executors {
            let own = executor.metrics.iter().flat_map(|metrics| &metrics.failures);
            if let Some(same) = own.into_iter().find(|own| alike(own, group)) {
                executors.insert(executor.executor.clone(), same.count);
            }
        }
        let exception = newest.exception.as_ref();
        Some(Self {
            count: group.count,
            first_unix_ms: group.first_unix_ms,
            last_unix_ms: group.last_unix_ms,
            example: Failure::of(newest),
            exception: group.exception.clone(),
            traceback: exception.map(|exception| exception.text.clone()).unwrap_or_default(),
            exit: newest.exit.as_ref().map(InterpreterExit::of),
            executors,
        })
    }
}

impl FunctionErrors {
    fn of(entry: &FunctionEntry, monitor: &Monitor, snapshot: &Snapshot) -> Self {
        let row = FunctionRow::of(entry, snapshot, monitor);
        let progress = snapshot.numbers.get(&entry.name).map(|numbers| numbers.sums());
        let groups = |progress: &FunctionProgress| {
            let groups = progress.total.iter().flat_map(|total| &total.failures);
            groups.filter_map(|group| FailureGroup::of(group, progress)).collect()
        };
        let failed = |(id, status): (&Arc<str>, &Arc<FunctionStatus>)| {
            let error = status.error.as_ref().filter(|_| status.state() == LoadState::Failed)?;
            Some(Failure::of(&ErrorInfo { executor: id.to_string(), ..error.clone() }))
        };
        Self {
            function: row.function,
            errors: row.totals.errors,
            errors_per_second: row.rates.errors,
            row_errors: row.totals.row_errors,
            calls: row.totals.calls,
            groups: progress.map(groups).unwrap_or_default(),
            load_failures: entry.on.iter().filter_map(failed).collect(),
        }
    }

    fn any(&self) -> bool {
        self.errors + self.row_errors > 0 || !self.load_failures.is_empty()
    }
}

/// Versions in which something fails, the ones that fail most first.
pub fn errors(monitor: &Monitor, snapshot: &Snapshot, wanted: impl Fn(&str) -> bool) -> Vec<FunctionErrors> {
    let entries = snapshot.all_versions();
    let all = entries.iter().filter(|entry| wanted(&entry.name));
    let mut all: Vec<_> =
        all.map(|entry| FunctionErrors::of(entry, monitor, snapshot)).filter(FunctionErrors::any).collect();
    all.sort_by_key(|one| std::cmp::Reverse((!one.load_failures.is_empty(), one.errors, one.row_errors)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use udfleet_proto::error::Error;
    use udfleet_proto::error_groups::record;
    use udfleet_proto::v1::{ErrorCode, ExecutorMetrics, FunctionMetrics};

    #[test]
    fn a_group_knows_its_executors() {
        let (user, crash) = (ErrorCode::UserCode, ErrorCode::InterpreterCrashed);
        let failures = |codes: &[ErrorCode]| {
            let mut groups = Vec::new();
            codes.iter().for_each(|code| record(&mut groups, Error::new(*code, "x").info(), 5));
            groups
        };
        let metrics = |failures| FunctionMetrics { failures, ..FunctionMetrics::default() };
        let on = |executor: &str, codes: &[ErrorCode]| ExecutorMetrics {
            executor: executor.to_owned(),
            metrics: Some(metrics(failures(codes))),
        };
        let total = failures(&[user, user, crash]);
        let executors = vec![on("a", &[user]), on("b", &[user, crash])];
        let progress = FunctionProgress { total: Some(metrics(total.clone())), executors, ..Default::default() };
        let mut shown: Vec<_> = total.iter().map(|group| FailureGroup::of(group, &progress).unwrap()).collect();
        shown.sort_by_key(|group| group.count);
        let told: Vec<_> = shown.iter().map(|group| (group.count, group.executors.len())).collect();
        assert_eq!(told, [(1, 1), (2, 2)]);
    }
}
