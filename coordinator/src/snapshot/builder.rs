//! Keeps a [`Snapshot`] up to date: a change replaces only the entries that it touches. The result can be published at
//! any moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use udfleet_proto::v1::{FunctionMetrics, FunctionStatus};

use super::{EnvironmentEntry, ExecutorEntry, FunctionEntry, FunctionNumbers, Snapshot, SnapshotCell};
use crate::registry::{Catalog, CatalogChange, Function};

/// A function whose entry has changed, and the executor because of which it has; `None`: any.
pub(crate) type Touched = (Arc<str>, Option<Arc<str>>);

/// See the module.
#[derive(Default)]
pub(crate) struct SnapshotBuilder {
    now: Snapshot,
    /// Functions (`add@3`) whose numbers an executor's process reports.
    counting: HashMap<Arc<str>, Counting>,
    /// Functions that no executor should serve.
    unplaced: BTreeSet<Arc<str>>,
    /// Of these, those of which it has not been said why.
    unexplained: BTreeSet<Arc<str>>,
    touched: Vec<Touched>,
    changed: bool,
}

#[derive(Default)]
struct Counting {
    incarnation: String,
    functions: BTreeSet<Arc<str>>,
}

impl SnapshotBuilder {
    /// As it stands, published or not.
    pub fn now(&self) -> &Snapshot {
        &self.now
    }

    /// Functions that have changed since this was last asked.
    pub fn take_touched(&mut self) -> Vec<Touched> {
        std::mem::take(&mut self.touched)
    }

    /// Publishes what has changed, if anything has.
    pub fn publish(&mut self, cell: &SnapshotCell) {
        if std::mem::take(&mut self.changed) {
            self.now.revision += 1;
            cell.publish(self.now.clone());
        }
    }

    fn replaced(&mut self) {
        self.now.replaced += 1;
        self.changed = true;
    }

    /// Other functions are registered.
    pub fn set_catalog(&mut self, catalog: &Arc<Catalog>, change: &CatalogChange<'_>) {
        self.now.catalog = Arc::clone(catalog);
        self.changed = true;
        for function in &change.dropped {
            self.drop_function(function);
        }
        for function in &change.added {
            let entry = FunctionEntry::new(Arc::clone(function));
            self.not_placed(&entry.name);
            self.change_environment(&function.environment, Some(function), |environment| {
                environment.functions.insert_mut(Arc::clone(&entry.name));
            });
            self.set_function(entry, None);
        }
    }

    fn not_placed(&mut self, function: &Arc<str>) {
        self.unplaced.insert(Arc::clone(function));
        self.unexplained.insert(Arc::clone(function));
    }

    fn drop_function(&mut self, function: &Function) {
        let name: Arc<str> = Arc::from(function.name.as_str());
        self.now.functions.remove(&name);
        // They are never used again: a version number means one thing for ever.
        self.now.numbers.remove(&name);
        self.unplaced.remove(&name);
        self.unexplained.remove(&name);
        self.change_environment(&function.environment, None, |environment| {
            environment.functions.remove_mut(&name);
        });
        let unused = |environment: &Arc<EnvironmentEntry>| environment.functions.is_empty();
        if self.now.environments.get(function.environment.as_str()).is_some_and(unused) {
            self.now.environments.remove_mut(function.environment.as_str());
        }
        self.touched.push((name, None));
        self.replaced();
    }

    fn set_function(&mut self, entry: FunctionEntry, executor: Option<Arc<str>>) {
        let name = Arc::clone(&entry.name);
        self.now.functions.insert(Arc::clone(&name), Arc::new(entry));
        self.touched.push((name, executor));
        self.replaced();
    }

    /// What an executor that should serve a function reports of it; `None`: it should not.
    pub fn set_status(&mut self, function: &str, executor: &Arc<str>, status: Option<Arc<FunctionStatus>>) {
        let Some(entry) = self.now.functions.get(function) else { return };
        if entry.on.get(executor) == status.as_ref() {
            return;
        }
        let next = entry.with(executor, status);
        if next.is_placed() {
            self.unplaced.remove(function);
        } else {
            self.not_placed(&next.name);
        }
        self.set_function(next, Some(Arc::clone(executor)));
    }

