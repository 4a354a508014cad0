//! Whatever comes in whichever order, a node holds what follows from the newest desired state and the definitions that have come
//! for it, as if it had looked at all of it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use udfleet_proto::v1::{Environment, FunctionDefinition, FunctionReference};

use super::super::reconcile::Limits;
use super::*;

/// Environments with their interpreters, and their functions with the definitions.
type Held = BTreeMap<String, (u32, BTreeMap<String, String>)>;

#[derive(Debug, Clone)]
enum Step {
    /// A function with a definition in an environment, or no more.
    Function(u8, Option<(u8, u8)>),
    /// How many interpreters an environment asks for.
    Environment(u8, u32),
    /// A definition comes.
    Definition(u8),
    /// Desired state as it is now comes; from another coordinator, which knows nothing of earlier states.
    Told { anew: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let function =
        (0u8..8, prop::option::of((0u8..6, 0u8..3))).prop_map(|(function, what)| Step::Function(function, what));
    let environment = (0u8..3, 0u32..9).prop_map(|(environment, n)| Step::Environment(environment, n));
    let told = any::<bool>().prop_map(|anew| Step::Told { anew });
    prop::collection::vec(prop_oneof![function, environment, (0u8..6).prop_map(Step::Definition), told], 1..60)
}

fn hash(definition: u8) -> Bytes {
    Bytes::from(format!("d{definition}"))
}

fn definition(number: u8) -> FunctionDefinition {
    let environment = Environment { python: "3.11".to_owned(), ..Default::default() };
    FunctionDefinition { name: format!("d{number}"), environment: Some(environment), ..Default::default() }
}

/// From scratch.
fn follows(desired: &Desired, come: &BTreeSet<Bytes>, limits: Limits) -> Held {
    let mut held = Held::new();
    for (name, reference) in desired.functions.iter().filter(|(_, reference)| come.contains(&reference.definition)) {
        let asked = desired.environments.get(&reference.environment).copied().filter(|asked| *asked > 0);
        let asked = asked.unwrap_or(limits.interpreters_per_environment);
        let entry = held.entry(reference.environment.clone()).or_insert_with(|| (asked, BTreeMap::new()));
        entry.1.insert(name.clone(), String::from_utf8(reference.definition.to_vec()).unwrap());
    }
    while held.values().map(|(interpreters, _)| interpreters).sum::<u32>() > limits.max_interpreters {
        match held.values_mut().max_by_key(|(interpreters, _)| *interpreters) {
            Some((interpreters, _)) if *interpreters > 1 => *interpreters -= 1,
            _ => break,
        }
    }
    held
}

fn held(holdings: &NodeHoldings) -> Held {
    let functions = |environment: &super::super::reconcile::WantedEnvironment| {
        environment.functions.iter().map(|(name, definition)| (name.clone(), definition.name.clone())).collect()
    };
    let one = |(hash, e): (&String, &_)| {
        let e: &super::super::reconcile::WantedEnvironment = e;
        (hash.clone(), (e.interpreters, functions(e)))
    };
    holdings.wanted().iter().map(one).collect()
}

/// Starts, changes and stops what it is told, as the node does.
fn follow(mut before: Held, changes: &EnvironmentChanges, now: &Held) -> Held {
    for hash in &changes.stop {
        assert!(before.remove(hash).is_some(), "{hash} does not run");
    }
    for hash in &changes.change {
        assert!(before.insert(hash.clone(), now[hash].clone()).is_some(), "{hash} does not run");
    }
    for hash in &changes.start {
        assert!(before.insert(hash.clone(), now[hash].clone()).is_none(), "{hash} runs");
    }
    before
}

proptest! {
    #[test]
    fn what_is_held_follows_from_desired_state_and_the_definitions_that_have_come(steps in steps(), most in 1u32..12) {
        let limits = Limits { interpreters_per_environment: 2, max_interpreters: most };
        let (mut holdings, mut desired, mut running) = (NodeHoldings::default(), Desired::default(), Held::new());
        let mut come = BTreeSet::new();
        for step in steps {
            match step {
                Step::Function(function, None) => drop(desired.functions.remove(&format!("f{function}"))),
                Step::Function(function, Some((definition, environment))) => {
                    let reference = FunctionReference {
                        definition: hash(definition),
                        environment: format!("e{environment}"),
                        ..Default::default()
                    };
                    desired.functions.insert(format!("f{function}"), Arc::new(reference));
                }
                Step::Environment(environment, n) => desired.environments.insert(format!("e{environment}"), n),
                Step::Definition(number) => {
                    let needed = holdings.missing().contains(&hash(number));
                    prop_assert_eq!(holdings.define(vec![(hash(number), definition(number))]), needed);
                    come.extend(needed.then(|| hash(number)));
                }
                Step::Told { anew } => {
                    desired.revision += 1;
                    let mut told = desired.clone();
                    if anew {
                        told.functions = desired.functions.iter().map(|(k, v)| (k.clone(), Arc::clone(v))).collect();
                        told.environments = desired.environments.iter().map(|(k, v)| (k.clone(), *v)).collect();
                    }
                    prop_assert!(holdings.desire(told));
                    let needed: BTreeSet<Bytes> = desired.functions.iter().map(|(_, r)| r.definition.clone()).collect();
                    come.retain(|definition| needed.contains(definition));
                    let missing: Vec<Bytes> = needed.difference(&come).cloned().collect();
                    prop_assert_eq!(holdings.missing(), missing);
                }
            }
            let changes = holdings.reconcile(limits);
            let now = held(&holdings);
            prop_assert_eq!(&now, &follows(holdings.desired(), &come, limits));
            running = follow(running, &changes, &now);
            prop_assert_eq!(&running, &now, "all that has changed is named");
        }
    }
}

/// What a node of so many functions looks at for one more.
fn looked_at(functions: u32) -> (usize, EnvironmentChanges) {
    let limits = Limits { interpreters_per_environment: 2, max_interpreters: 64 };
    let reference = |number: u32| {
        let definition = Bytes::from(number.to_string());
        let environment = "e".to_owned();
        (format!("f{number}"), Arc::new(FunctionReference { definition, environment, ..Default::default() }))
    };
    let all = (0..functions).map(reference).collect();
    let mut desired = Desired { term: 1, revision: 1, functions: all, ..Desired::default() };
    let mut holdings = NodeHoldings::default();
    holdings.desire(desired.clone());
    holdings.define((0..functions).map(|n| (Bytes::from(n.to_string()), FunctionDefinition::default())).collect());
    holdings.reconcile(limits);
    desired.revision = 2;
    desired.functions.extend([reference(functions)]);
    let before = holdings.wanted().get("e").unwrap().functions.clone();
    holdings.desire(desired);
    holdings.define(vec![(Bytes::from(functions.to_string()), FunctionDefinition::default())]);
    let changes = holdings.reconcile(limits);
    let looked_at = std::cell::Cell::new(0);
    let now = &holdings.wanted().get("e").unwrap().functions;
    let differing = now.since(&before, |_, _| {
        looked_at.set(looked_at.get() + 1);
        true
    });
    (looked_at.get() + differing.len(), changes)
}

#[test]
fn one_function_more_is_all_that_is_looked_at() {
    let (few, many) = (looked_at(10), looked_at(5_000));
    assert_eq!(few, many);
    assert_eq!((many.0, many.1.change.len()), (1, 1));
}
