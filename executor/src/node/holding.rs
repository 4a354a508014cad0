//! What a node shall hold and how far that has come: desired state, the definitions that it needs, and the environments
//! that follow from both. Each message costs what it changes, however many functions there are. Pure.

mod needs;

#[cfg(test)]
mod properties;

use std::sync::Arc;

use bytes::Bytes;
use udfleet_edge::tracked::Difference;
use udfleet_proto::v1::{FunctionDefinition, FunctionReference};

use super::desired::Desired;
use super::reconcile::{EnvironmentChanges, Limits, WantedEnvironments};
use needs::NeededDefinitions;

/// See the module.
#[derive(Debug, Default)]
pub struct NodeHoldings {
    desired: Arc<Desired>,
    needed: NeededDefinitions,
    wanted: WantedEnvironments,
}

impl NodeHoldings {
    /// The newest desired state.
    #[must_use]
    pub fn desired(&self) -> &Arc<Desired> {
        &self.desired
    }

    /// What the node holds, as of the last [`NodeHoldings::reconcile`].
    #[must_use]
    pub fn wanted(&self) -> &WantedEnvironments {
        &self.wanted
    }

    /// Takes in desired state; false where it is not newer than what is held.
    pub fn desire(&mut self, desired: Desired) -> bool {
        if !desired.supersedes(&self.desired) {
            return false;
        }
        let before = std::mem::replace(&mut self.desired, Arc::new(desired));
        let now = Arc::clone(&self.desired);
        let changed = now.functions.since(&before.functions, |a, b| a == b);
        // Needed before others are let go: a definition that goes from one function to another stays.
        for Difference { key, now, .. } in &changed {
            if let Some(reference) = now {
                self.needed.need(&reference.definition, key);
            }
        }
        for Difference { key, before, now } in &changed {
            if let Some(before) = before {
                self.let_go(key, before, *now);
            }
            if let Some((reference, definition)) = now.and_then(|now| Some((now, self.needed.get(&now.definition)?))) {
                self.wanted.insert(&reference.environment, key, definition);
            }
        }
        for Difference { key, .. } in now.environments.since(&before.environments, |a, b| a == b) {
            self.wanted.touch(key);
        }
        true
    }

    fn let_go(&mut self, function: &str, before: &FunctionReference, now: Option<&Arc<FunctionReference>>) {
        if now.is_none_or(|now| now.definition != before.definition || now.environment != before.environment) {
            self.wanted.remove(&before.environment, function);
        }
        if now.is_none_or(|now| now.definition != before.definition) {
            self.needed.let_go(&before.definition, function);
        }
    }

    /// Takes in definitions that are needed; true where one of them was missing.
    pub fn define(&mut self, definitions: Vec<(Bytes, FunctionDefinition)>) -> bool {
        let mut news = false;
        for (hash, definition) in definitions {
            let Some((definition, functions)) = self.needed.define(&hash, definition) else { continue };
            news = true;
            for function in functions {
                if let Some(reference) = self.desired.functions.get(function) {
                    self.wanted.insert(&reference.environment, function, &definition);
                }
            }
        }
        news
    }

    /// The definitions that are needed and have not come.
    #[must_use]
    pub fn missing(&self) -> Vec<Bytes> {
        self.needed.missing()
    }

    /// What has to be done so that the node holds what it shall.
    pub fn reconcile(&mut self, limits: Limits) -> EnvironmentChanges {
        let asked = &self.desired.environments;
        self.wanted.changes(limits, |environment| asked.get(environment).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { interpreters_per_environment: 2, max_interpreters: 64 };

    fn desired(term: u64, revision: u64, functions: &[&'static str]) -> Desired {
        let reference = |name: &&'static str| {
            let definition = Bytes::from_static(name.as_bytes());
            let (function, environment) = ((*name).to_owned(), "e".to_owned());
            let reference = FunctionReference { function, definition, environment, ..Default::default() };
            ((*name).to_owned(), Arc::new(reference))
        };
        Desired { term, revision, functions: functions.iter().map(reference).collect(), ..Desired::default() }
    }

    fn definition(name: &'static str) -> (Bytes, FunctionDefinition) {
        (Bytes::from_static(name.as_bytes()), FunctionDefinition { name: name.to_owned(), ..Default::default() })
    }

    #[test]
    fn only_what_is_needed_is_taken_in_and_kept() {
        let mut holdings = NodeHoldings::default();
        assert!(holdings.desire(desired(2, 1, &["f", "g"])));
        assert_eq!(holdings.missing(), ["f", "g"]);
        assert!(holdings.define(vec![definition("f"), definition("other")]));
        assert!(!holdings.define(vec![definition("f")]), "no news");
        assert_eq!((holdings.missing(), holdings.reconcile(LIMITS).start.len()), (vec![Bytes::from("g")], 1));
        assert!(!holdings.desire(desired(1, 9, &[])), "of an earlier leader");
        assert_eq!(holdings.wanted().get("e").map(|e| e.functions.len()), Some(1));
        assert!(holdings.desire(desired(2, 2, &["g"])) && holdings.desire(desired(2, 3, &["f"])));
        assert_eq!(holdings.missing(), ["f"], "it was not needed for a while");
    }
}
