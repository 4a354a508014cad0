//! One function of a roster: how far it has come.

use std::collections::BTreeSet;
use std::sync::Arc;

use udfleet_proto::error::Error;
use udfleet_proto::v1::{FunctionDefinition, FunctionStatus, LoadState};

use super::assignment::AssignmentRule;
use crate::node::backoff::Backoff;

/// How far a function has come here.
#[derive(Debug)]
pub(super) enum FunctionPhase {
    /// No interpreter that takes calls has loaded it yet.
    Loading,
    /// It can be called. It stays so while interpreters are replaced: calls wait for the replacement.
    Serving,
    /// Given up; one that has worked before is tried again.
    Failed(Error),
    /// Dropped, but batches may be under way.
    Leaving {
        /// It could be called until then.
        served: bool,
    },
    /// Dropped after it had been given up.
    Withdrawn,
}

/// The most that a function has achieved here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TrackRecord {
    /// Nothing yet: loading it may end an interpreter.
    Untried,
    /// It has been loaded somewhere.
    Loaded,
    /// It has taken calls: what keeps it from loading now may pass.
    Served,
}

/// One function.
#[derive(Debug)]
pub(in crate::node) struct FunctionEntry {
    pub(in crate::node) name: String,
    pub(in crate::node) definition: Arc<FunctionDefinition>,
    pub(super) phase: FunctionPhase,
    pub(super) record: TrackRecord,
    /// Slots whose interpreters have loaded it.
    pub(super) loaded: BTreeSet<u32>,
    /// Slots whose interpreters have refused it: it is not tried there again.
    pub(super) refused: BTreeSet<u32>,
    /// Interpreters that it has ended while it was loaded.
    pub(super) crashes: u32,
    /// The slot where it is loaded first, for as long as others have something to lose.
    pub(super) trial: Option<u32>,
    pub(super) retry: Backoff,
    /// What was last said of it: its state, and how many interpreters have loaded it.
    pub(super) told: Option<(LoadState, usize)>,
}

impl FunctionEntry {
    pub(super) fn new(name: &str, definition: &Arc<FunctionDefinition>) -> Self {
        Self {
            name: name.to_owned(),
            definition: Arc::clone(definition),
            phase: FunctionPhase::Loading,
            record: TrackRecord::Untried,
            loaded: BTreeSet::new(),
            refused: BTreeSet::new(),
            crashes: 0,
            trial: None,
            retry: Backoff::default(),
            told: None,
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.phase, FunctionPhase::Leaving { .. } | FunctionPhase::Withdrawn)
    }

    pub(super) fn is_serving(&self) -> bool {
        matches!(self.phase, FunctionPhase::Serving)
    }

    /// Calls of it may be under way.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.phase, FunctionPhase::Serving | FunctionPhase::Leaving { served: true })
    }

    /// Interpreters may hold it, and load it where they don't.
    pub(super) fn may_load(&self) -> bool {
        !matches!(self.phase, FunctionPhase::Failed(_) | FunctionPhase::Withdrawn)
    }

    /// Its definition, where the interpreter of this slot should hold it; `first` is where it is tried, should it be new where
    /// others have something to lose.
    pub(super) fn assigned(&mut self, slot: u32, first: u32, rule: AssignmentRule) -> Option<Arc<FunctionDefinition>> {
        let proven = self.record >= TrackRecord::Loaded;
        let everywhere = if rule.regular { proven || !rule.something_to_lose } else { self.is_kept() };
        let here = self.may_load() && (everywhere || *self.trial.get_or_insert(first) == slot);
        here.then(|| Arc::clone(&self.definition))
    }

    pub(super) fn failure(&self) -> Option<&Error> {
        match &self.phase {
            FunctionPhase::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// It has been dropped.
    pub(super) fn leave(&mut self) {
        self.phase = match self.phase {
            FunctionPhase::Failed(_) | FunctionPhase::Withdrawn => FunctionPhase::Withdrawn,
            FunctionPhase::Loading => FunctionPhase::Leaving { served: false },
            FunctionPhase::Serving => FunctionPhase::Leaving { served: true },
            FunctionPhase::Leaving { served } => FunctionPhase::Leaving { served },
        };
    }

    /// Gives it up; false where that has happened before, or it is leaving.
    pub(super) fn fail(&mut self, error: Error) -> bool {
        let fails = matches!(self.phase, FunctionPhase::Loading | FunctionPhase::Serving);
        if fails {
            self.phase = FunctionPhase::Failed(error);
        }
        fails
    }

    pub(super) fn state(&self, error: Option<&Error>) -> LoadState {
        match error {
            Some(_) => LoadState::Failed,
            None if self.is_serving() => LoadState::Ready,
            None => LoadState::Loading,
        }
    }

    pub(super) fn status(&self, error: Option<&Error>) -> FunctionStatus {
        FunctionStatus {
            function: self.name.clone(),
            state: self.state(error) as i32,
            error: error.map(|error| error.clone().function(&self.name).into_info()),
            interpreters: self.loaded.len() as u32,
            ..FunctionStatus::default()
        }
    }
}
