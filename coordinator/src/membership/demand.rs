//! What the registered functions ask of the fleet, environment by environment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use udfleet_proto::config;
use udfleet_proto::v1::FunctionDefinition;

use crate::registry::Function;
use crate::scheduler::{Offer, PlacementRequest, PythonRequirement};

/// The Python that a definition's environment asks for. Definitions are checked before they are stored.
pub(super) fn python(definition: &FunctionDefinition) -> PythonRequirement {
    let text = definition.environment.as_ref().map_or("", |e| e.python.as_str());
    PythonRequirement::parse(text).unwrap_or_else(|_| PythonRequirement::Command(text.to_owned()))
}

/// The placement request of one function, as if it were alone in its environment.
pub(super) fn placement_request(function: &Function) -> PlacementRequest {
    let definition = &function.definition;
    PlacementRequest {
        environment: function.environment.clone(),
        python: python(definition),
        payloads: Some(definition.payload_python.clone()).filter(|p| !p.is_empty()).into_iter().collect(),
        interpreters: number(definition, config::INTERPRETERS),
        executors: number(definition, config::EXECUTORS),
        labels: definition.labels.clone(),
        resources: definition.resources.clone(),
        network: config::network(definition),
        secrets: definition.secrets.iter().cloned().collect(),
    }
}

fn number(definition: &FunctionDefinition, key: config::Key) -> u32 {
    u32::try_from(key.integer(&definition.config)).unwrap_or(u32::MAX)
}

/// True where the environment, built on this executor, can load the function's pickle.
pub(super) fn loads(function: &Function, offer: &Offer) -> bool {
    python(&function.definition).loads(&function.definition.payload_python, &offer.pythons)
}

/// How many functions say each thing.
#[derive(Debug)]
struct Counts<T>(BTreeMap<T, usize>);

impl<T> Default for Counts<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Ord> Counts<T> {
    fn add(&mut self, value: T) {
        *self.0.entry(value).or_default() += 1;
    }

    fn remove(&mut self, value: &T) {
        if let Some(count) = self.0.get_mut(value) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(value);
            }
        }
    }
}

/// Functions that share an environment.
#[derive(Debug, Default)]
struct EnvironmentDemand {
    /// By `add@3`.
    functions: BTreeMap<Arc<str>, Arc<Function>>,
    payloads: Counts<String>,
    interpreters: Counts<u32>,
    executors: Counts<u32>,
}

impl EnvironmentDemand {
    /// The most of what any of its functions asks for.
    fn wanted(&self) -> Option<PlacementRequest> {
        let one = placement_request(self.functions.values().next()?);
        let payloads =
            if self.payloads.0.contains_key("") { BTreeSet::new() } else { self.payloads.0.keys().cloned().collect() };
        let most = |counts: &Counts<u32>| counts.0.keys().next_back().copied().unwrap_or(0);
        // 0 means all executors: more than any number.
        let executors = if self.executors.0.contains_key(&0) { 0 } else { most(&self.executors) };
        Some(PlacementRequest { payloads, interpreters: most(&self.interpreters), executors, ..one })
    }
}

/// See the module. A change costs the same however many functions there are.
#[derive(Debug, Default)]
pub(super) struct Demand(HashMap<String, EnvironmentDemand>);

impl Demand {
    /// A function that can't be read asks for nothing.
    pub fn add(&mut self, function: &Arc<Function>) {
        if function.unreadable.is_some() {
            return;
        }
        let demand = self.0.entry(function.environment.clone()).or_default();
        let name: Arc<str> = Arc::from(function.name.as_str());
        if demand.functions.insert(name, Arc::clone(function)).is_none() {
            let definition = &function.definition;
            demand.payloads.add(definition.payload_python.clone());
            demand.interpreters.add(number(definition, config::INTERPRETERS));
            demand.executors.add(number(definition, config::EXECUTORS));
        }
    }

    pub fn remove(&mut self, function: &Function) {
        let Some(demand) = self.0.get_mut(&function.environment) else { return };
        if let Some(removed) = demand.functions.remove(function.name.as_str()) {
            let definition = &removed.definition;
            demand.payloads.remove(&definition.payload_python);
            demand.interpreters.remove(&number(definition, config::INTERPRETERS));
            demand.executors.remove(&number(definition, config::EXECUTORS));
        }
        if demand.functions.is_empty() {
            self.0.remove(&function.environment);
        }
    }

    /// What an environment wants; `None`: no function is in it.
    pub fn wanted(&self, environment: &str) -> Option<PlacementRequest> {
        self.0.get(environment)?.wanted()
    }

    /// A function (`add@3`) of an environment.
    pub fn function(&self, environment: &str, name: &str) -> Option<(&Arc<str>, &Arc<Function>)> {
        self.0.get(environment)?.functions.get_key_value(name)
    }

    /// All functions of an environment.
    pub fn functions(&self, environment: &str) -> impl Iterator<Item = (&Arc<str>, &Arc<Function>)> {
        self.0.get(environment).into_iter().flat_map(|demand| &demand.functions)
    }
}
