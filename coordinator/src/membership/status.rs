//! What the fleet says about one function: from its placement and from what executors report.

use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, ErrorInfo, ExecutorFunctionStatus, FunctionInfo, FunctionStatus, LoadState};

use super::core::Core;
use super::plan;
use crate::registry::Function;

/// How a registration stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Pending,
    Ready,
    Failed(Box<ErrorInfo>),
}

/// READY as soon as one serves it; else FAILED once all have failed; else the furthest that one has come.
pub(super) fn overall<'a>(statuses: impl Iterator<Item = &'a FunctionStatus> + Clone) -> LoadState {
    let working = statuses.clone().map(FunctionStatus::state).filter(|state| *state != LoadState::Failed);
    match working.max_by_key(|state| *state as i32) {
        Some(state) => state,
        None if statuses.clone().next().is_some() => LoadState::Failed,
        None => LoadState::Pending,
    }
}

/// Registration ends when everybody who should serve the function has answered.
pub(super) fn outcome(statuses: &[(String, FunctionStatus)], unplaced: impl FnOnce() -> Error) -> Outcome {
    let open = |s: &FunctionStatus| !matches!(s.state(), LoadState::Ready | LoadState::Failed);
    if statuses.is_empty() {
        return Outcome::Failed(Box::new(unplaced().into_info()));
    }
    if statuses.iter().any(|(_, status)| open(status)) {
        return Outcome::Pending;
    }
    if statuses.iter().any(|(_, status)| status.state() == LoadState::Ready) {
        return Outcome::Ready;
    }
    let failure = statuses.iter().find_map(|(executor, status)| {
        let mut info = status.error.clone()?;
        if info.executor.is_empty() {
            info.executor.clone_from(executor);
        }
        Some(info)
    });
    let unknown =
        || Error::new(ErrorCode::LoadFailed, "executors could not load the function and gave no reason").into_info();
    Outcome::Failed(Box::new(failure.unwrap_or_else(unknown)))
}

/// "executor-1: its environment is being built; executor-2: failed"
///
/// Why one has failed is told once, at the end of the registration.
pub(super) fn progress_line(statuses: &[(String, FunctionStatus)]) -> String {
    let line = |(executor, status): &(String, FunctionStatus)| format!("{executor}: {}", word(status.state()));
    statuses.iter().map(line).collect::<Vec<_>>().join("; ")
}

/// The same, with why one has failed.
pub(super) fn describe(statuses: &[(String, FunctionStatus)]) -> String {
    let line = |(executor, status): &(String, FunctionStatus)| match status.error.clone() {
        Some(error) if status.state() == LoadState::Failed => format!("{executor}: {}", Error::from(error)),
        _ => format!("{executor}: {}", word(status.state())),
    };
    statuses.iter().map(line).collect::<Vec<_>>().join("; ")
}

fn word(state: LoadState) -> &'static str {
    match state {
        LoadState::Unspecified | LoadState::Pending => "waiting",
        LoadState::Building => "its environment is being built",
        LoadState::Loading => "loading",
        LoadState::Ready => "ready",
        LoadState::Failed => "failed",
    }
}

impl Core {
    /// Executors that should serve the function, with what they report.
    pub(super) fn statuses(&self, function: &str) -> Vec<(String, FunctionStatus)> {
        let should = self.members.values().filter(|m| m.serving() && m.wants(function));
        should.map(|member| (member.id().to_owned(), member.status(function))).collect()
    }

    /// Why nobody should serve the function.
    pub(super) fn unplaced_reason(&self, function: &Function) -> String {
        if let Some(reason) = self.placement.unplaced.get(&function.environment) {
            return reason.clone();
        }
        let python = &function.definition.payload_python;
        let on: Vec<&str> = self
            .placement
            .assigned
            .get(&function.environment)
            .into_iter()
            .flatten()
            .map(|(id, _)| id.as_str())
            .collect();
        if on.is_empty() || python.is_empty() {
            return "it has not been placed yet".to_owned();
        }
        let environment = plan::python(&function.definition);
        format!("its pickle needs Python {python}, but its environment runs with {environment} on {}", on.join(", "))
    }

    pub(super) fn outcome(&self, function: &Function) -> Outcome {
        let unplaced = || {
            Error::new(ErrorCode::NoCapacity, self.unplaced_reason(function))
                .function(function.name.as_str())
                .hint("start another executor (udfleet-executor --coordinator ...), or drop functions")
        };
        outcome(&self.statuses(&function.name), unplaced)
    }

    pub(super) fn info(&self, function: &Function) -> FunctionInfo {
        let statuses = self.statuses(&function.name);
        let state = overall(statuses.iter().map(|(_, status)| status));
        let reason = match state {
            LoadState::Ready => String::new(),
            _ if statuses.is_empty() => self.unplaced_reason(function),
            _ => describe(&statuses),
        };
        let executors =
            statuses.into_iter().map(|(executor, status)| ExecutorFunctionStatus { executor, status: Some(status) });
        FunctionInfo {
            definition: Some(function.definition.clone()),
            state: state as i32,
            reason,
            executors: executors.collect(),
            environment: function.environment.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(states: &[LoadState]) -> Vec<(String, FunctionStatus)> {
        let one = |(i, state): (usize, &LoadState)| {
            let error = (*state == LoadState::Failed)
                .then(|| Error::new(ErrorCode::LoadFailed, format!("broken {i}")).into_info());
            (format!("e{i}"), FunctionStatus { state: *state as i32, error, ..Default::default() })
        };
        states.iter().enumerate().map(one).collect()
    }

    #[test]
    fn a_registration_ends_when_all_have_answered() {
        use LoadState::{Building, Failed, Ready};
        let outcome = |states: &[LoadState]| outcome(&statuses(states), || Error::internal("nobody"));
        assert_eq!(outcome(&[Ready, Building]), Outcome::Pending);
        assert_eq!(outcome(&[Failed, Building]), Outcome::Pending);
        assert_eq!(outcome(&[Failed, Ready]), Outcome::Ready);
        let Outcome::Failed(info) = outcome(&[Failed, Failed]) else { panic!("not failed") };
        assert_eq!((info.message.as_str(), info.executor.as_str()), ("broken 0", "e0"));
        assert!(matches!(outcome(&[]), Outcome::Failed(info) if info.message == "nobody"));
    }

    #[test]
    fn one_that_serves_is_enough_to_be_ready() {
        use LoadState::{Building, Failed, Pending, Ready};
        let overall = |states: &[LoadState]| overall(statuses(states).iter().map(|(_, s)| s));
        assert_eq!(overall(&[Failed, Ready, Building]), Ready);
        assert_eq!(overall(&[Failed, Pending, Building]), Building);
        assert_eq!(overall(&[Failed, Failed]), Failed);
        assert_eq!(overall(&[]), Pending);
    }
}
