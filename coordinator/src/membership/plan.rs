//! From a change of the catalog or of executors to what each executor should hold: only what the change concerns is
//! looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::core::MembershipCore;
use super::demand::{Demand, loads};
use super::desired::Desired;
use super::member::Member;
use crate::registry::{CatalogChange, Function};
use crate::scheduler::Placer;

/// What may have to be told to one executor.
#[derive(Debug, Default)]
struct Concerns<'c> {
    /// Environments that have come, gone or changed their number of interpreters.
    environments: BTreeSet<&'c str>,
    /// Functions that have come or gone.
    functions: Vec<&'c Function>,
}

impl MembershipCore {
    /// Tells every executor all that it should hold: a new leader.
    pub(super) fn tell_all(&mut self) {
        let executors: Vec<String> = self.members.keys().cloned().collect();
        executors.iter().for_each(|executor| self.replan(&CatalogChange::default(), Some(executor)));
    }

    /// Places what has changed. A leader tells executors what that changes for them; others know what it is going to say.
    /// `renewed`: an executor that is told the whole.
    pub(super) fn replan(&mut self, change: &CatalogChange<'_>, renewed: Option<&str>) {
        let moved = self.placer.settle();
        let mut concerned: BTreeMap<&str, Concerns<'_>> = BTreeMap::new();
        for (environment, before) in &moved {
            let now = self.placer.places(environment);
            let differs = |id: &&String| before.get(*id) != now.and_then(|now| now.get(*id));
            for executor in before.keys().chain(now.into_iter().flat_map(BTreeMap::keys)).filter(differs) {
                concerned.entry(executor).or_default().environments.insert(environment);
            }
        }
        for function in change.dropped.iter().chain(&change.added) {
            let before = moved.get(&function.environment).into_iter();
            let places = before.chain(self.placer.places(&function.environment)).flat_map(BTreeMap::keys);
            for executor in places {
                concerned.entry(executor).or_default().functions.push(function);
            }
        }
        let term = self.leadership.acting();
        let mut planner = Planner { placer: &self.placer, demand: &self.demand, looked_at: 0 };
        for (executor, concerns) in &concerned {
            let Some(member) = self.members.get_mut(*executor).filter(|member| member.staying()) else { continue };
            match (term, &member.expected) {
                _ if renewed == Some(executor) => {}
                (None, Some(expected)) if !member.draining => {
                    let expected = planner.revised(member, Desired::clone(expected), concerns);
                    member.expect(expected);
                }
                (None, _) => member.expect(planner.whole(member)),
                // One that drains keeps what it has until it is done.
                (Some(term), _) if member.serving() => {
                    member.desire(planner.revised(member, member.next_desired(), concerns), term);
                }
                (Some(_), _) => {}
            }
        }
        if let Some(member) = renewed.and_then(|id| self.members.get_mut(id)).filter(|member| member.staying()) {
            let desired = planner.whole(member);
            match term {
                Some(term) => member.desire(desired, term),
                None => member.expect(desired),
            }
        }
        self.looked_at += planner.looked_at;
        let executors: Vec<String> = concerned.keys().copied().chain(renewed).map(str::to_owned).collect();
        executors.iter().for_each(|executor| self.sync(executor));
        let added = change.added.iter().map(|function| function.environment.as_str());
        self.show_placement(moved.keys().map(String::as_str).chain(added).collect());
    }
}

/// Says what members should hold, and counts the functions that it looks at for that.
struct Planner<'p> {
    placer: &'p Placer,
    demand: &'p Demand,
    looked_at: u64,
}

impl Planner<'_> {
    fn interpreters(&self, environment: &str, member: &Member) -> Option<u32> {
        self.placer.places(environment)?.get(member.id()).copied()
    }

    /// What a member should hold, from what it should before something changed that concerns it.
    fn revised(&mut self, member: &Member, mut next: Desired, concerns: &Concerns<'_>) -> Desired {
        let offer = member.offer();
        for environment in &concerns.environments {
            let before = next.environments.get(*environment).is_some();
            let now = self.interpreters(environment, member);
            next.set_environment(environment, now);
            // Another number of interpreters changes nothing for functions.
            if before != now.is_some() {
                for (name, function) in self.demand.functions(environment) {
                    self.looked_at += 1;
                    let desired = now.and(Some(function)).filter(|function| loads(function, &offer));
                    next.set_function(name, desired);
                }
            }
        }
        for function in &concerns.functions {
            self.looked_at += 1;
            match self.demand.function(&function.environment, &function.name) {
                Some((name, held)) => {
                    let placed = self.interpreters(&function.environment, member).is_some();
                    next.set_function(name, Some(held).filter(|held| placed && loads(held, &offer)));
                }
                None => next.remove_function(&function.name),
            }
        }
        next
    }

    /// All that a member should hold. One that drains keeps what it has until it is done.
    fn whole(&mut self, member: &Member) -> Desired {
        let mut next = member.next_desired();
        next.draining = member.draining;
        if member.draining {
            if member.holds_nothing() {
                next.clear();
            }
            return next;
        }
        let offer = member.offer();
        next.keep_only(|environment| self.interpreters(environment, member).is_some());
        for (environment, interpreters) in self.placer.on(member.id()) {
            next.set_environment(environment, Some(interpreters));
        }
        let desired: BTreeMap<&Arc<str>, &Arc<Function>> = self
            .placer
            .on(member.id())
            .flat_map(|(environment, _)| self.demand.functions(environment))
            .filter(|(_, function)| loads(function, &offer))
            .collect();
        self.looked_at += (next.functions.len() + desired.len()) as u64;
        let gone: Vec<Arc<str>> =
            next.functions.iter().map(|(name, _)| name).filter(|name| !desired.contains_key(*name)).cloned().collect();
        gone.iter().for_each(|name| next.remove_function(name));
        desired.into_iter().for_each(|(name, function)| next.set_function(name, Some(function)));
        next
    }
}
