//! Gives places: what is there stays, who has none gets one, then who wants more gets more in turns.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::feasible::{feasible, obstacle};
use super::host::Host;
use super::place::{Placer, release, spread, take};
use super::row::{Rank, Row};
use super::{Assignment, Offer};

/// How well an executor suits an environment; the largest is the best.
type Suitability = (bool, u32, u64);

impl Placer {
    /// Brings placement up to date. Returns the environments whose places, or whose reason to have none, have changed:
    /// each with the places that it had.
    pub fn settle(&mut self) -> Assignment {
        let dropped = std::mem::take(&mut self.dropped).into_iter();
        let mut moved: Assignment =
            dropped.map(|(environment, (before, _))| (environment, before)).filter(|(_, on)| !on.is_empty()).collect();
        if !std::mem::take(&mut self.stale) {
            return moved;
        }
        self.adopt();
        let changed: Vec<String> = self.changed.iter().cloned().collect();
        changed.iter().for_each(|environment| self.leave_unable(environment));
        changed.iter().for_each(|environment| self.leave_surplus(environment));
        self.relieve();
        self.give_firsts();
        // Who has got a second place may make room for who has none.
        while self.give_more() && !self.homeless.is_empty() {
            if !self.give_firsts() {
                // Once it is known where everybody is.
                self.stale = true;
                break;
            }
        }
        let counted = self.count();
        self.explain();
        let seen: BTreeSet<String> = std::mem::take(&mut self.changed).into_iter().chain(counted).collect();
        for environment in seen.iter().chain(&self.homeless) {
            let Some(row) = self.rows.get_mut(environment) else { continue };
            if row.told.0 != row.on || row.told.1 != row.unplaced {
                let (before, _) = std::mem::replace(&mut row.told, (row.on.clone(), row.unplaced.clone()));
                moved.insert(environment.clone(), before);
            }
            row.known = row.on.keys().cloned().collect();
        }
        self.freed.clear();
        moved
    }

    /// What executors hold stays there for now.
    fn adopt(&mut self) {
        for (executor, held) in std::mem::take(&mut self.held) {
            let Some(host) = self.hosts.get(&executor) else { continue };
            let gone: Vec<String> = host.environments.difference(&held).cloned().collect();
            let come: Vec<String> = held.difference(&host.environments).cloned().collect();
            gone.iter().for_each(|environment| self.leave(environment, &executor));
            come.iter().for_each(|environment| self.enter(environment, &executor));
            for environment in come {
                if let Some(row) = self.rows.get_mut(&environment) {
                    row.known.insert(executor.clone());
                }
            }
        }
    }

    /// Takes an environment off an executor.
    pub(super) fn leave(&mut self, environment: &str, executor: &str) {
        let Some(row) = self.rows.get_mut(environment) else { return };
        row.on.remove(executor);
        release(&mut self.hosts, row, executor);
        if row.on.is_empty() {
            self.homeless.insert(environment.to_owned());
        }
        self.freed.insert(executor.to_owned());
        self.touched.insert(executor.to_owned());
        self.changed.insert(environment.to_owned());
    }

    /// Puts an environment on an executor.
    fn enter(&mut self, environment: &str, executor: &str) {
        let Some(row) = self.rows.get_mut(environment) else { return };
        row.on.insert(executor.to_owned(), row.need);
        take(&mut self.hosts, row, executor);
        self.homeless.remove(environment);
        self.touched.insert(executor.to_owned());
        self.changed.insert(environment.to_owned());
    }

    fn leave_unable(&mut self, environment: &str) {
        let Some(row) = self.rows.get(environment) else { return };
        let able = |id: &str| self.hosts.get(id).is_some_and(|host| obstacle(&row.wanted, &host.offer).is_none());
        let unable: Vec<String> = row.on.keys().filter(|id| !able(id)).cloned().collect();
        unable.iter().for_each(|executor| self.leave(environment, executor));
    }

    /// It wants fewer executors than it has.
    fn leave_surplus(&mut self, environment: &str) {
        while let Some(row) = self.rows.get(environment).filter(|row| row.on.len() > row.target()) {
            let worst = row.on.keys().min_by_key(|id| self.hosts.get(*id).map(|host| suitability(row, host)));
            let Some(worst) = worst.cloned() else { return };
            self.leave(environment, &worst);
        }
    }

