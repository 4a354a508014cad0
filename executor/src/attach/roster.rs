//! To which addresses to attach: those that the settings name, and those that coordinators tell of each other; to each
//! coordinator once, by whatever addresses it is known. Pure.

use std::collections::{BTreeMap, BTreeSet};

use udfleet_proto::v1::CoordinatorAddress;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct CoordinatorRoster {
    /// In the order of the settings.
    named: Vec<String>,
    /// Which coordinator answers at an address.
    ids: BTreeMap<String, String>,
    /// What those that are attached say of all, by their addresses.
    told: BTreeMap<String, Vec<CoordinatorAddress>>,
}

impl CoordinatorRoster {
    pub(super) fn new(named: Vec<String>) -> Self {
        Self { named, ..Self::default() }
    }

    /// A coordinator has let this executor in.
    pub(super) fn welcomed(&mut self, address: &str, id: &str, all: Vec<CoordinatorAddress>) {
        self.ids.insert(address.to_owned(), id.to_owned());
        self.tells(address, all);
    }

    /// It says which coordinators there are.
    pub(super) fn tells(&mut self, address: &str, all: Vec<CoordinatorAddress>) {
        self.told.insert(address.to_owned(), all);
    }

    /// An attachment has ended: who answers there next may be another. What was told stays until somebody else tells.
    pub(super) fn ended(&mut self, address: &str) {
        if let Some(id) = self.ids.remove(address) {
            // Its other addresses are as good.
            self.ids.retain(|_, held| *held != id);
        }
        if self.told.len() > 1 {
            self.told.remove(address);
        }
    }

    /// It is not attached to any more, as nobody tells of it or it is known by another address.
    pub(super) fn left(&mut self, address: &str) {
        self.told.remove(address);
    }

    /// Where to be attached.
    pub(super) fn wanted(&self) -> BTreeSet<String> {
        let (mut wanted, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for address in &self.named {
            if self.ids.get(address).is_none_or(|id| ids.insert(id.as_str())) {
                wanted.insert(address.clone());
            }
        }
        for CoordinatorAddress { id, address } in self.told.values().flatten() {
            let unknown = !address.is_empty() && !wanted.contains(address);
            if unknown && ids.insert(id.as_str()) {
                wanted.insert(address.clone());
            }
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(list: &[(&str, &str)]) -> Vec<CoordinatorAddress> {
        let one =
            |(id, address): &(&str, &str)| CoordinatorAddress { id: (*id).to_owned(), address: (*address).to_owned() };
        list.iter().map(one).collect()
    }

    fn wanted(roster: &CoordinatorRoster) -> Vec<String> {
        roster.wanted().into_iter().collect()
    }

    #[test]
    fn the_others_are_learned_from_one() {
        let mut roster = CoordinatorRoster::new(vec!["a:1".to_owned()]);
        assert_eq!(wanted(&roster), ["a:1"]);
        roster.welcomed("a:1", "A", all(&[("A", "10.0.0.1:1"), ("B", "b:1")]));
        assert_eq!(wanted(&roster), ["a:1", "b:1"], "the one that is named is known by its name");
        roster.welcomed("b:1", "B", all(&[("A", "10.0.0.1:1"), ("B", "b:1"), ("C", "c:1"), ("D", "")]));
        assert_eq!(wanted(&roster), ["a:1", "b:1", "c:1"]);
        roster.tells("b:1", all(&[("B", "b:1")]));
        assert_eq!(wanted(&roster), ["a:1", "b:1"], "one that has gone is let go, one that is named never");
    }

    #[test]
    fn one_coordinator_under_two_addresses_is_attached_to_once() {
        let mut roster = CoordinatorRoster::new(vec!["a:1".to_owned(), "alias:1".to_owned()]);
        roster.welcomed("a:1", "A", all(&[("A", "a:1")]));
        roster.welcomed("alias:1", "A", all(&[("A", "a:1")]));
        assert_eq!(wanted(&roster), ["a:1"]);
        // It comes back, perhaps only under the other one.
        roster.ended("a:1");
        assert_eq!(wanted(&roster), ["a:1", "alias:1"]);
    }

    #[test]
    fn what_was_told_last_counts_while_nobody_is_attached() {
        let mut roster = CoordinatorRoster::new(vec!["a:1".to_owned()]);
        roster.welcomed("a:1", "A", all(&[("A", "a:1"), ("B", "b:1")]));
        roster.ended("a:1");
        assert_eq!(wanted(&roster), ["a:1", "b:1"]);
    }
}
