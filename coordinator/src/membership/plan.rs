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
        for (executor, concerns) in &concerned {
            let Some(member) = self.members.get_mut(*executor).filter(|member| member.staying()) else { continue };
            match term {
                None => member.expect(whole(member, &self.placer, &self.demand)),
                // One that drains keeps what it has until it is done.
                Some(term) if member.serving() && renewed != Some(executor) => {
                    member.desire(revised(member, concerns, &self.placer, &self.demand), term);
                }
                Some(_) => {}
            }
        }
        if let Some(member) = renewed.and_then(|id| self.members.get_mut(id)).filter(|member| member.staying()) {
            let desired = whole(member, &self.placer, &self.demand);
            match term {
                Some(term) => member.desire(desired, term),
                None => member.expect(desired),
            }
        }
        let executors: Vec<String> = concerned.keys().copied().chain(renewed).map(str::to_owned).collect();
        executors.iter().for_each(|executor| self.sync(executor));
        let added = change.added.iter().map(|function| function.environment.as_str());
        self.show_placement(moved.keys().map(String::as_str).chain(added).collect());
    }
}

/// What a member holds, brought in line where something concerns it.
fn revised(member: &Member, concerns: &Concerns<'_>, placer: &Placer, demand: &Demand) -> Desired {
    let (mut next, offer) = (member.next_desired(), member.offer());
    let interpreters = |environment: &str| placer.places(environment)?.get(member.id()).copied();
    for environment in &concerns.environments {
        let before = next.environments.get(*environment).is_some();
        let now = interpreters(environment);
        next.set_environment(environment, now);
        // Another number of interpreters changes nothing for functions.
        if before != now.is_some() {
            for (name, function) in demand.functions(environment) {
                let desired = now.and(Some(function)).filter(|function| loads(function, &offer));
                next.set_function(name, desired);
            }
        }
    }
    for function in &concerns.functions {
        match demand.function(&function.environment, &function.name) {
            Some((name, held)) => {
                let placed = interpreters(&function.environment).is_some();
                next.set_function(name, Some(held).filter(|held| placed && loads(held, &offer)));
            }
            None => next.remove_function(&function.name),
        }
    }
    next
}

/// All that a member should hold. One that drains keeps what it has until it is done.
fn whole(member: &Member, placer: &Placer, demand: &Demand) -> Desired {
    let mut next = member.next_desired();
    next.draining = member.draining;
    if member.draining {
        if member.holds_nothing() {
            next.clear();
        }
        return next;
    }
    let offer = member.offer();
    next.keep_only(|environment| placer.places(environment).is_some_and(|places| places.contains_key(member.id())));
    for (environment, interpreters) in placer.on(member.id()) {
        next.set_environment(environment, Some(interpreters));
    }
    let desired: BTreeMap<&Arc<str>, &Arc<Function>> = placer
        .on(member.id())
        .flat_map(|(environment, _)| demand.functions(environment))
        .filter(|(_, function)| loads(function, &offer))
        .collect();
    let gone: Vec<Arc<str>> =
        next.functions.iter().map(|(name, _)| name).filter(|name| !desired.contains_key(*name)).cloned().collect();
    gone.iter().for_each(|name| next.remove_function(name));
    desired.into_iter().for_each(|(name, function)| next.set_function(name, Some(function)));
    next
}