    /// Where there is less room than what is there needs, those leave that are elsewhere too.
    fn relieve(&mut self) {
        let overfull: Vec<String> =
            self.touched.iter().filter(|id| self.hosts.get(*id).is_some_and(Host::is_overfull)).cloned().collect();
        for executor in overfull {
            while let Some(host) = self.hosts.get(&executor).filter(|host| host.is_overfull()) {
                let rows = host.environments.iter().filter_map(|environment| self.rows.get(environment));
                let most = rows.max_by_key(|row| (row.on.len(), &row.wanted.environment));
                let Some(environment) = most.map(|row| row.wanted.environment.clone()) else { break };
                self.leave(&environment, &executor);
            }
        }
    }

    /// Everything shall be somewhere, if need be in the place of what is elsewhere too. True where something is that was
    /// not.
    fn give_firsts(&mut self) -> bool {
        let before = self.homeless.len();
        let mut homeless: Vec<Rank> =
            self.homeless.iter().filter_map(|environment| self.rows.get(environment)).map(Row::rank).collect();
        homeless.sort_unstable();
        let mut failed: Option<String> = None;
        for (_, _, environment) in homeless {
            let Some(row) = self.rows.get(&environment) else { continue };
            // Nothing has changed since.
            if failed.as_ref().and_then(|like| self.rows.get(like)).is_some_and(|like| like.is_like(row)) {
                continue;
            }
            if let Some(executor) = self.best(row, self.hosts.keys()) {
                self.enter(&environment, &executor);
            } else if let Some((executor, leaving)) = self.best_exchange(row) {
                leaving.iter().for_each(|other| self.leave(other, &executor));
                self.enter(&environment, &executor);
            } else {
                failed = Some(environment);
                continue;
            }
            failed = None;
        }
        self.homeless.len() < before
    }

    /// The best of these executors that could run it and have room.
    fn best<'h>(&self, row: &Row, among: impl Iterator<Item = &'h String>) -> Option<String> {
        let suits = |id: &'h String| {
            let host = self.hosts.get(id)?;
            let takes = !host.offer.unreachable && !row.on.contains_key(id);
            let suits = takes && host.fits(row) && obstacle(&row.wanted, &host.offer).is_none();
            suits.then(|| (suitability(row, host), id))
        };
        among.filter_map(suits).max().map(|(_, id)| id.clone())
    }

    /// An executor that has room once those leave it that are elsewhere too: as few as possible.
    fn best_exchange(&self, row: &Row) -> Option<(String, Vec<String>)> {
        let takes = |host: &Host| !host.offer.unreachable && obstacle(&row.wanted, &host.offer).is_none();
        let able = self.hosts.iter().filter(|(_, host)| takes(host));
        let exchange = |(id, host): (&String, &Host)| {
            let leaving = self.dispensable(row, host)?;
            Some(((Reverse(leaving.len()), suitability(row, host)), (id.clone(), leaving)))
        };
        able.filter_map(exchange).max_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, exchange)| exchange)
    }

    /// Who would have to leave for it, those with the most places first; `None`: that would not be enough.
    fn dispensable(&self, row: &Row, host: &Host) -> Option<Vec<String>> {
        let here = host.environments.iter().filter_map(|environment| self.rows.get(environment));
        let mut others: Vec<&Row> = here.filter(|other| other.can_leave(&host.offer.executor)).collect();
        others.sort_by_key(|other| Reverse((other.on.len(), &other.wanted.environment)));
        let enough = |count: &usize| host.would_fit(row, others.iter().take(*count).copied());
        let count = (0..=others.len()).find(enough)?;
        Some(others.iter().take(count).map(|other| other.wanted.environment.clone()).collect())
    }

    /// Who has the fewest places is next. True where somebody has got one.
    fn give_more(&mut self) -> bool {
        let hungry = |row: &&Row| {
            let environment = &row.wanted.environment;
            row.wants_more()
                && !row.on.is_empty()
                && (self.changed.contains(environment) || self.best(row, self.freed.iter()).is_some())
        };
        let mut waiting: BTreeSet<(usize, Rank)> =
            self.rows.values().filter(hungry).map(|row| (row.on.len(), row.rank())).collect();
        let mut given = false;
        while let Some((places, rank)) = waiting.pop_first() {
            let environment = &rank.2;
            let Some(row) = self.rows.get(environment) else { continue };
            // What has not changed can only have what has become free.
            let best = if self.changed.contains(environment) {
                self.best(row, self.hosts.keys())
            } else {
                self.best(row, self.freed.iter())
            };
            if let Some(executor) = best {
                self.enter(environment, &executor);
                given = true;
                if self.rows.get(environment).is_some_and(Row::wants_more) {
                    waiting.insert((places + 1, rank));
                }
            }
        }
        given
    }

    /// Interpreters of each environment where something has changed; returns those environments.
    fn count(&mut self) -> Vec<String> {
        let mut counted = Vec::new();
        for executor in std::mem::take(&mut self.touched) {
            let Some(host) = self.hosts.get(&executor) else { continue };
            let shares: BTreeMap<String, u32> = host
                .shares(&self.rows)
                .into_iter()
                .map(|(environment, count)| (environment.to_owned(), count))
                .collect();
            for (environment, count) in shares {
                if let Some(row) = self.rows.get_mut(&environment)
                    && row.on.insert(executor.clone(), count) != Some(count)
                {
                    counted.push(environment);
                }
            }
        }
        counted
    }

    /// Says of each environment that is nowhere why that is.
    fn explain(&mut self) {
        let mut like: Option<(String, String)> = None;
        let offers: Vec<&Offer> = self.offers.values().collect();
        for environment in &self.homeless {
            let Some(row) = self.rows.get(environment) else { continue };
            let same = like.as_ref().filter(|(other, _)| self.rows.get(other).is_some_and(|other| other.is_like(row)));
            let reason = same.map_or_else(|| reason(row, &offers, &self.hosts), |(_, reason)| reason.clone());
            like = Some((environment.clone(), reason.clone()));
            if let Some(row) = self.rows.get_mut(environment) {
                row.unplaced = reason;
            }
        }
        for environment in &self.changed {
            if let Some(row) = self.rows.get_mut(environment).filter(|row| !row.on.is_empty()) {
                row.unplaced.clear();
            }
        }
    }
}

