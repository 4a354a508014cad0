//! Updates the snapshot and the routes from the desired state and reports of members: only changes are processed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::core::MembershipCore;
use super::demand;
use super::desired::Desired;
use crate::registry::Function;
use crate::routes::{Server, Target};
use crate::scheduler::Placer;
use crate::snapshot::Touched;

/// What the snapshot says that one executor should serve.
#[derive(Default)]
pub(super) struct ShownDesired {
    /// Of its attach.
    number: u64,
    /// Nothing where no new work may go to it.
    desired: Arc<Desired>,
    /// What another leader is going to desire.
    expected: Arc<Desired>,
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

    /// A function's servers are replaced only if one is added, removed or changed.
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
        let id = self.members.get(executor).map_or_else(|| Arc::from(executor), |member| Arc::clone(member.key()));
        self.builder.set_executor(&id, self.entry(executor));
    }

    /// Brings the snapshot up to what an executor should serve now.
    pub(super) fn sync(&mut self, executor: &str) {
        let Some(member) = self.members.get(executor) else { return };
        let shown = self.shown.entry(Arc::clone(member.key())).or_default();
        let now = if member.serving() {
            let (desired, expected) = (Arc::clone(&member.desired), member.expected.clone().unwrap_or_default());
            ShownDesired { number: member.number, desired, expected }
        } else {
            ShownDesired { number: member.number, ..ShownDesired::default() }
        };
        let before = std::mem::replace(shown, now);
        let changed = |now: &Desired, before: &Desired| -> Vec<Arc<str>> {
            now.changed_functions(before).into_iter().map(|changed| Arc::clone(changed.key)).collect()
        };
        let mut touched = changed(&shown.desired, &before.desired);
        touched.extend(changed(&shown.expected, &before.expected));
        if before.number != shown.number {
            // Also of those that stay: a renewed attachment has reported nothing yet.
            touched.extend(shown.desired.functions.iter().map(|(name, _)| Arc::clone(name)));
        }
        for name in &touched {
            let status = (member.serving() && member.wants(name)).then(|| member.status(name));
            self.builder.set_status(name, member.key(), status);
        }
        self.show(executor);
    }

    /// Brings the snapshot up to a new placement of these environments.
    pub(super) fn show_placement(&mut self, environments: BTreeSet<&str>) {
        let placer = &self.placer;
        for environment in &environments {
            self.builder.set_assigned(environment, placer.places(environment), placer.unplaced(environment));
        }
        let (members, others) = (&self.members, &self.others);
        let unreachable = |executor: &str| members.get(executor).is_some_and(|member| others.only(member));
        self.builder.explain_unplaced(environments, |function| unplaced_reason(placer, function, unreachable));
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
pub(super) fn unplaced_reason(placer: &Placer, function: &Function, unreachable: impl Fn(&str) -> bool) -> String {
    if let Err(error) = function.check() {
        return format!("{}; {}", error.info().message, error.info().hint);
    }
    if let Some(reason) = placer.unplaced(&function.environment) {
        return reason.clone();
    }
    let python = &function.definition.payload_python;
    let places = placer.places(&function.environment).into_iter().flatten();
    let on: Vec<&str> = places.map(|(id, _)| id.as_str()).collect();
    if !on.is_empty() && on.iter().all(|executor| unreachable(executor)) {
        return format!("{} has it, and is unreachable from this coordinator: another one reaches it", on.join(", "));
    }
    if on.is_empty() || python.is_empty() {
        return "it has not been placed yet".to_owned();
    }
    let environment = demand::python(&function.definition);
    format!("its pickle needs Python {python}, but its environment runs with {environment} on {}", on.join(", "))
}
