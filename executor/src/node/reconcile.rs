//! From the coordinator's desired state to what this node starts, changes and stops. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use udfleet_proto::name::versioned;
use udfleet_proto::v1::{DesiredState, Environment, FunctionDefinition};

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

/// What the node shall hold, by environment hash.
pub type Wanted = BTreeMap<String, WantedEnvironment>;

/// What to do to get there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Environments to stop.
    pub stop: Vec<String>,
    /// Environments to start.
    pub start: Vec<String>,
    /// Environments that go on with other functions or another number of interpreters.
    pub change: Vec<String>,
}

/// Groups the assigned functions by environment. Environments without functions need no interpreters and are left out.
/// Every environment gets at least one interpreter; what goes beyond the node's bound is cut, the largest first.
#[must_use]
pub fn wanted(desired: &DesiredState, limits: Limits) -> Wanted {
    let mut wanted = Wanted::new();
    for assignment in &desired.functions {
        let Some(definition) = &assignment.definition else { continue };
        let entry = wanted.entry(assignment.environment.clone()).or_insert_with(|| WantedEnvironment {
            environment: definition.environment.clone().unwrap_or_default(),
            interpreters: limits.interpreters_per_environment.max(1),
            functions: BTreeMap::new(),
        });
        entry.functions.insert(versioned(&definition.name, definition.version), Arc::new(definition.clone()));
    }
    for assignment in &desired.environments {
        if let Some(entry) = wanted.get_mut(&assignment.hash) {
            if let Some(environment) = &assignment.environment {
                entry.environment = environment.clone();
            }
            if assignment.interpreters > 0 {
                entry.interpreters = assignment.interpreters;
            }
        }
    }
    cut(&mut wanted, limits.max_interpreters);
    wanted
}

fn cut(wanted: &mut Wanted, most: u32) {
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
pub fn plan(held: &Wanted, wanted: &Wanted) -> Plan {
    let mut plan =
        Plan { stop: held.keys().filter(|hash| !wanted.contains_key(*hash)).cloned().collect(), ..Plan::default() };
    for (hash, environment) in wanted {
        match held.get(hash) {
            None => plan.start.push(hash.clone()),
            Some(current) if current != environment => plan.change.push(hash.clone()),
            Some(_) => {}
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::{EnvironmentAssignment, FunctionAssignment};

    use super::*;

    const LIMITS: Limits = Limits { interpreters_per_environment: 2, max_interpreters: 64 };

    fn desired(functions: &[(&str, u32, &str)], environments: &[(&str, u32)]) -> DesiredState {
        let function = |(name, version, environment): &(&str, u32, &str)| FunctionAssignment {
            definition: Some(FunctionDefinition { name: (*name).into(), version: *version, ..Default::default() }),
            environment: (*environment).into(),
        };
        let environment = |(hash, interpreters): &(&str, u32)| EnvironmentAssignment {
            hash: (*hash).into(),
            environment: Some(Environment { python: format!("py-{hash}"), ..Default::default() }),
            interpreters: *interpreters,
        };
        DesiredState {
            functions: functions.iter().map(function).collect(),
            environments: environments.iter().map(environment).collect(),
            ..DesiredState::default()
        }
    }

    #[test]
    fn functions_are_grouped_by_environment() {
        let wanted = wanted(
            &desired(&[("f", 1, "a"), ("f", 2, "a"), ("g", 1, "b")], &[("a", 5), ("b", 0), ("idle", 3)]),
            LIMITS,
        );
        assert_eq!(wanted.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(wanted["a"].functions.keys().collect::<Vec<_>>(), ["f@1", "f@2"]);
        assert_eq!((wanted["a"].interpreters, wanted["b"].interpreters), (5, 2));
        assert_eq!(wanted["a"].environment.python, "py-a");
    }

    #[test]
    fn the_nodes_bound_is_kept_but_everybody_gets_one() {
        let state = desired(&[("f", 1, "a"), ("g", 1, "b"), ("h", 1, "c")], &[("a", 10), ("b", 2), ("c", 1)]);
        let count = |most| -> Vec<u32> {
            wanted(&state, Limits { max_interpreters: most, ..LIMITS }).values().map(|e| e.interpreters).collect()
        };
        assert_eq!(count(64), [10, 2, 1]);
        assert_eq!(count(6), [3, 2, 1]);
        assert_eq!(count(1), [1, 1, 1]);
    }

    #[test]
    fn the_plan_starts_changes_and_stops() {
        let before = wanted(&desired(&[("f", 1, "a"), ("g", 1, "b"), ("h", 1, "c")], &[]), LIMITS);
        let after = wanted(&desired(&[("f", 1, "a"), ("f", 2, "a"), ("g", 1, "b"), ("n", 1, "new")], &[]), LIMITS);
        let plan = plan(&before, &after);
        assert_eq!((plan.stop, plan.start, plan.change), (vec!["c".into()], vec!["new".into()], vec!["a".into()]));
        assert_eq!(super::plan(&after, &after), Plan::default());
    }
}
