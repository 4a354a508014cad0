//! One executor as the coordinator knows it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tonic::transport::Channel;
use udfleet_proto::v1::{ExecutorInfo, FunctionStatus, Hello, LoadState, Report};

use super::desired::Desired;
use super::message::Link;
use crate::registry::Function;
use crate::routes::{Endpoint, Server};
use crate::scheduler::Offer;

/// How to reach an attached executor's Node service.
#[derive(Debug, Clone)]
pub struct NodeAddress {
    /// Its id.
    pub executor: String,
    /// A connection to it.
    pub channel: Channel,
}

/// State of one executor. Lost ones are kept for a while, to be shown.
pub(super) struct Member {
    pub hello: Hello,
    pub epoch: u64,
    /// `None`: lost.
    pub link: Option<Link>,
    pub draining: bool,
    pub desired: Arc<Desired>,
    /// As reported, by `add@3`.
    pub statuses: BTreeMap<String, FunctionStatus>,
    /// Its latest report, without what is kept elsewhere.
    pub report: Report,
    pub heard: Instant,
    pub endpoint: Arc<Endpoint>,
    /// Build log lines up to here have been passed on.
    pub log_seen: u64,
    built: BTreeSet<String>,
    /// Where long calls hold all interpreters, by environment: shared with the routes.
    blocked: HashMap<String, Arc<AtomicBool>>,
}

impl Member {
    pub fn new(hello: Hello, epoch: u64, link: Link, draining: bool, endpoint: Endpoint, now: Instant) -> Self {
        Self {
            built: hello.built_environments.iter().cloned().collect(),
            hello,
            epoch,
            link: Some(link),
            draining,
            desired: Arc::default(),
            statuses: BTreeMap::new(),
            report: Report::default(),
            heard: now,
            endpoint: Arc::new(endpoint),
            log_seen: 0,
            blocked: HashMap::new(),
        }
    }

    pub fn id(&self) -> &str {
        &self.hello.executor
    }

    pub fn attached(&self) -> bool {
        self.link.is_some()
    }

    /// True where a drain has nothing to wait for: it says so, or it has never been told to hold anything.
    pub fn holds_nothing(&self) -> bool {
        let fresh = self.desired.revision == 0 && self.report.sequence > 0 && self.report.revision == 0;
        self.report.drained || fresh
    }

    /// True where new work may go to it.
    pub fn serving(&self) -> bool {
        self.attached() && !self.draining
    }

    /// Takes in a report, unless it is older than one already seen; true where a function's state changed.
    pub fn take(&mut self, report: &mut Report, now: Instant) -> bool {
        self.heard = now;
        if report.sequence <= self.report.sequence && self.report.sequence > 0 {
            return false;
        }
        let mut changed = report.drained != self.report.drained;
        for status in std::mem::take(&mut report.functions) {
            // Of a function that it should not hold, or an earlier load: it says so before it has heard what is new.
            let stale = match self.desired.wish(&status.function) {
                Some(wish) => report.revision < wish.since,
                None => self.desired.revision > 0,
            };
            if !stale && self.statuses.get(&status.function) != Some(&status) {
                self.statuses.insert(status.function.clone(), status);
                changed = true;
            }
        }
        if report.built_changed {
            self.built = std::mem::take(&mut report.built_environments).into_iter().collect();
        }
        self.report = Report {
            sequence: report.sequence,
            revision: report.revision,
            interpreters: report.interpreters,
            rss_bytes: report.rss_bytes,
            in_flight: report.in_flight,
            drained: report.drained,
            answers: report.answers,
            loads: std::mem::take(&mut report.loads),
            ..Report::default()
        };
        self.note_loads();
        changed
    }

