//! An executor that takes work, and the room that it has.

use std::collections::{BTreeMap, BTreeSet};

use super::Offer;
use super::row::Row;

#[derive(Debug)]
pub(super) struct Host {
    pub offer: Offer,
    /// Environments that are here.
    pub environments: BTreeSet<String>,
    /// What these need at least.
    used: Needs,
}

/// Interpreters, and devices of each kind that they have for themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Needs {
    interpreters: u32,
    devices: BTreeMap<String, u32>,
}

impl Needs {
    fn add(&mut self, row: &Row, interpreters: u32) {
        self.interpreters += interpreters;
        for (kind, count) in &row.wanted.resources {
            *self.devices.entry(kind.clone()).or_default() += count * interpreters;
        }
    }

    fn remove(&mut self, row: &Row, interpreters: u32) {
        self.interpreters -= interpreters;
        for (kind, count) in &row.wanted.resources {
            if let Some(used) = self.devices.get_mut(kind) {
                *used -= count * interpreters;
            }
        }
    }

    /// True where an executor has that much.
    fn within(&self, offer: &Offer) -> bool {
        let offered = |kind: &String| offer.resources.get(kind).copied().unwrap_or(0);
        self.interpreters <= offer.capacity && self.devices.iter().all(|(kind, used)| *used <= offered(kind))
    }
}

impl Host {
    pub fn new(offer: Offer) -> Self {
        Self { offer, environments: BTreeSet::new(), used: Needs::default() }
    }

    /// Interpreters that nobody needs.
    pub fn free(&self) -> u32 {
        self.offer.capacity.saturating_sub(self.used.interpreters)
    }

    /// Devices of a kind that nobody needs.
    pub fn free_devices(&self, kind: &str) -> u32 {
        let of = |devices: &BTreeMap<String, u32>| devices.get(kind).copied().unwrap_or(0);
        of(&self.offer.resources).saturating_sub(of(&self.used.devices))
    }

    /// True where what is here needs more than there is.
    pub fn is_overfull(&self) -> bool {
        !self.used.within(&self.offer)
    }

    pub fn fits(&self, row: &Row) -> bool {
        self.would_fit(row, std::iter::empty())
    }

    /// True where it would fit once these have gone.
    pub fn would_fit<'r>(&self, row: &Row, without: impl Iterator<Item = &'r Row>) -> bool {
        let mut used = self.used.clone();
        without.for_each(|other| used.remove(other, other.need));
        used.add(row, row.need);
        used.within(&self.offer)
    }

    pub fn take(&mut self, row: &Row) {
        self.environments.insert(row.wanted.environment.clone());
        self.used.add(row, row.need);
    }

    pub fn release(&mut self, row: &Row) {
        if self.environments.remove(&row.wanted.environment) {
            self.used.remove(row, row.need);
        }
    }

    /// Interpreters of each environment here: what it needs, and where it names no number more where there is room, in
    /// turns.
    pub fn shares<'r>(&'r self, rows: &'r BTreeMap<String, Row>) -> BTreeMap<&'r str, u32> {
        let here = || self.environments.iter().filter_map(|environment| rows.get(environment));
        let mut shares: BTreeMap<&str, u32> = here().map(|row| (row.wanted.environment.as_str(), row.need)).collect();
        let mut used = self.used.clone();
        let mut growing: Vec<&Row> = here().filter(|row| row.wanted.interpreters == 0).collect();
        while !growing.is_empty() {
            growing.retain(|row| {
                let share = shares.entry(row.wanted.environment.as_str()).or_default();
                let mut more = used.clone();
                more.add(row, 1);
                let grows = *share < self.offer.default_interpreters && more.within(&self.offer);
                if grows {
                    *share += 1;
                    used = more;
                }
                grows
            });
        }
        shares
    }
}
