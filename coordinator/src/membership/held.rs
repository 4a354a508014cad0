//! What one executor reports of the desired state that it works on: who did not send that learns it here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use udfleet_proto::v1::{EnvironmentReference, FunctionReference, Report};

use super::desired::{Desired, DesiredFunction};
use crate::registry::{Catalog, Function};

/// See the module. Empty with each attach, as its first reports say all.
#[derive(Debug, Default)]
pub(super) struct ReportedState {
    term: u64,
    revision: u64,
    /// By `add@3`: what a function's status is about.
    references: HashMap<Arc<str>, FunctionReference>,
    environments: BTreeMap<String, u32>,
    /// All has been reported that was known when the attach began.
    pub complete: bool,
}

impl ReportedState {
    /// Of a new attach: `nothing` is desired of the executor yet, or its first reports say what is.
    pub fn new(nothing: bool) -> Self {
        Self { complete: nothing, ..Self::default() }
    }

    /// Takes in what a report says of it; true where that changes anything.
    pub fn take(&mut self, report: &mut Report) -> bool {
        let completed = !self.complete && !report.more;
        self.complete |= completed;
        let version = (report.term, report.revision);
        let mut changed = completed || report.environments_changed || (self.term, self.revision) != version;
        (self.term, self.revision) = version;
        for name in std::mem::take(&mut report.unassigned) {
            changed |= self.references.remove(name.as_str()).is_some();
        }
        for reference in std::mem::take(&mut report.references) {
            let name: Arc<str> = Arc::from(reference.function.as_str());
            changed |= self.references.get(&name) != Some(&reference);
            self.references.insert(name, reference);
        }
        if report.environments_changed {
            let all = std::mem::take(&mut report.environments).into_iter();
            self.environments = all.map(|EnvironmentReference { hash, interpreters }| (hash, interpreters)).collect();
        }
        changed
    }

    /// As desired state: of functions that are registered, since nobody desires others.
    pub fn desired(&self, catalog: &Catalog, draining: bool) -> Desired {
        let (term, revision) = (self.term, self.revision);
        let mut desired = Desired { term, revision, draining, ..Desired::default() };
        for (environment, interpreters) in &self.environments {
            desired.set_environment(environment, Some(*interpreters));
        }
        for function in catalog.iter() {
            if let Some(FunctionReference { since, .. }) = self.reference(function) {
                let held = DesiredFunction { function: Arc::clone(function), since: *since };
                desired.functions.insert(Arc::from(function.name.as_str()), held);
            }
        }
        desired
    }

    /// What it reports of a function, under this very definition.
    fn reference(&self, function: &Function) -> Option<&FunctionReference> {
        self.references.get(function.name.as_str()).filter(|reference| reference.definition == function.hash)
    }

    /// True where what it reports of a function is about this load of it, not about another or another definition.
    pub fn is_about(&self, desired: &DesiredFunction) -> bool {
        self.reference(&desired.function).is_some_and(|reference| reference.since == desired.since)
    }

    /// The revision that it works on.
    pub fn revision(&self) -> u64 {
        self.revision
    }
}
