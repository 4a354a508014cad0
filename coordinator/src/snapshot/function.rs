//! One function version: which executors should serve it, and its state on each.

use std::sync::{Arc, OnceLock};

use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, ErrorInfo, ExecutorFunctionStatus, FunctionInfo, FunctionStatus, LoadState};

use super::Map;
use crate::registry::Function;

/// Executors that a reason names; of more it says how many.
const MOST_NAMED: usize = 10;

/// How a registration stands.
#[derive(Debug, Clone, PartialEq)]
pub enum RegistrationOutcome {
    /// Some executor has not answered.
    Pending,
    /// All have answered, and at least one serves it.
    Ready,
    /// Nobody will serve it.
    Failed(Box<ErrorInfo>),
}

/// See the module.
#[derive(Debug)]
pub struct FunctionEntry {
    /// `add@3`
    pub name: Arc<str>,
    /// The version.
    pub function: Arc<Function>,
    /// Executors that should serve it, with what they report.
    pub on: Map<Arc<FunctionStatus>>,
    /// How many of these are in each state.
    states: [usize; STATES],
    /// Why no executor should serve it; empty where one should.
    unplaced: String,
    reason: OnceLock<String>,
}

const STATES: usize = LoadState::Failed as usize + 1;

impl FunctionEntry {
    pub(super) fn new(function: Arc<Function>) -> Self {
        let name = Arc::from(function.name.as_str());
        let (on, states) = (Map::new_sync(), [0; STATES]);
        Self { name, function, on, states, unplaced: String::new(), reason: OnceLock::new() }
    }

    /// With what one executor reports; `None`: it should not serve the function.
    pub(super) fn with(&self, executor: &Arc<str>, status: Option<Arc<FunctionStatus>>) -> Self {
        let mut states = self.states;
        if let Some(before) = self.on.get(executor) {
            states[before.state() as usize] -= 1;
        }
        let on = match status {
            Some(status) => {
                states[status.state() as usize] += 1;
                self.on.insert(Arc::clone(executor), status)
            }
            None => self.on.remove(executor),
        };
        let (name, function) = (Arc::clone(&self.name), Arc::clone(&self.function));
        Self { name, function, on, states, unplaced: String::new(), reason: OnceLock::new() }
    }

    /// With the reason why no executor should serve it.
    pub(super) fn unplaced(&self, reason: String) -> Self {
        let (name, function) = (Arc::clone(&self.name), Arc::clone(&self.function));
        Self { name, function, on: self.on.clone(), states: self.states, unplaced: reason, reason: OnceLock::new() }
    }

    /// True where at least one executor should serve it.
    #[must_use]
    pub fn is_placed(&self) -> bool {
        !self.on.is_empty()
    }

    /// READY as soon as one serves it; else FAILED once all have failed; else the furthest that one has come.
    #[must_use]
    pub fn state(&self) -> LoadState {
        let any = |state: &LoadState| self.states[*state as usize] > 0;
        let furthest = [LoadState::Ready, LoadState::Loading, LoadState::Building, LoadState::Pending];
        let rest = if any(&LoadState::Unspecified) { LoadState::Pending } else { LoadState::Failed };
        furthest.into_iter().find(any).or_else(|| any(&LoadState::Failed).then_some(rest)).unwrap_or(LoadState::Pending)
    }

    /// Why it is not ready; empty where it is.
    pub fn reason(&self) -> &str {
        self.reason.get_or_init(|| match self.state() {
            LoadState::Ready => String::new(),
            _ if self.on.is_empty() => self.unplaced.clone(),
            _ => self.line(describe),
        })
    }

    /// "executor-1: its environment is being built; executor-2: failed"
    ///
    /// Why one has failed is told once, at the end of the registration.
    #[must_use]
    pub fn progress_line(&self) -> String {
        self.line(progress)
    }

