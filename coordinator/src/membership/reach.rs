//! Which executors the other coordinators reach, as their claims in the store say: an executor that only others have
//! attached is unreachable from here, and keeps its work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use udfleet_edge::clock;
use udfleet_proto::v1::{ExecutorState, Hello};

use super::core::MembershipCore;
use super::member::Member;
use super::record::Claim;
use crate::registry::CatalogChange;
use crate::snapshot::{self, ExecutorEntry};

/// What other coordinators have attached.
#[derive(Debug, Default)]
pub(super) struct OtherClaims {
    /// By executor, then by coordinator.
    claims: BTreeMap<String, BTreeMap<String, Claim>>,
    /// Coordinators that live, with their addresses. The claims of one that has gone stay until its lease ends.
    living: BTreeMap<String, String>,
}

impl OtherClaims {
    fn set(&mut self, executor: &str, coordinator: &str, claim: Option<Claim>) {
        let held = self.claims.entry(executor.to_owned()).or_default();
        match claim {
            Some(claim) => drop(held.insert(coordinator.to_owned(), claim)),
            None => drop(held.remove(coordinator)),
        }
        if held.is_empty() {
            self.claims.remove(executor);
        }
    }

    /// Claims of coordinators that live.
    fn on(&self, executor: &str) -> impl Iterator<Item = (&String, &Claim)> {
        let claims = self.claims.get(executor).into_iter().flatten();
        claims.filter(|(coordinator, _)| self.living.contains_key(*coordinator))
    }

    /// Addresses of those that have this process of an executor attached; the id of one without an address.
    fn addresses(&self, executor: &str, incarnation: &str) -> Vec<String> {
        let on = self.on(executor).filter(|(_, claim)| claim.incarnation == incarnation);
        let address = |coordinator: &String| match self.living.get(coordinator) {
            Some(address) if !address.is_empty() => address.clone(),
            _ => coordinator.clone(),
        };
        on.map(|(coordinator, _)| address(coordinator)).collect()
    }

    /// True where others have an executor attached, and this coordinator has lost it.
    pub fn only(&self, member: &Member) -> bool {
        let claimed = || self.on(member.id()).any(|(_, claim)| claim.incarnation == member.hello.incarnation);
        !member.attached() && !member.stopping && claimed()
    }

    fn any(&self) -> bool {
        self.claims.keys().any(|executor| self.on(executor).next().is_some())
    }
}

impl MembershipCore {
    /// True where another coordinator reaches it, and this one does not.
    pub(super) fn is_unreachable(&self, member: &Member) -> bool {
        self.others.only(member)
    }

    /// True where no coordinator has it attached.
    pub(super) fn is_gone(&self, member: &Member) -> bool {
        !member.attached() && !self.is_unreachable(member)
    }

    /// As the snapshot shows it; `None`: nobody knows it.
    pub(super) fn entry(&self, executor: &str) -> Option<ExecutorEntry> {
        let Some(member) = self.members.get(executor) else { return self.entry_elsewhere(executor) };
        let attached_to = self.others.addresses(executor, &member.hello.incarnation);
        let state = if self.is_unreachable(member) { ExecutorState::Unreachable } else { member.state() };
        Some(ExecutorEntry { state, attached_to, ..member.entry() })
    }

    /// Of an executor that has never been attached here.
    fn entry_elsewhere(&self, executor: &str) -> Option<ExecutorEntry> {
        let (_, claim) = self.others.on(executor).next()?;
        let hello = Hello {
            executor: executor.to_owned(),
            incarnation: claim.incarnation.clone(),
            address: claim.address.clone(),
            ..Hello::default()
        };
        Some(ExecutorEntry {
            hello: Arc::new(hello),
            state: ExecutorState::Unreachable,
            epoch: self.records.get(executor).map_or(0, |(_, record)| record.epoch),
            interpreters: 0,
            rss_bytes: 0,
            certificate_ends_unix: 0,
            in_flight: 0,
            devices: Vec::new(),
            functions: snapshot::Map::new_sync(),
            heard: clock::now(),
            attached_to: self.others.addresses(executor, &claim.incarnation),
        })
    }

    /// Another coordinator has attached an executor, or has lost it.
    pub fn claimed(&mut self, executor: &str, coordinator: &str, claim: Option<Claim>) {
        self.others.set(executor, coordinator, claim);
        self.reach_changed(executor);
        self.publish();
    }

    /// All that other coordinators claim.
    pub fn claims_listed(&mut self, claims: Vec<(String, String, Claim)>) {
        let mut concerned: Vec<String> = std::mem::take(&mut self.others.claims).into_keys().collect();
        for (executor, coordinator, claim) in claims {
            self.others.set(&executor, &coordinator, Some(claim));
            concerned.push(executor);
        }
        self.reach_of_all_changed(concerned);
    }

    /// Coordinators have come or gone.
    pub fn coordinators_changed(&mut self, living: BTreeMap<String, String>) {
        if self.others.living != living {
            self.others.living = living;
            self.reach_of_all_changed(self.others.claims.keys().cloned().collect());
        }
    }

    fn reach_of_all_changed(&mut self, mut executors: Vec<String>) {
        executors.sort_unstable();
        executors.dedup();
        executors.iter().for_each(|executor| self.reach_changed(executor));
        self.publish();
    }

    /// Others reach an executor or do so no more: where it is not attached here, that decides whether it keeps its work.
    fn reach_changed(&mut self, executor: &str) {
        if self.members.get(executor).is_some_and(|member| !member.attached()) {
            self.executor_changed(executor);
        }
        self.show(executor);
    }

    /// Functions that are new in an environment of an unreachable executor can't be told to it: they go where somebody can
    /// be told, and what it has goes on.
    pub(super) fn withdraw_from_unreachable(&mut self, change: &CatalogChange<'_>) {
        for function in &change.added {
            let environment = function.environment.as_str();
            let places = self.placer.places(environment).into_iter().flatten().map(|(executor, _)| executor);
            let unreachable = |id: &&String| self.members.get(*id).is_some_and(|member| self.is_unreachable(member));
            let unreachable: Vec<String> = places.filter(unreachable).cloned().collect();
            unreachable.iter().for_each(|executor| self.placer.withdraw(environment, executor));
        }
    }

    /// Whether this coordinator may lead, by what it and others reach.
    pub fn may_lead(&mut self, now: Instant) -> bool {
        let reaches = self.members.values().any(Member::attached);
        self.fitness.update(reaches, self.others.any(), now)
    }
}
