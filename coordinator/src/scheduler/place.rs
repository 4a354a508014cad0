//! Placement that is kept up to date: told what changes, it looks at the environments that this concerns, and at no
//! others. What comes out is what would come out if everything were looked at.

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64;

use super::feasible::obstacle;
use super::host::Host;
use super::row::Row;
use super::{Offer, PlacementRequest, Places};

/// See the module.
///
/// Equal input gives equal output, in whatever order it comes between two calls of [`Placer::settle`], if it says each
/// thing once. What an
/// environment has it keeps wherever that breaks no rule, so a join moves nothing by itself. No executor gets more than
/// its capacity, a draining one nothing, an unreachable one nothing more. Everything has one executor before anything has
/// a second.
#[derive(Debug, Default)]
pub struct Placer {
    /// What executors have said that they hold, since the last settle.
    pub(super) held: BTreeMap<String, BTreeSet<String>>,
    pub(super) rows: BTreeMap<String, Row>,
    /// All executors.
    pub(super) offers: BTreeMap<String, Offer>,
    /// Those that take work.
    pub(super) hosts: BTreeMap<String, Host>,
    /// Environments that are nowhere.
    pub(super) homeless: BTreeSet<String>,
    /// Environments that have changed or lost a place.
    pub(super) changed: BTreeSet<String>,
    /// Executors on which there is more room than there was.
    pub(super) freed: BTreeSet<String>,
    /// Executors on which environments have to be counted anew.
    pub(super) touched: BTreeSet<String>,
    /// Something has been said since the last settle.
    pub(super) stale: bool,
    /// What was told last of environments that are wanted no more.
    pub(super) dropped: BTreeMap<String, (Places, String)>,
}

impl Placer {
    /// All executors, draining ones too.
    pub fn offers(&self) -> impl Iterator<Item = &Offer> {
        self.offers.values()
    }

    /// Where an environment is.
    #[must_use]
    pub fn places(&self, environment: &str) -> Option<&Places> {
        self.rows.get(environment).map(|row| &row.on).filter(|on| !on.is_empty())
    }

    /// Why an environment is nowhere, for people; `None`: it is somewhere, or not wanted.
    #[must_use]
    pub fn unplaced(&self, environment: &str) -> Option<&String> {
        self.rows.get(environment).filter(|row| row.on.is_empty()).map(|row| &row.unplaced)
    }

    /// Environments that an executor has.
    pub fn on(&self, executor: &str) -> impl Iterator<Item = (&str, u32)> {
        let here = self.hosts.get(executor).into_iter().flat_map(|host| &host.environments);
        here.filter_map(move |environment| Some((environment.as_str(), *self.rows.get(environment)?.on.get(executor)?)))
    }

