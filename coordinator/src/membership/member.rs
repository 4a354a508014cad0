//! One executor as the coordinator knows it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tonic::transport::Channel;
use udfleet_proto::name::versioned;
use udfleet_proto::v1::{DesiredState, ExecutorInfo, FunctionStatus, Hello, LoadState, Report};

use super::message::Link;
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
    pub desired: Arc<DesiredState>,
    /// Of its latest report, by `add@3`.
    pub statuses: BTreeMap<String, FunctionStatus>,
    /// Its latest report, without what is kept elsewhere.
    pub report: Report,
    pub heard: Instant,
    pub endpoint: Arc<Endpoint>,
    /// Build log lines up to here have been passed on.
    pub log_seen: u64,
    built: BTreeSet<String>,
    /// Names (`add@3`) of the functions in `desired`, each with the revision since which it is there without a break:
    /// what a report of an earlier revision says of it is about an earlier load.
    wanted: HashMap<String, u64>,
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
            wanted: HashMap::new(),
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
        let current = |s: &FunctionStatus| self.wanted.get(&s.function).is_none_or(|since| report.revision >= *since);
        let statuses = std::mem::take(&mut report.functions).into_iter().filter(current);
        let statuses: BTreeMap<_, _> = statuses.map(|s| (s.function.clone(), s)).collect();
        self.built = std::mem::take(&mut report.built_environments).into_iter().collect();
        let changed = statuses != self.statuses || report.drained != self.report.drained;
        self.statuses = statuses;
        self.report = Report {
            sequence: report.sequence,
            revision: report.revision,
            interpreters: report.interpreters,
            rss_bytes: report.rss_bytes,
            in_flight: report.in_flight,
            drained: report.drained,
            answers: report.answers,
            ..Report::default()
        };
        changed
    }

    /// Sends desired state, numbered so that it grows over attaches and restarts of the coordinator.
    pub fn desire(&mut self, mut desired: DesiredState) {
        desired.revision = self.desired.revision;
        // A renewed attach knows what was desired before, yet has not sent it.
        let sent = self.link.as_ref().is_some_and(|link| link.borrow().desired.is_some());
        if sent && desired == *self.desired {
            return;
        }
        desired.revision = (self.desired.revision + 1).max(self.epoch << 32 | 1);
        let definitions = desired.functions.iter().filter_map(|assignment| assignment.definition.as_ref());
        let names = definitions.map(|definition| versioned(&definition.name, definition.version));
        let since = |name: String| {
            let since = self.wanted.get(&name).copied().unwrap_or(desired.revision);
            (name, since)
        };
        let wanted: HashMap<_, _> = names.map(since).collect();
        self.statuses.retain(|name, _| self.wanted.contains_key(name) || !wanted.contains_key(name));
        self.wanted = wanted;
        self.desired = Arc::new(desired);
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
        self.wanted.contains_key(function)
    }

    /// The state that it reports of a function that it should serve.
    pub fn status(&self, function: &str) -> FunctionStatus {
        let pending = || FunctionStatus { function: function.to_owned(), ..FunctionStatus::default() };
        let mut status = self.statuses.get(function).cloned().unwrap_or_else(pending);
        if status.state() == LoadState::Unspecified {
            status.set_state(LoadState::Pending);
        }
        status
    }

    /// Itself as a route to the function, where it reports it READY.
    pub fn server(&self, function: &str) -> Option<Server> {
        let status = self.statuses.get(function).filter(|s| s.state() == LoadState::Ready)?;
        let serves = self.serving() && self.wants(function);
        serves.then(|| Server { endpoint: Arc::clone(&self.endpoint), interpreters: status.interpreters.max(1) })
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
            functions: self.statuses.values().cloned().collect(),
            report_age_ms: u64::try_from(age).unwrap_or(u64::MAX),
        }
    }
}