    /// True where an executor serves it.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.states[LoadState::Ready as usize] > 0
    }

    fn line(&self, describe: impl Fn(&FunctionStatus) -> String) -> String {
        let one = |(id, status): (&Arc<str>, &Arc<FunctionStatus>)| format!("{id}: {}", describe(status));
        let mut lines: Vec<String> = self.on.iter().take(MOST_NAMED).map(one).collect();
        if let Some(more) = self.on.size().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
            lines.push(format!("and {more} more"));
        }
        lines.join("; ")
    }

    /// A registration ends when everybody who should serve the function has answered.
    #[must_use]
    pub fn outcome(&self) -> RegistrationOutcome {
        let [ready, failed, unknown] =
            [LoadState::Ready, LoadState::Failed, LoadState::Unspecified].map(|state| self.states[state as usize]);
        if self.on.is_empty() {
            let error = Error::new(ErrorCode::NoCapacity, self.unplaced.clone()).function(&*self.name);
            let hint = "start another executor (udfleet-executor --coordinator ...), or drop functions";
            return RegistrationOutcome::Failed(Box::new(error.hint(hint).into_info()));
        }
        // Where another coordinator leads, it decides whether those of which nothing is known shall serve it.
        let optional = if ready > 0 { unknown } else { 0 };
        if ready + failed + optional < self.on.size() {
            return RegistrationOutcome::Pending;
        }
        if ready > 0 {
            return RegistrationOutcome::Ready;
        }
        let failure = self.on.iter().find_map(|(executor, status)| {
            let mut info = status.error.clone()?;
            if info.executor.is_empty() {
                info.executor = executor.to_string();
            }
            Some(info)
        });
        let message = "executors could not load the function and gave no reason";
        RegistrationOutcome::Failed(Box::new(
            failure.unwrap_or_else(|| Error::new(ErrorCode::LoadFailed, message).into_info()),
        ))
    }

    /// As the Fleet service tells it.
    #[must_use]
    pub fn info(&self) -> FunctionInfo {
        let on = |(executor, status): (&Arc<str>, &Arc<FunctionStatus>)| {
            let mut status = FunctionStatus::clone(status);
            if status.state() == LoadState::Unspecified {
                status.set_state(LoadState::Pending);
            }
            ExecutorFunctionStatus { executor: executor.to_string(), status: Some(status) }
        };
        FunctionInfo {
            definition: Some(self.function.definition.clone()),
            state: self.state() as i32,
            reason: self.reason().to_owned(),
            executors: self.on.iter().map(on).collect(),
            environment: self.function.environment.clone(),
        }
    }
}

/// How far it is, with why it has failed.
fn describe(status: &FunctionStatus) -> String {
    match status.error.clone() {
        Some(error) if status.state() == LoadState::Failed => Error::from(error).to_string(),
        _ => progress(status),
    }
}

/// How far it is, with what it waits for.
fn progress(status: &FunctionStatus) -> String {
    match (word(status.state()), status.waiting.as_str()) {
        (word, "") => word.to_owned(),
        (word, waiting) => format!("{word}, {waiting}"),
    }
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

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::FunctionDefinition;

    use super::*;

    fn entry(states: &[LoadState]) -> FunctionEntry {
        let definition = FunctionDefinition { name: "f".to_owned(), version: 1, ..Default::default() };
        let empty = FunctionEntry::new(Arc::new(Function::new(definition))).unplaced("nobody".to_owned());
        states.iter().enumerate().fold(empty, |entry, (i, state)| {
            let error = (*state == LoadState::Failed)
                .then(|| Error::new(ErrorCode::LoadFailed, format!("broken {i}")).into_info());
            let status = FunctionStatus { state: *state as i32, error, ..Default::default() };
            entry.with(&Arc::from(format!("e{i:02}")), Some(Arc::new(status)))
        })
    }

    #[test]
    fn a_registration_ends_when_all_have_answered() {
        use LoadState::{Building, Failed, Ready};
        let outcome = |states: &[LoadState]| entry(states).outcome();
        assert_eq!(outcome(&[Ready, Building]), RegistrationOutcome::Pending);
        assert_eq!(outcome(&[Failed, Building]), RegistrationOutcome::Pending);
        assert_eq!(outcome(&[Failed, Ready]), RegistrationOutcome::Ready);
        let RegistrationOutcome::Failed(info) = outcome(&[Failed, Failed]) else { panic!("not failed") };
        assert_eq!((info.message.as_str(), info.executor.as_str()), ("broken 0", "e00"));
        assert!(matches!(outcome(&[]), RegistrationOutcome::Failed(info) if info.message == "nobody"));
    }

    #[test]
    fn one_that_serves_is_enough_to_be_ready() {
        use LoadState::{Building, Failed, Pending, Ready};
        let state = |states: &[LoadState]| entry(states).state();
        assert_eq!(state(&[Failed, Ready, Building]), Ready);
        assert_eq!(state(&[Failed, Pending, Building]), Building);
        assert_eq!(state(&[Failed, Failed]), Failed);
        assert_eq!(state(&[]), Pending);
        let taken_back = entry(&[Ready, Pending]).with(&Arc::from("e00"), None);
        assert_eq!(taken_back.state(), Pending);
    }

    #[test]
    fn a_reason_stays_short_in_a_large_fleet() {
        let reason = entry(&[LoadState::Loading; 100]).reason().to_owned();
        assert!(reason.starts_with("e00: loading; ") && reason.ends_with("; and 90 more"), "{reason}");
        assert_eq!(entry(&[]).reason(), "nobody");
    }
}
