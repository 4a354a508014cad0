//! An executor that takes work, and the room that it has.

use std::collections::{BTreeMap, BTreeSet};

use super::Offer;
use super::row::Row;

#[derive(Debug)]
pub(super) struct Host {
    pub offer: Offer,
    /// Environments that are here.
    pub environments: BTreeSet<String>,
    /// Interpreters that these need at least.
    used: u32,
}

impl Host {
    pub fn new(offer: Offer) -> Self {
        Self { offer, environments: BTreeSet::new(), used: 0 }
    }

    /// Interpreters that nobody needs.
    pub fn free(&self) -> u32 {
        self.offer.capacity.saturating_sub(self.used)
    }

    /// True where what is here needs more than there is.
    pub fn is_overfull(&self) -> bool {
        self.used > self.offer.capacity
    }

    pub fn fits(&self, row: &Row) -> bool {
        self.free() >= row.need
    }

    /// True where it would fit once these have gone.
    pub fn would_fit<'r>(&self, row: &Row, without: impl Iterator<Item = &'r Row>) -> bool {
        let freed: u32 = without.map(|other| other.need).sum();
        self.offer.capacity + freed >= self.used + row.need
    }

    pub fn take(&mut self, row: &Row) {
        self.environments.insert(row.wanted.environment.clone());
        self.used += row.need;
    }

    pub fn release(&mut self, row: &Row) {
        if self.environments.remove(&row.wanted.environment) {
            self.used -= row.need;
        }
    }

    /// Interpreters of each environment here: what it needs, and where it names no number more where there is room, in
    /// turns.
    pub fn shares<'r>(&'r self, rows: &'r BTreeMap<String, Row>) -> BTreeMap<&'r str, u32> {
        let here = || self.environments.iter().filter_map(|environment| rows.get(environment));
        let mut shares: BTreeMap<&str, u32> = here().map(|row| (row.wanted.environment.as_str(), row.need)).collect();
        let mut free = self.free();
        let mut growing: Vec<&Row> = here().filter(|row| row.wanted.interpreters == 0).collect();
        while free > 0 && !growing.is_empty() {
            growing.retain(|row| {
                let share = shares.entry(row.wanted.environment.as_str()).or_default();
                let grows = *share < self.offer.default_interpreters && free > 0;
                if grows {
                    *share += 1;
                    free -= 1;
                }
                grows
            });
        }
        shares
    }
}
