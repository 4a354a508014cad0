//! What one executor reports of the desired state that it works on: who did not send that learns it here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use udfleet_proto::name::FunctionRef;
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

/// What a report has changed of it.
#[derive(Debug, Default)]
pub(super) struct HeldChanges {
    /// Functions (`add@3`) whose references have come, gone or changed.
    functions: BTreeSet<Arc<str>>,
    environments: bool,
    /// With this report all has been said that was known when the attach began.
    pub completed: bool,
}

impl HeldChanges {
    /// How many functions they concern.
    pub fn functions(&self) -> usize {
        self.functions.len()
    }
}

impl ReportedState {
    /// Of a new attach: `nothing` is desired of the executor yet, or its first reports say what is.
    pub fn new(nothing: bool) -> Self {
        Self { complete: nothing, ..Self::default() }
    }

    /// How many functions it reports anything of.
    pub fn functions(&self) -> usize {
        self.references.len()
    }

    /// True where it reports anything of this function.
    pub fn knows(&self, function: &str) -> bool {
        self.references.contains_key(function)
    }

    /// Takes in what a report says of it; `None` where that changes nothing.
    pub fn take(&mut self, report: &mut Report) -> Option<HeldChanges> {
        let completed = !self.complete && !report.more;
        self.complete |= completed;
        let mut changes =
            HeldChanges { completed, environments: report.environments_changed, ..HeldChanges::default() };
        let version = (report.term, report.revision);
        let another = (self.term, self.revision) != version;
        (self.term, self.revision) = version;
        for name in std::mem::take(&mut report.unassigned) {
            changes.functions.extend(self.references.remove_entry(name.as_str()).map(|(name, _)| name));
        }
        for reference in std::mem::take(&mut report.references) {
            let name: Arc<str> = Arc::from(reference.function.as_str());
            if self.references.get(&name) != Some(&reference) {
                self.references.insert(Arc::clone(&name), reference);
                changes.functions.insert(name);
            }
        }
        if report.environments_changed {
            let all = std::mem::take(&mut report.environments).into_iter();
            self.environments = all.map(|EnvironmentReference { hash, interpreters }| (hash, interpreters)).collect();
        }
        let any = completed || another || changes.environments || !changes.functions.is_empty();
        any.then_some(changes)
    }

    /// As desired state: of functions that are registered, since nobody desires others.
    pub fn desired(&self, catalog: &Catalog, draining: bool) -> Desired {
        let mut desired = Desired::default();
        let all = HeldChanges {
            functions: self.references.keys().cloned().collect(),
            environments: true,
            ..HeldChanges::default()
        };
        self.revise(&mut desired, catalog, draining, &all);
        desired
    }

    /// Brings what [`ReportedState::desired`] gave before a report up to date.
    pub fn revise(&self, desired: &mut Desired, catalog: &Catalog, draining: bool, changes: &HeldChanges) {
        (desired.term, desired.revision, desired.draining) = (self.term, self.revision, draining);
        if changes.environments {
            desired.keep_only(|environment| self.environments.contains_key(environment));
            for (environment, interpreters) in &self.environments {
                desired.set_environment(environment, Some(*interpreters));
            }
        }
        self.revise_functions(desired, catalog, changes.functions.iter().map(|name| &**name));
    }

    /// The same for functions (`add@3`) that have come into the catalog or gone.
    pub fn revise_functions<'n>(
        &self,
        desired: &mut Desired,
        catalog: &Catalog,
        functions: impl Iterator<Item = &'n str>,
    ) {
        for name in functions {
            let registered = FunctionRef::parse(name).ok();
            let registered = registered.and_then(|which| catalog.get(&which.name, which.version?));
            match registered.and_then(|function| Some((function, self.reference(function)?.since))) {
                Some((function, since)) => {
                    desired.hold_function(DesiredFunction { function: Arc::clone(function), since });
                }
                None => desired.remove_function(name),
            }
        }
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