    /// Says which environments an executor has, as whoever placed them before has decided: they stay there unless that
    /// breaks a rule.
    pub fn hold<'e>(&mut self, executor: &str, environments: impl IntoIterator<Item = &'e str>) {
        self.stale = true;
        self.held.insert(executor.to_owned(), environments.into_iter().map(str::to_owned).collect());
    }

    /// Says that what an executor has of an environment counts no more: it can't be told what has changed there.
    pub fn withdraw(&mut self, environment: &str, executor: &str) {
        self.stale = true;
        self.leave(environment, executor);
    }

    /// True where a further [`Placer::settle`] could place more.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Says what an environment wants; `None`: it is wanted no more.
    pub fn want(&mut self, environment: &str, wanted: Option<PlacementRequest>) {
        if self.rows.get(environment).map(|row| &row.wanted) == wanted.as_ref() {
            return;
        }
        self.stale = true;
        let before = self.rows.remove(environment);
        if let Some(row) = &before {
            self.homeless.remove(environment);
            row.on.keys().for_each(|executor| release(&mut self.hosts, row, executor));
            self.freed.extend(row.on.keys().cloned());
            self.touched.extend(row.on.keys().cloned());
        }
        match (wanted, before) {
            (Some(wanted), before) => {
                let mut row = Row { able: 0, ..Row::new(wanted) };
                row.able = self.hosts.values().filter(|host| obstacle(&row.wanted, &host.offer).is_none()).count();
                if let Some(before) = before {
                    (row.on, row.known, row.told) = (before.on, before.known, before.told);
                } else if let Some(told) = self.dropped.remove(environment) {
                    row.told = told;
                }
                row.on.keys().for_each(|executor| take(&mut self.hosts, &row, executor));
                self.touched.extend(row.on.keys().cloned());
                if row.on.is_empty() {
                    self.homeless.insert(environment.to_owned());
                }
                self.rows.insert(environment.to_owned(), row);
                self.changed.insert(environment.to_owned());
            }
            (None, Some(before)) => {
                self.changed.remove(environment);
                drop(self.dropped.insert(environment.to_owned(), before.told));
            }
            (None, None) => {}
        }
    }

    /// Says what an executor offers; `None`: it is there no more.
    pub fn offer(&mut self, executor: &str, offer: Option<Offer>) {
        match (self.offers.get_mut(executor), &offer) {
            (None, None) => return,
            (Some(held), Some(offer)) => {
                // What is built decides only where somebody goes who goes anywhere.
                held.built.clone_from(&offer.built);
                if let Some(host) = self.hosts.get_mut(executor) {
                    host.offer.built.clone_from(&offer.built);
                }
                if held == offer {
                    return;
                }
            }
            _ => {}
        }
        self.stale = true;
        let was = self.hosts.remove(executor);
        match &offer {
            Some(offer) => drop(self.offers.insert(executor.to_owned(), offer.clone())),
            None => drop(self.offers.remove(executor)),
        }
        let is = offer.filter(|offer| !offer.draining).map(Host::new);
        for row in self.rows.values_mut() {
            let able = |host: &Option<Host>| {
                usize::from(host.as_ref().is_some_and(|host| obstacle(&row.wanted, &host.offer).is_none()))
            };
            row.able = row.able + able(&is) - able(&was);
        }
        let here = was.map(|host| host.environments).unwrap_or_default();
        match is {
            Some(mut host) => {
                here.iter().filter_map(|environment| self.rows.get(environment)).for_each(|row| host.take(row));
                self.hosts.insert(executor.to_owned(), host);
                self.freed.insert(executor.to_owned());
                self.touched.insert(executor.to_owned());
            }
            None => {
                self.freed.remove(executor);
                self.touched.remove(executor);
                for environment in &here {
                    if let Some(row) = self.rows.get_mut(environment) {
                        row.on.remove(executor);
                    }
                }
                let homeless = |environment: &&String| self.rows.get(*environment).is_some_and(|row| row.on.is_empty());
                self.homeless.extend(here.iter().filter(homeless).cloned());
            }
        }
        self.changed.extend(here);
    }
}

pub(super) fn take(hosts: &mut BTreeMap<String, Host>, row: &Row, executor: &str) {
    if let Some(host) = hosts.get_mut(executor) {
        host.take(row);
    }
}

pub(super) fn release(hosts: &mut BTreeMap<String, Host>, row: &Row, executor: &str) {
    if let Some(host) = hosts.get_mut(executor) {
        host.release(row);
    }
}

/// Breaks ties without putting everything on the first executor. Coordinators of different builds must agree, so the
/// hash is one that never changes.
pub(super) fn spread(environment: &str, executor: &str) -> u64 {
    // Ids of executors have no NUL.
    xxh3_64([environment.as_bytes(), executor.as_bytes()].join(&0).as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A coordinator that breaks ties otherwise moves environments: these values hold for ever.
    #[test]
    fn ties_are_broken_the_same_way_by_every_build() {
        let spreads = [("", ""), ("3f2a", "executor-1"), ("3f2a", "executor-2")].map(|(e, x)| spread(e, x));
        assert_eq!(spreads, [14144645293874801883, 7506655350139693642, 8089060263199458358]);
        assert_ne!(spread("ab", "c"), spread("a", "bc"));
    }
}
