//! What a node shall hold and how far that has come: desired state, the definitions that it needs, and the environments
//! that follow from both. Pure.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use udfleet_proto::v1::FunctionDefinition;

use super::desired::Desired;
use super::reconcile::{self, Definitions, EnvironmentChanges, Limits, WantedEnvironments};

/// See the module.
#[derive(Debug, Default)]
pub struct NodeHoldings {
    desired: Arc<Desired>,
    /// Those that `desired` names, as far as they have come.
    definitions: Definitions,
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
        self.desired = Arc::new(desired);
        let needed: HashSet<&Bytes> = self.desired.definitions().collect();
        self.definitions.retain(|hash, _| needed.contains(hash));
        true
    }

    /// Takes in definitions that are needed; true where one of them was missing.
    pub fn define(&mut self, definitions: Vec<(Bytes, FunctionDefinition)>) -> bool {
        let needed: HashSet<&Bytes> = self.desired.definitions().collect();
        let mut news = false;
        for (hash, definition) in definitions.into_iter().filter(|(hash, _)| needed.contains(hash)) {
            if let Entry::Vacant(place) = self.definitions.entry(hash) {
                place.insert(Arc::new(definition));
                news = true;
            }
        }
        news
    }

    /// The definitions that are needed and have not come.
    #[must_use]
    pub fn missing(&self) -> Vec<Bytes> {
        let missing = self.desired.definitions().filter(|hash| !self.definitions.contains_key(*hash));
        missing.collect::<BTreeSet<_>>().into_iter().cloned().collect()
    }

    /// What has to be done so that the node holds what it shall.
    pub fn reconcile(&mut self, limits: Limits) -> EnvironmentChanges {
        let wanted = reconcile::wanted(&self.desired, &self.definitions, limits);
        let changes = reconcile::plan(&self.wanted, &wanted);
        self.wanted = wanted;
        changes
    }
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::FunctionReference;

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
        assert_eq!(holdings.wanted()["e"].functions.len(), 1);
        assert!(holdings.desire(desired(2, 2, &["g"])) && holdings.desire(desired(2, 3, &["f"])));
        assert_eq!(holdings.missing(), ["f"], "it was not needed for a while");
    }
}
