//! Placement in rounds: every environment gets one executor before any gets a second.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64;

use super::feasible::{feasible, obstacle};
use super::{Assignment, Offer, Placement, PlacementRequest};

/// Assigns environments to executors.
///
/// Equal input gives equal output, in whatever order it comes. `current` is kept wherever that breaks no rule, so a
/// join moves nothing by itself. Never assigns more than an executor's capacity, nor anything to a draining one.
#[must_use]
pub fn place(wanted: &[PlacementRequest], offers: &[Offer], current: &Assignment) -> Placement {
    let mut plan = Plan::new(wanted, offers, current);
    let most = plan.rows.iter().map(|row| row.target).max().unwrap_or(0);
    for round in 1..=most {
        // Executors that hold the environment already come first.
        for held_only in [true, false] {
            for index in 0..plan.rows.len() {
                let row = &plan.rows[index];
                if row.chosen.len() < round && round <= row.target {
                    plan.choose(index, held_only);
                }
            }
        }
    }
    plan.grow();
    plan.finish(offers)
}

/// One environment being placed.
struct Row<'a> {
    wanted: &'a PlacementRequest,
    /// Executors that could run it and take work, by id.
    able: Vec<&'a str>,
    /// How many it should have.
    target: usize,
    chosen: BTreeMap<&'a str, u32>,
}

struct Plan<'a> {
    /// The most constrained first.
    rows: Vec<Row<'a>>,
    offers: BTreeMap<&'a str, &'a Offer>,
    free: BTreeMap<&'a str, u32>,
    current: &'a Assignment,
}

impl<'a> Plan<'a> {
    fn new(wanted: &'a [PlacementRequest], offers: &'a [Offer], current: &'a Assignment) -> Self {
        let offers: BTreeMap<&str, &Offer> =
            offers.iter().filter(|offer| !offer.draining).map(|offer| (offer.executor.as_str(), offer)).collect();
        let row = |wanted: &'a PlacementRequest| {
            let able: Vec<&str> =
                offers.values().filter(|o| obstacle(wanted, o).is_none()).map(|o| o.executor.as_str()).collect();
            let target = if wanted.executors == 0 { able.len() } else { able.len().min(wanted.executors as usize) };
            Row { wanted, able, target, chosen: BTreeMap::new() }
        };
        let mut rows: Vec<Row<'_>> = wanted.iter().map(row).collect();
        rows.sort_by_key(|row| (row.able.len(), Reverse(row.wanted.interpreters), &row.wanted.environment));
        let free = offers.iter().map(|(id, offer)| (*id, offer.capacity)).collect();
        Self { rows, offers, free, current }
    }

    /// Gives the environment one more executor, if there is one with room.
    fn choose(&mut self, index: usize, held_only: bool) {
        let row = &self.rows[index];
        let need = row.wanted.interpreters.max(1);
        let held = |id: &str| self.current.get(&row.wanted.environment).is_some_and(|on| on.contains_key(id));
        let fits = |id: &&&str| !row.chosen.contains_key(**id) && self.free[**id] >= need && (!held_only || held(id));
        let rank = |id: &&str| {
            let built = self.offers[id].built.contains(&row.wanted.environment);
            (held(id), built, self.free[id] - need, spread(&row.wanted.environment, id))
        };
        let best = row.able.iter().filter(fits).max_by_key(|id| rank(id)).copied();
        if let Some(id) = best {
            if let Some(free) = self.free.get_mut(id) {
                *free -= need;
            }
            self.rows[index].chosen.insert(id, need);
        }
    }

    /// Environments that name no number get more than one interpreter where there is room, in turns.
    fn grow(&mut self) {
        loop {
            let mut grown = false;
            for row in self.rows.iter_mut().filter(|row| row.wanted.interpreters == 0) {
                for (id, count) in &mut row.chosen {
                    if *count < self.offers[id].default_interpreters
                        && let Some(free) = self.free.get_mut(id).filter(|free| **free > 0)
                    {
                        *free -= 1;
                        *count += 1;
                        grown = true;
                    }
                }
            }
            if !grown {
                return;
            }
        }
    }

    fn finish(self, all: &[Offer]) -> Placement {
        let mut placement = Placement::default();
        for row in &self.rows {
            let name = row.wanted.environment.clone();
            if row.chosen.is_empty() {
                placement.unplaced.insert(name, reason(row, all, &self.free));
            } else {
                let chosen = row.chosen.iter().map(|(id, count)| ((*id).to_owned(), *count)).collect();
                placement.assigned.insert(name, chosen);
            }
        }
        placement
    }
}

/// Breaks ties without putting everything on the first executor. Coordinators of different builds must agree, so the
/// hash is one that never changes.
fn spread(environment: &str, executor: &str) -> u64 {
    // Ids of executors have no NUL.
    xxh3_64([environment.as_bytes(), executor.as_bytes()].join(&0).as_slice())
}

fn reason(row: &Row<'_>, all: &[Offer], free: &BTreeMap<&str, u32>) -> String {
    if let Err(reason) = feasible(row.wanted, all) {
        return reason;
    }
    if row.able.is_empty() {
        let draining: BTreeSet<&str> = all.iter().filter(|o| o.draining).map(|o| o.executor.as_str()).collect();
        let draining = draining.into_iter().collect::<Vec<_>>().join(", ");
        return format!("every executor that could run it is draining: {draining}");
    }
    let most = row.able.iter().map(|id| free[id]).max().unwrap_or(0);
    format!(
        "needs room for {} interpreters on one executor; of {} executors that could run it, none has more than {most} left",
        row.wanted.interpreters.max(1),
        row.able.len()
    )
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