    /// Sends desired state, numbered so that it grows over attaches and restarts of the coordinator.
    pub fn desire(&mut self, mut desired: Desired) {
        // A renewed attach knows what was desired before, yet has not sent it.
        let sent = self.link.as_ref().is_some_and(|link| link.borrow().desired.is_some());
        if sent && desired.same(&self.desired) {
            return;
        }
        desired.succeed(&self.desired, (self.desired.revision + 1).max(self.epoch << 32 | 1));
        let before = std::mem::replace(&mut self.desired, Arc::new(desired));
        let since = |desired: &Desired, name: &str| desired.wish(name).map(|wish| wish.since);
        self.statuses.retain(|name, _| {
            let now = since(&self.desired, name);
            // Before the first one nobody but the executor knew what it held.
            now.is_some() && (before.revision == 0 || since(&before, name) == now)
        });
        if let Some(link) = &self.link {
            link.send_modify(|outbound| outbound.desired = Some(Arc::clone(&self.desired)));
        }
    }

    /// Asks it for a report.
    pub fn request_report(&self, number: u64) {
        if let Some(link) = &self.link {
            link.send_modify(|outbound| outbound.request = number);
        }
    }

    /// True where it should serve the function.
    pub fn wants(&self, function: &str) -> bool {
        self.desired.wish(function).is_some()
    }

    /// The state that it reports of a function that it should serve.
    pub fn status(&self, function: &str) -> FunctionStatus {
        let pending = || FunctionStatus { function: function.to_owned(), ..FunctionStatus::default() };
        let mut status = self.statuses.get(function).cloned().unwrap_or_else(pending);
        if status.state() == LoadState::Unspecified {
            status.set_state(LoadState::Pending);
        }
        let mut waits = self.report.loads.iter().flat_map(|load| &load.waits);
        status.waiting = waits.find(|wait| wait.function == function).map_or_else(String::new, |w| w.reason.clone());
        status
    }

    /// Itself as a route to the function, where it reports it READY.
    pub fn server(&mut self, function: &Function) -> Option<Server> {
        let status = self.statuses.get(&function.name).filter(|s| s.state() == LoadState::Ready)?;
        let (serves, interpreters) = (self.serving() && self.wants(&function.name), status.interpreters.max(1));
        if !serves {
            return None;
        }
        let blocked = Arc::clone(self.blocked.entry(function.environment.clone()).or_default());
        Some(Server { endpoint: Arc::clone(&self.endpoint), interpreters, blocked })
    }

    /// Where long calls hold all interpreters of an environment, who chooses an executor knows from now on.
    fn note_loads(&mut self) {
        self.blocked.retain(|_, blocked| Arc::strong_count(blocked) > 1);
        for (environment, blocked) in &self.blocked {
            let load = self.report.loads.iter().find(|load| load.environment == *environment);
            let held = load.is_some_and(|load| load.interpreters > 0 && load.held >= load.interpreters);
            blocked.store(held, Ordering::Relaxed);
        }
    }

    pub fn offer(&self) -> Offer {
        Offer {
            executor: self.hello.executor.clone(),
            pythons: self.hello.pythons.iter().map(|python| python.version.clone()).collect(),
            capacity: self.hello.max_interpreters,
            default_interpreters: self.hello.interpreters_per_environment.max(1),
            built: self.built.clone(),
            draining: self.draining,
        }
    }

    pub fn state(&self) -> &'static str {
        match (self.attached(), self.draining, self.report.drained) {
            (false, _, _) => "lost",
            (true, false, _) => "ready",
            (true, true, false) => "draining",
            (true, true, true) => "drained",
        }
    }

    pub fn info(&self, now: Instant) -> ExecutorInfo {
        let age = now.saturating_duration_since(self.heard).as_millis();
        ExecutorInfo {
            hello: Some(self.hello.clone()),
            state: self.state().to_owned(),
            epoch: self.epoch,
            interpreters: self.report.interpreters,
            rss_bytes: self.report.rss_bytes,
            in_flight: self.report.in_flight,
            functions: self.statuses.keys().map(|function| self.status(function)).collect(),
            report_age_ms: u64::try_from(age).unwrap_or(u64::MAX),
        }
    }
}