    /// Says of functions that no executor should serve why that is: of new ones, and of those of these environments.
    pub fn explain_unplaced<'e>(
        &mut self,
        environments: impl IntoIterator<Item = &'e str>,
        reason: impl Fn(&Function) -> String,
    ) {
        let mut names = std::mem::take(&mut self.unexplained);
        if !self.unplaced.is_empty() {
            let environments = environments.into_iter().filter_map(|hash| self.now.environments.get(hash));
            names.extend(environments.flat_map(|environment| environment.functions.iter()).cloned());
        }
        for name in names.intersection(&self.unplaced).cloned().collect::<Vec<_>>() {
            let Some(entry) = self.now.functions.get(&name) else { continue };
            let reason = reason(&entry.function);
            if reason != entry.reason() {
                let entry = entry.unplaced(reason);
                self.set_function(entry, None);
            }
        }
    }

    /// An executor as it is now; `None`: it is forgotten.
    pub fn set_executor(&mut self, id: &Arc<str>, entry: Option<ExecutorEntry>) {
        match entry {
            Some(entry) => self.now.executors.insert_mut(Arc::clone(id), Arc::new(entry)),
            None => drop(self.now.executors.remove_mut(id)),
        }
        self.replaced();
    }

    /// `function`: makes the entry where there is none.
    fn change_environment(
        &mut self,
        hash: &str,
        function: Option<&Arc<Function>>,
        change: impl FnOnce(&mut EnvironmentEntry),
    ) {
        let held = self.now.environments.get(hash).map(|entry| EnvironmentEntry::clone(entry));
        let made = || function.map(|function| EnvironmentEntry::new(function));
        if let Some(mut entry) = held.or_else(made) {
            change(&mut entry);
            self.now.environments.insert_mut(Arc::from(hash), Arc::new(entry));
            self.replaced();
        }
    }

    /// Where an environment should be, or why nowhere.
    pub fn set_assigned(&mut self, hash: &str, assigned: Option<&BTreeMap<String, u32>>, unplaced: Option<&String>) {
        let (assigned, unplaced) = (assigned.cloned().unwrap_or_default(), unplaced.cloned().unwrap_or_default());
        self.change_environment(hash, None, |environment| {
            (environment.assigned, environment.unplaced) = (assigned, unplaced);
        });
    }

    /// Groups of interpreters that run an environment.
    pub fn groups(&self, environment: &str) -> Vec<Arc<str>> {
        let from = self
            .now
            .environments
            .range::<str, _>((Bound::Included(environment), Bound::Unbounded))
            .map(|(group, _)| group);
        from.take_while(|group| group.starts_with(environment)).cloned().collect()
    }

    /// Whether an executor has an environment on disk.
    pub fn set_built(&mut self, hash: &str, executor: &Arc<str>, built: bool) {
        let known = self.now.environments.get(hash);
        if known.is_some_and(|environment| environment.built_on.contains(executor) != built) {
            self.change_environment(hash, None, |environment| {
                if built {
                    environment.built_on.insert_mut(Arc::clone(executor));
                } else {
                    environment.built_on.remove_mut(executor);
                }
            });
        }
    }

    fn change_numbers(&mut self, function: &str, change: impl FnOnce(&FunctionNumbers) -> Option<FunctionNumbers>) {
        let Some(entry) = self.now.functions.get(function) else { return };
        let name = Arc::clone(&entry.name);
        let next = match self.now.numbers.get(function) {
            Some(held) => change(held),
            None => change(&FunctionNumbers::default()),
        };
        if let Some(next) = next {
            self.now.numbers.insert(name, Arc::new(next));
            self.replaced();
        }
    }

    /// What an executor's process has counted: of each function that it names, this replaces what it has said before.
    /// Those that are `forgotten` count from zero should they come back.
    pub fn count(
        &mut self,
        executor: &Arc<str>,
        incarnation: &str,
        metrics: Vec<FunctionMetrics>,
        forgotten: &[String],
    ) {
        let mut counting = self.counting.remove(executor).unwrap_or_default();
        if counting.incarnation != incarnation {
            incarnation.clone_into(&mut counting.incarnation);
            for function in std::mem::take(&mut counting.functions) {
                self.change_numbers(&function, |numbers| numbers.ended(executor));
            }
        }
        for function in forgotten {
            counting.functions.remove(function.as_str());
            self.change_numbers(function, |numbers| numbers.ended(executor));
        }
        for metrics in metrics {
            let Some(entry) = self.now.functions.get(metrics.function.as_str()) else { continue };
            let name = Arc::clone(&entry.name);
            self.change_numbers(&name, |numbers| numbers.reported(executor, metrics));
            counting.functions.insert(name);
        }
        self.counting.insert(Arc::clone(executor), counting);
    }

    /// Nothing is in flight at an executor that has gone.
    pub fn stop_counting(&mut self, executor: &Arc<str>) {
        let functions = self.counting.get(executor).map(|counting| counting.functions.clone()).unwrap_or_default();
        for function in functions {
            self.change_numbers(&function, |numbers| numbers.idle(executor));
        }
    }

    /// Forgets an executor but for the sums of what it has counted.
    pub fn forget(&mut self, executor: &Arc<str>) {
        self.counting.remove(executor);
        let counted: Vec<Arc<str>> = self.now.numbers.keys().cloned().collect();
        for function in counted {
            self.change_numbers(&function, |numbers| numbers.forgotten(executor));
        }
        self.set_executor(executor, None);
    }
}
