//! From the catalog and the members to what each executor should serve.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use udfleet_proto::config;
use udfleet_proto::v1::FunctionDefinition;

use super::desired::{Desired, DesiredFunction};
use super::member::Member;
use crate::registry::{Catalog, Function};
use crate::scheduler::{Assignment, Offer, PlacementRequest, PythonRequirement};

/// The Python that a definition's environment asks for. Definitions are checked before they are stored.
pub(super) fn python(definition: &FunctionDefinition) -> PythonRequirement {
    let text = definition.environment.as_ref().map_or("", |e| e.python.as_str());
    PythonRequirement::parse(text).unwrap_or_else(|_| PythonRequirement::Command(text.to_owned()))
}

/// The placement request of one function, as if it were alone in its environment.
pub(super) fn placement_request(function: &Function) -> PlacementRequest {
    let definition = &function.definition;
    let number = |key: config::Key| u32::try_from(key.integer(&definition.config)).unwrap_or(u32::MAX);
    PlacementRequest {
        environment: function.environment.clone(),
        python: python(definition),
        payloads: Some(definition.payload_python.clone()).filter(|p| !p.is_empty()).into_iter().collect(),
        interpreters: number(config::INTERPRETERS),
        executors: number(config::EXECUTORS),
    }
}

/// The placement requests of all functions, one per environment: the largest of what its functions ask for.
pub(super) fn placement_requests(catalog: &Catalog) -> Vec<PlacementRequest> {
    let mut wanted: BTreeMap<String, PlacementRequest> = BTreeMap::new();
    let mut any_payload = BTreeSet::new();
    for function in catalog.iter() {
        let request = placement_request(function);
        if request.payloads.is_empty() {
            any_payload.insert(request.environment.clone());
        }
        match wanted.get_mut(&request.environment) {
            None => drop(wanted.insert(request.environment.clone(), request)),
            Some(all) => {
                all.payloads.extend(request.payloads);
                all.interpreters = all.interpreters.max(request.interpreters);
                // 0 means all executors: more than any number.
                all.executors =
                    if all.executors == 0 || request.executors == 0 { 0 } else { all.executors.max(request.executors) };
            }
        }
    }
    for environment in any_payload {
        if let Some(all) = wanted.get_mut(&environment) {
            all.payloads.clear();
        }
    }
    wanted.into_values().collect()
}

/// True where the environment, built on this executor, can load the function's pickle.
pub(super) fn loads(function: &Function, offer: &Offer) -> bool {
    python(&function.definition).loads(&function.definition.payload_python, &offer.pythons)
}

/// What a member should hold. One that drains keeps what it has until it is done; `None` where only the member itself
/// knows what that is.
pub(super) fn desired(member: &Member, catalog: &Catalog, assigned: &Assignment) -> Option<Desired> {
    if member.draining {
        let kept = if member.holds_nothing() {
            Desired::default()
        } else if member.desired.revision > 0 {
            Desired::clone(&member.desired)
        } else {
            return None;
        };
        return Some(Desired { draining: true, ..kept });
    }
    let offer = member.offer();
    let mut desired = Desired::default();
    for function in catalog.iter() {
        let Some(interpreters) = assigned.get(&function.environment).and_then(|on| on.get(member.id())) else {
            continue;
        };
        if loads(function, &offer) {
            if !desired.environments.contains_key(&function.environment) {
                desired.environments.insert(function.environment.clone(), *interpreters);
            }
            desired.functions.push(DesiredFunction { function: Arc::clone(function), since: 0 });
        }
    }
    Some(desired)
}
