//! From the coordinator's desired state to what this node starts, changes and stops. Pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use udfleet_proto::v1::{Environment, FunctionDefinition};

use super::desired::Desired;

/// What bounds this node.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Interpreters of an environment that does not say otherwise.
    pub interpreters_per_environment: u32,
    /// The most interpreters of all environments together.
    pub max_interpreters: u32,
}

/// What one environment shall hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WantedEnvironment {
    /// What to build.
    pub environment: Environment,
    /// How many interpreters to run.
    pub interpreters: u32,
    /// By `name@version`.
    pub functions: BTreeMap<String, Arc<FunctionDefinition>>,
}

impl WantedEnvironment {
    /// A definition is one value for as long as it is held: equal ones are the same one.
    fn same(&self, other: &Self) -> bool {
        let same = |((name, mine), (others, theirs)): ((&String, _), (&String, _))| {
            name == others && Arc::ptr_eq(mine, theirs)
        };
        self.interpreters == other.interpreters
            && self.functions.len() == other.functions.len()
            && self.functions.iter().zip(&other.functions).all(same)
    }
}

/// Definitions that this node has, by their hashes.
pub type Definitions = HashMap<Bytes, Arc<FunctionDefinition>>;

/// What the node shall hold, by environment hash.
pub type WantedEnvironments = BTreeMap<String, WantedEnvironment>;

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

/// Groups the functions whose definitions are here by environment. Environments without functions need no interpreters
/// and are left out. Every environment gets at least one interpreter; what goes beyond the node's bound is cut, the
/// largest first.
#[must_use]
pub fn wanted(desired: &Desired, definitions: &Definitions, limits: Limits) -> WantedEnvironments {
    let mut wanted = WantedEnvironments::new();
    for (name, reference) in &desired.functions {
        let Some(definition) = definitions.get(&reference.definition) else { continue };
        let entry = wanted.entry(reference.environment.clone()).or_insert_with(|| WantedEnvironment {
            environment: definition.environment.clone().unwrap_or_default(),
            interpreters: match desired.environments.get(&reference.environment) {
                Some(interpreters) if *interpreters > 0 => *interpreters,
                _ => limits.interpreters_per_environment.max(1),
            },
            functions: BTreeMap::new(),
        });
        entry.functions.insert(name.clone(), Arc::clone(definition));
    }
    cut(&mut wanted, limits.max_interpreters);
    wanted
}

fn cut(wanted: &mut WantedEnvironments, most: u32) {
    let mut total: u32 = wanted.values().map(|environment| environment.interpreters).sum();
    while total > most {
        let largest = wanted.values_mut().max_by_key(|environment| environment.interpreters);
        match largest {
            Some(environment) if environment.interpreters > 1 => environment.interpreters -= 1,
            _ => return,
        }
        total -= 1;
    }
}

/// Compares what is held with what is wanted.
#[must_use]
pub fn plan(held: &WantedEnvironments, wanted: &WantedEnvironments) -> EnvironmentChanges {
    let mut plan = EnvironmentChanges {
        stop: held.keys().filter(|hash| !wanted.contains_key(*hash)).cloned().collect(),
        ..EnvironmentChanges::default()
    };
    for (hash, environment) in wanted {
        match held.get(hash) {
            None => plan.start.push(hash.clone()),
            Some(current) if !current.same(environment) => plan.change.push(hash.clone()),
            Some(_) => {}
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::FunctionReference;

    use super::*;

    const LIMITS: Limits = Limits { interpreters_per_environment: 2, max_interpreters: 64 };

    type Function = (&'static str, &'static str, &'static str);

    /// Functions as name, definition, environment.
    fn desired(functions: &[Function], environments: &[(&str, u32)]) -> Desired {
        let function = |(name, definition, environment): &Function| {
            let reference = FunctionReference {
                function: (*name).to_owned(),
                definition: Bytes::from_static(definition.as_bytes()),
                environment: (*environment).to_owned(),
                ..Default::default()
            };
            ((*name).to_owned(), Arc::new(reference))
        };
        Desired {
            functions: functions.iter().map(function).collect(),
            environments: environments.iter().map(|(hash, count)| ((*hash).to_owned(), *count)).collect(),
            ..Desired::default()
        }
    }

    fn definitions(hashes: &[&'static str]) -> Definitions {
        let definition = |hash: &&'static str| {
            let environment = Environment { python: format!("py-{hash}"), ..Default::default() };
            let definition = FunctionDefinition { environment: Some(environment), ..Default::default() };
            (Bytes::from_static(hash.as_bytes()), Arc::new(definition))
        };
        hashes.iter().map(definition).collect()
    }

    #[test]
    fn functions_are_grouped_by_environment() {
        let desired = desired(
            &[("f@1", "1", "a"), ("f@2", "2", "a"), ("g@1", "3", "b"), ("h@1", "missing", "c")],
            &[("a", 5), ("b", 0), ("idle", 3)],
        );
        let wanted = wanted(&desired, &definitions(&["1", "2", "3"]), LIMITS);
        assert_eq!(wanted.keys().collect::<Vec<_>>(), ["a", "b"], "what is not here yet waits");
        assert_eq!(wanted["a"].functions.keys().collect::<Vec<_>>(), ["f@1", "f@2"]);
        assert_eq!((wanted["a"].interpreters, wanted["b"].interpreters), (5, 2));
        assert_eq!(wanted["b"].environment.python, "py-3");
    }

    #[test]
    fn the_nodes_bound_is_kept_but_everybody_gets_one() {
        let state =
            desired(&[("f@1", "1", "a"), ("g@1", "1", "b"), ("h@1", "1", "c")], &[("a", 10), ("b", 2), ("c", 1)]);
        let held = definitions(&["1"]);
        let count = |most| -> Vec<u32> {
            let limits = Limits { max_interpreters: most, ..LIMITS };
            wanted(&state, &held, limits).values().map(|e| e.interpreters).collect()
        };
        assert_eq!(count(64), [10, 2, 1]);
        assert_eq!(count(6), [3, 2, 1]);
        assert_eq!(count(1), [1, 1, 1]);
    }

    #[test]
    fn the_plan_starts_changes_and_stops() {
        let held = definitions(&["1", "2"]);
        let wanted = |functions: &[Function]| wanted(&desired(functions, &[]), &held, LIMITS);
        let before = wanted(&[("f@1", "1", "a"), ("g@1", "1", "b"), ("h@1", "1", "c")]);
        let after = wanted(&[("f@1", "1", "a"), ("f@2", "1", "a"), ("g@1", "1", "b"), ("n@1", "1", "new")]);
        let plan = plan(&before, &after);
        assert_eq!((plan.stop, plan.start, plan.change), (vec!["c".into()], vec!["new".into()], vec!["a".into()]));
        assert_eq!(super::plan(&after, &after), EnvironmentChanges::default());
        let renewed = wanted(&[("f@1", "1", "a"), ("f@2", "2", "a"), ("g@1", "1", "b"), ("n@1", "1", "new")]);
        assert_eq!(super::plan(&after, &renewed).change, ["a"], "the same name, another definition");
    }
}
