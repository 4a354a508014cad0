//! From what members hold and report to the snapshot and the routes: only what has changed is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::core::MembershipCore;
use super::plan;
use crate::registry::Function;
use crate::routes::{Server, Target};
use crate::scheduler::Placement;
use crate::snapshot::Touched;

/// What the snapshot says of one executor's functions, and what that was made from.
#[derive(Default)]
pub(super) struct Placed {
    epoch: u64,
    revision: u64,
    serving: bool,
    functions: BTreeSet<Arc<str>>,
}

impl MembershipCore {
    /// Publishes what has changed: routes first, so that who hears "ready" can call.
    pub(super) fn publish(&mut self) {
        let touched = self.builder.take_touched();
        self.publish_routes(&touched);
        self.builder.publish(&self.snapshots);
        let names: BTreeSet<&str> = touched.iter().map(|(name, _)| &**name).collect();
        self.watches.advance(names, self.builder.now());
    }

    /// A function's servers are written anew only where one comes, goes or changes.
    fn publish_routes(&mut self, touched: &[Touched]) {
        let mut executors: BTreeMap<&Arc<str>, Vec<&Arc<str>>> = BTreeMap::new();
        for (function, executor) in touched {
            executors.entry(function).or_default().extend(executor);
        }
        let routes = self.routes.load();
        let (now, mut changes) = (self.builder.now(), Vec::new());
        for (name, executors) in executors {
            let held = routes.exact(name);
            let Some(entry) = now.functions.get(name) else {
                changes.push((Arc::clone(name), None));
                continue;
            };
            let mut servers = held.map(|target| target.servers.clone()).unwrap_or_default();
            let mut changed = held.is_none();
            for executor in executors {
                let server = self.members.get_mut(&**executor).and_then(|member| member.server(&entry.function));
                changed |= set_server(&mut servers, executor, server);
            }
            if changed || servers.is_empty() {
                let reason = if servers.is_empty() { entry.reason().to_owned() } else { String::new() };
                let target = Target { function: Arc::clone(&entry.function), servers, reason };
                changes.push((Arc::clone(name), Some(target)));
            }
        }
        if !changes.is_empty() || !Arc::ptr_eq(routes.catalog(), &now.catalog) {
            self.routes.publish(routes.with(Arc::clone(&now.catalog), changes));
        }
    }

    /// The snapshot's row of an executor.
    pub(super) fn show(&mut self, executor: &str) {
        if let Some(member) = self.members.get(executor) {
            self.builder.set_executor(member.key(), Some(member.entry()));
        }
    }

    /// Brings the snapshot up to what an executor should serve now.
    pub(super) fn sync(&mut self, executor: &str) {
        let Some(member) = self.members.get(executor) else { return };
        let (epoch, revision, serving) = (member.epoch, member.desired.revision, member.serving());
        let placed = self.placed.entry(Arc::clone(member.key())).or_default();
        if (placed.epoch, placed.revision, placed.serving) == (epoch, revision, serving) {
            return;
        }
        let functions: BTreeSet<Arc<str>> =
            if serving { member.wanted().map(Arc::from).collect() } else { BTreeSet::new() };
        for gone in placed.functions.difference(&functions) {
            self.builder.set_status(gone, member.key(), None);
        }
        // Also of those that stay: a renewed attachment has reported nothing yet, nor has another load of the same name.
        for function in &functions {
            self.builder.set_status(function, member.key(), Some(member.status(function)));
        }
        *placed = Placed { epoch, revision, serving, functions };
        self.show(executor);
    }

    /// Brings the snapshot up to a new placement.
    pub(super) fn show_placement(&mut self, before: &Placement) {
        let now = &self.placement;
        let hashes = [&now.assigned, &before.assigned].into_iter().flat_map(BTreeMap::keys);
        let hashes = hashes.chain(now.unplaced.keys()).chain(before.unplaced.keys());
        for hash in hashes.collect::<BTreeSet<_>>() {
            let (assigned, unplaced) = (now.assigned.get(hash), now.unplaced.get(hash));
            if (assigned, unplaced) != (before.assigned.get(hash), before.unplaced.get(hash)) {
                self.builder.set_assigned(hash, assigned, unplaced);
            }
        }
        self.builder.explain_unplaced(|function| unplaced_reason(now, function));
    }
}

/// True where that changes something. Servers are in the order of their executors' ids.
fn set_server(servers: &mut Vec<Server>, executor: &str, server: Option<Server>) -> bool {
    match (servers.binary_search_by(|held| (*held.endpoint.executor).cmp(executor)), server) {
        (Ok(at), Some(server)) => {
            let held = &servers[at];
            let same = Arc::ptr_eq(&held.endpoint, &server.endpoint)
                && Arc::ptr_eq(&held.blocked, &server.blocked)
                && held.interpreters == server.interpreters;
            servers[at] = server;
            !same
        }
        (Ok(at), None) => {
            servers.remove(at);
            true
        }
        (Err(at), Some(server)) => {
            servers.insert(at, server);
            true
        }
        (Err(_), None) => false,
    }
}

/// Why no executor should serve the function.
pub(super) fn unplaced_reason(placement: &Placement, function: &Function) -> String {
    if let Some(reason) = placement.unplaced.get(&function.environment) {
        return reason.clone();
    }
    let python = &function.definition.payload_python;
    let assigned = placement.assigned.get(&function.environment).into_iter().flatten();
    let on: Vec<&str> = assigned.map(|(id, _)| id.as_str()).collect();
    if on.is_empty() || python.is_empty() {
        return "it has not been placed yet".to_owned();
    }
    let environment = plan::python(&function.definition);
    format!("its pickle needs Python {python}, but its environment runs with {environment} on {}", on.join(", "))
}