fn suitability(row: &Row, host: &Host) -> Suitability {
    let environment = &row.wanted.environment;
    let built = udfleet_proto::environment::of_group(environment);
    (host.offer.built.contains(built), host.free(), spread(environment, &host.offer.executor))
}

fn reason(row: &Row, all: &[&Offer], hosts: &BTreeMap<String, Host>) -> String {
    if let Err(reason) = feasible(&row.wanted, all) {
        return reason;
    }
    let able = hosts.values().filter(|host| obstacle(&row.wanted, &host.offer).is_none());
    let able: Vec<&Host> = able.filter(|host| !host.offer.unreachable).collect();
    if able.is_empty() {
        let names = |offers: &mut dyn Iterator<Item = &&Offer>| {
            offers
                .map(|offer| offer.executor.as_str())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
                .join(", ")
        };
        let unreachable = names(&mut all.iter().filter(|offer| offer.unreachable && !offer.draining));
        let draining = names(&mut all.iter().filter(|offer| offer.draining));
        return match (unreachable.is_empty(), draining.is_empty()) {
            (true, _) => format!("every executor that could run it is draining: {draining}"),
            (false, true) => {
                format!("every executor that could run it is unreachable from this coordinator: {unreachable}")
            }
            (false, false) => format!(
                "every executor that could run it is draining ({draining}) or unreachable from this coordinator ({unreachable})"
            ),
        };
    }
    let most = able.iter().map(|host| host.free()).max().unwrap_or(0);
    for (kind, count) in &row.wanted.resources {
        let (needs, most) = (count * row.need, able.iter().map(|host| host.free_devices(kind)).max().unwrap_or(0));
        if most < needs {
            return format!(
                "waits for {needs} {kind} on one executor: of {} that have as many, none has more than {most} left",
                able.len()
            );
        }
    }
    format!(
        "needs room for {} interpreters on one executor; of {} executors that could run it, none has more than {most} left",
        row.need,
        able.len()
    )
}
