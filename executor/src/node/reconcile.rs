//! The environments of a node: what each shall hold, and what has to be started, changed and stopped. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use udfleet_edge::tracked::TrackedMap;
use udfleet_proto::v1::{Environment, FunctionDefinition};

use super::shares::InterpreterShares;

/// What bounds this node.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Interpreters of an environment that does not say otherwise.
    pub interpreters_per_environment: u32,
    /// The most interpreters of all environments together.
    pub max_interpreters: u32,
}

/// What one environment shall hold. A copy costs nothing.
#[derive(Debug, Clone, Default)]
pub struct WantedEnvironment {
    /// What to build.
    pub environment: Arc<Environment>,
    /// How many interpreters to run.
    pub interpreters: u32,
    /// By `name@version`. A definition is one value for as long as it is held: equal ones are the same one.
    pub functions: TrackedMap<String, Arc<FunctionDefinition>>,
}

impl WantedEnvironment {
    fn same(&self, before: &Self) -> bool {
        self.interpreters == before.interpreters && self.functions.since(&before.functions, Arc::ptr_eq).is_empty()
    }
}

/// What to do to get there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct EnvironmentChanges {
    /// Environments to stop.
    pub stop: Vec<String>,
    /// Environments to start.
    pub start: Vec<String>,
    /// Environments that go on with other functions or another number of interpreters.
    pub change: Vec<String>,
}

/// What the node shall hold, by environment hash. Environments without functions need no interpreters and are left out. Every
/// environment gets at least one interpreter; what goes beyond the node's bound is cut, the largest first.
#[derive(Debug, Default)]
pub struct WantedEnvironments {
    all: BTreeMap<String, WantedEnvironment>,
    /// What environments that were touched held when changes were last taken.
    touched: BTreeMap<String, Option<WantedEnvironment>>,
    shares: InterpreterShares,
}

impl WantedEnvironments {
    /// What an environment shall hold.
    #[must_use]
    pub fn get(&self, hash: &str) -> Option<&WantedEnvironment> {
        self.all.get(hash)
    }

    /// All of them, by hash.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &WantedEnvironment)> {
        self.all.iter()
    }

    /// An environment may have changed.
    pub(super) fn touch(&mut self, hash: &str) {
        if !self.touched.contains_key(hash) {
            self.touched.insert(hash.to_owned(), self.all.get(hash).cloned());
        }
    }

    /// A function belongs to an environment, with this definition.
    pub(super) fn insert(&mut self, hash: &str, function: &str, definition: &Arc<FunctionDefinition>) {
        self.touch(hash);
        let environment = || WantedEnvironment {
            environment: Arc::new(definition.environment.clone().unwrap_or_default()),
            ..WantedEnvironment::default()
        };
        let entry = self.all.entry(hash.to_owned()).or_insert_with(environment);
        entry.functions.insert(function.to_owned(), Arc::clone(definition));
    }

    /// A function does not belong to an environment any more.
    pub(super) fn remove(&mut self, hash: &str, function: &str) {
        self.touch(hash);
        if let Some(entry) = self.all.get_mut(hash) {
            entry.functions.remove(function);
            if entry.functions.is_empty() {
                self.all.remove(hash);
            }
        }
    }

    /// What is different since this was last asked, where `asked` says how many interpreters an environment asks for.
    pub(super) fn changes(&mut self, limits: Limits, asked: impl Fn(&str) -> Option<u32>) -> EnvironmentChanges {
        for hash in self.touched.keys() {
            let interpreters = match asked(hash) {
                _ if !self.all.contains_key(hash) => 0,
                Some(interpreters) if interpreters > 0 => interpreters,
                _ => limits.interpreters_per_environment.max(1),
            };
            self.shares.ask(hash, interpreters);
        }
        for hash in self.shares.bound(limits.max_interpreters) {
            self.touch(&hash);
        }
        let mut changes = EnvironmentChanges::default();
        for (hash, before) in std::mem::take(&mut self.touched) {
            match (before, self.all.get_mut(&hash)) {
                (None, None) => {}
                (Some(_), None) => changes.stop.push(hash),
                (before, Some(now)) => {
                    now.interpreters = self.shares.of(&hash);
                    match before {
                        None => changes.start.push(hash),
                        Some(before) if !now.same(&before) => changes.change.push(hash),
                        Some(_) => {}
                    }
                }
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { interpreters_per_environment: 2, max_interpreters: 64 };

    fn definition(python: &str) -> Arc<FunctionDefinition> {
        let environment = Environment { python: python.to_owned(), ..Default::default() };
        Arc::new(FunctionDefinition { environment: Some(environment), ..Default::default() })
    }

    fn interpreters(wanted: &WantedEnvironments) -> Vec<u32> {
        wanted.iter().map(|(_, environment)| environment.interpreters).collect()
    }

    #[test]
    fn changes_name_what_is_started_changed_and_stopped() {
        let (one, mut wanted) = (definition("py-1"), WantedEnvironments::default());
        for (environment, function) in [("a", "f@1"), ("b", "g@1"), ("c", "h@1")] {
            wanted.insert(environment, function, &one);
        }
        let first = wanted.changes(LIMITS, |hash| (hash == "a").then_some(5));
        assert_eq!(
            (first.stop.len(), first.start, first.change.len()),
            (0, vec!["a".into(), "b".into(), "c".into()], 0)
        );
        assert_eq!((interpreters(&wanted), &*wanted.get("a").unwrap().environment.python), (vec![5, 2, 2], "py-1"));
        wanted.insert("a", "f@2", &one);
        wanted.remove("c", "h@1");
        wanted.insert("new", "n@1", &one);
        let EnvironmentChanges { stop, start, change } = wanted.changes(LIMITS, |hash| (hash == "a").then_some(5));
        assert_eq!((stop, start, change), (vec!["c".to_owned()], vec!["new".to_owned()], vec!["a".to_owned()]));
        wanted.insert("a", "f@2", &one);
        assert_eq!(wanted.changes(LIMITS, |_| Some(5)), EnvironmentChanges::default(), "it was there");
        wanted.insert("a", "f@2", &definition("py-1"));
        assert_eq!(wanted.changes(LIMITS, |_| Some(5)).change, ["a"], "the same name, another definition");
    }

    #[test]
    fn the_nodes_bound_is_kept_but_everybody_gets_one() {
        let asked = |hash: &str| {
            Some(match hash {
                "a" => 10,
                "b" => 2,
                _ => 1,
            })
        };
        let (one, mut wanted) = (definition("py"), WantedEnvironments::default());
        for environment in ["a", "b", "c"] {
            wanted.insert(environment, "f@1", &one);
        }
        let limits = |most| Limits { max_interpreters: most, ..LIMITS };
        assert_eq!(wanted.changes(limits(64), asked).start.len(), 3);
        assert_eq!(interpreters(&wanted), [10, 2, 1]);
        assert_eq!(wanted.changes(limits(6), asked).change, ["a"]);
        assert_eq!(interpreters(&wanted), [3, 2, 1]);
        assert_eq!(wanted.changes(limits(1), asked).change, ["a", "b"]);
        assert_eq!(interpreters(&wanted), [1, 1, 1]);
    }
}
