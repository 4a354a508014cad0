//! The coordinator's view of one executor.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tonic::transport::Channel;
use udfleet_proto::v1::{ExecutorState, FunctionStatus, Hello, LoadState, Report};

use super::desired::Desired;
use super::held::{HeldChanges, ReportedState};
use super::message::{Link, NewAttachment, Origin};
use super::record::Claim;
use crate::registry::{Catalog, CatalogChange, Function};
use crate::routes::{Endpoint, Server};
use crate::scheduler::Offer;
use crate::snapshot::{self, ExecutorEntry};

/// How to reach an attached executor's Node service.
#[derive(Debug, Clone)]
pub struct NodeAddress {
    /// Its id.
    pub executor: String,
    /// A connection to it.
    pub channel: Channel,
}

/// What is new in a report.
pub(super) struct ReportNews {
    /// Functions (`add@3`) whose status has changed.
    pub functions: Vec<Arc<str>>,
    /// Of what it holds; `None`: nothing.
    pub held: Option<HeldChanges>,
    /// Environments that were on its disk before.
    pub built_before: BTreeSet<String>,
    /// It drains, and has ended what it was draining.
    pub drained: bool,
    /// It has other secrets than before.
    pub secrets: bool,
}

/// State of one executor. Lost ones are kept for a while, to be shown.
pub(super) struct Member {
    id: Arc<str>,
    pub hello: Arc<Hello>,
    /// Of its process.
    pub epoch: u64,
    /// Of its attach.
    pub number: u64,
    /// `None`: lost.
    pub link: Option<Link>,
    pub draining: bool,
    /// It has said goodbye.
    pub stopping: bool,
    pub origin: Origin,
    /// What it has been told, by a leader; to others, what it reports that it was told.
    pub desired: Arc<Desired>,
    /// `desired` is what it has reported on this attach.
    pub follows_reports: bool,
    /// What this coordinator would desire if it led; none where it does.
    pub expected: Option<Arc<Desired>>,
    /// What it reports of desired state.
    pub held: ReportedState,
    /// The largest revision that this coordinator has sent to its process.
    sent: u64,
    /// The term in which it has sent anything to its process; 0: in none.
    told_term: u64,
    /// As reported, by `add@3`.
    statuses: snapshot::Map<Arc<FunctionStatus>>,
    /// Its latest report, without what is kept elsewhere.
    pub report: Report,
    pub heard: Instant,
    pub endpoint: Arc<Endpoint>,
    /// Build log lines up to here have been passed on.
    pub log_seen: u64,
    pub built: BTreeSet<String>,
    /// Names of those that it has.
    pub secrets: BTreeSet<String>,
    /// Where long calls hold all interpreters, by environment: shared with the routes.
    blocked: HashMap<String, Arc<AtomicBool>>,
}

impl Member {
    pub fn new(attachment: NewAttachment, endpoint: Endpoint, now: Instant) -> Self {
        let NewAttachment { mut hello, epoch, number, draining, revision: _, link, origin } = attachment;
        let held = ReportedState::new(!hello.holds_desired_state);
        Self {
            id: Arc::from(hello.executor.as_str()),
            built: hello.built_environments.iter().cloned().collect(),
            secrets: std::mem::take(&mut hello.secrets).into_iter().collect(),
            hello: Arc::new(hello),
            epoch,
            number,
            link: Some(link),
            draining,
            stopping: false,
            origin,
            desired: Arc::default(),
            follows_reports: false,
            expected: None,
            held,
            sent: 0,
            told_term: 0,
            statuses: snapshot::Map::new_sync(),
            report: Report::default(),
            heard: now,
            endpoint: Arc::new(endpoint),
            log_seen: 0,
            blocked: HashMap::new(),
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its id, to be shared.
    pub fn key(&self) -> &Arc<str> {
        &self.id
    }

    pub fn attached(&self) -> bool {
        self.link.is_some()
    }

    /// True while it takes desired state.
    pub fn staying(&self) -> bool {
        self.attached() && !self.stopping
    }

    /// True once it has said what it holds: before, nobody places anything there or moves what may be there already.
    pub fn placeable(&self) -> bool {
        self.staying() && self.held.complete
    }

    /// True once desired state has been sent over this attach.
    pub fn is_told(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.borrow().desired.is_some())
    }

    /// Goes on from an earlier attach of the same process.
    pub fn succeed(&mut self, before: &Self) {
        self.log_seen = before.log_seen;
        self.desired = Arc::clone(&before.desired);
        self.sent = before.sent;
        self.told_term = before.told_term;
    }

    /// What it reports is what is known of its desired state: this coordinator has not sent any. Returns how many functions it has
    /// looked at.
    pub fn follow_reports(&mut self, catalog: &Catalog, changes: &HeldChanges) -> u64 {
        let looked_at = if self.follows_reports {
            let mut desired = Desired::clone(&self.desired);
            self.held.revise(&mut desired, catalog, self.draining, changes);
            self.desired = Arc::new(desired);
            changes.functions()
        } else {
            self.desired = Arc::new(self.held.desired(catalog, self.draining));
            self.held.functions()
        };
        self.follows_reports = true;
        looked_at as u64
    }

    /// The same where functions have been registered or dropped.
    pub fn follow_catalog(&mut self, catalog: &Catalog, change: &CatalogChange<'_>) -> u64 {
        if !self.follows_reports {
            return self.follow_reports(catalog, &HeldChanges::default());
        }
        let changed = || change.dropped.iter().chain(&change.added).map(|function| function.name.as_str());
        let here = |name: &&str| self.held.knows(name) || self.desired.function(name).is_some();
        if changed().any(|name| here(&name)) {
            let mut desired = Desired::clone(&self.desired);
            self.held.revise_functions(&mut desired, catalog, changed());
            self.desired = Arc::new(desired);
        }
        changed().count() as u64
    }

    /// What this coordinator says of it in the store.
    pub fn claim(&self) -> Claim {
        Claim::new(&self.hello, &self.origin)
    }

    /// True where a drain has nothing to wait for: it says so, or it has never been told to hold anything.
    pub fn holds_nothing(&self) -> bool {
        let fresh = self.held.complete && self.desired.revision == 0 && self.held.revision() == 0;
        self.report.drained || fresh
    }

    /// True where new work may go to it.
    pub fn serving(&self) -> bool {
        self.staying() && !self.draining
    }

    /// Takes in a report and says what is new in it; `None`: it is older than one already seen.
    pub fn take(&mut self, report: &mut Report, now: Instant) -> Option<ReportNews> {
        self.heard = now;
        if report.sequence <= self.report.sequence && self.report.sequence > 0 {
            return None;
        }
        let waits = report.loads.iter().flat_map(|load| &load.waits);
        let waits = waits.map(|wait| (wait.function.as_str(), wait.reason.as_str())).collect();
        for name in &report.unassigned {
            self.statuses.remove_mut(name.as_str());
        }
        let functions = self.take_statuses(std::mem::take(&mut report.functions), &waits);
        let held = self.held.take(report);
        let mut built_before = self.built.clone();
        if report.built_changed {
            let built = std::mem::take(&mut report.built_environments).into_iter().collect();
            built_before = std::mem::replace(&mut self.built, built);
        }
        let mut secrets = false;
        if report.secrets_changed {
            let now = std::mem::take(&mut report.secrets).into_iter().collect();
            secrets = std::mem::replace(&mut self.secrets, now) != self.secrets;
        }
        let held_nothing = self.holds_nothing();
        self.report = Report {
            sequence: report.sequence,
            revision: report.revision,
            interpreters: report.interpreters,
            rss_bytes: report.rss_bytes,
            certificate_ends_unix: report.certificate_ends_unix,
            in_flight: report.in_flight,
            drained: report.drained,
            answers: report.answers,
            loads: std::mem::take(&mut report.loads),
            devices: std::mem::take(&mut report.devices),
            ..Report::default()
        };
        self.note_loads();
        Some(ReportNews {
            functions,
            held,
            built_before,
            drained: self.draining && held_nothing != self.holds_nothing(),
            secrets,
        })
    }

    /// Names of those that are reported, or that wait for something else than before.
    fn take_statuses(&mut self, reported: Vec<FunctionStatus>, waits: &BTreeMap<&str, &str>) -> Vec<Arc<str>> {
        let waiting = |name: &str| waits.get(name).map_or_else(String::new, |reason| (*reason).to_owned());
        let mut changed = Vec::new();
        for mut status in reported {
            if status.state() == LoadState::Unspecified {
                status.set_state(LoadState::Pending);
            }
            // What it says itself is why it does not serve the function yet.
            if status.waiting.is_empty() {
                status.waiting = waiting(&status.function);
            }
            let name: Arc<str> = Arc::from(status.function.as_str());
            self.statuses.insert_mut(Arc::clone(&name), Arc::new(status));
            changed.push(name);
        }
        let named = self.report.loads.iter().flat_map(|load| &load.waits).map(|wait| wait.function.as_str());
        for name in named.chain(waits.keys().copied()).collect::<BTreeSet<_>>() {
            if let Some(held) = self.statuses.get(name).filter(|held| held.waiting != waiting(name)) {
                let status = FunctionStatus { waiting: waiting(name), ..FunctionStatus::clone(held) };
                let name: Arc<str> = Arc::from(name);
                self.statuses.insert_mut(Arc::clone(&name), Arc::new(status));
                changed.push(name);
            }
        }
        changed
    }

    /// What it holds, to be changed: numbered so that it grows over attaches and leaders.
    pub fn next_desired(&self) -> Desired {
        let revision = self.desired.revision.max(self.held.revision()).max(self.sent) + 1;
        Desired { revision, ..Desired::clone(&self.desired) }
    }

    /// True where its process has been sent desired state in this term.
    pub fn is_told_in(&self, term: u64) -> bool {
        self.told_term == term
    }

    /// Sends desired state of this term, where it differs from what was sent; not before it has said what it holds.
    pub fn desire(&mut self, mut next: Desired, term: u64) {
        (self.expected, self.follows_reports) = (None, false);
        // A renewed attach knows what was desired before, yet has not sent it.
        if self.is_told() && self.desired.term == term && next.same(&self.desired) {
            return;
        }
        next.term = term;
        self.desired = Arc::new(next);
        if !self.held.complete {
            return;
        }
        (self.sent, self.told_term) = (self.desired.revision, term);
        if let Some(link) = &self.link {
            link.send_modify(|outbound| outbound.desired = Some(Arc::clone(&self.desired)));
        }
    }

    /// What a leader would desire: another does.
    pub fn expect(&mut self, desired: Desired) {
        self.expected = Some(Arc::new(desired));
    }

    /// Asks it for a report.
    pub fn request_report(&self, number: u64) {
        if let Some(link) = &self.link {
            link.send_modify(|outbound| outbound.request = number);
        }
    }

    /// True where it should hold the function.
    pub fn wants(&self, function: &str) -> bool {
        self.desired.function(function).is_some() || self.expects(function)
    }

    fn expects(&self, function: &str) -> bool {
        self.expected.as_ref().is_some_and(|expected| expected.function(function).is_some())
    }

    /// What it reports of a function that it should hold. Unspecified: another leads, and may or may not place it there.
    pub fn status(&self, function: &str) -> Arc<FunctionStatus> {
        let Some(desired) = self.desired.function(function) else {
            return Arc::new(FunctionStatus { function: function.to_owned(), ..FunctionStatus::default() });
        };
        let pending = || {
            let state = LoadState::Pending as i32;
            Arc::new(FunctionStatus { function: function.to_owned(), state, ..FunctionStatus::default() })
        };
        let reported = self.statuses.get(function).filter(|_| self.held.is_about(desired));
        reported.cloned().unwrap_or_else(pending)
    }

    /// Where it serves the function, and with how many interpreters; `None`: it does not report it READY.
    pub fn serves(&self, function: &str) -> Option<(&Arc<Endpoint>, u32)> {
        let desired = self.desired.function(function).filter(|f| self.serving() && self.held.is_about(f))?;
        let status = self.statuses.get(desired.function.name.as_str()).filter(|s| s.state() == LoadState::Ready)?;
        Some((&self.endpoint, status.interpreters.max(1)))
    }

    /// Itself as a route to the function, where it reports it READY.
    pub fn server(&mut self, function: &Function) -> Option<Server> {
        let (endpoint, interpreters) = self.serves(&function.name)?;
        let endpoint = Arc::clone(endpoint);
        let held = self.is_held(&function.environment);
        let blocked = self.blocked.entry(function.environment.clone());
        let blocked = Arc::clone(blocked.or_insert_with(|| Arc::new(AtomicBool::new(held))));
        Some(Server { endpoint, interpreters, blocked })
    }

    /// Where long calls hold all interpreters of an environment, who chooses an executor knows from now on.
    fn note_loads(&mut self) {
        self.blocked.retain(|_, blocked| Arc::strong_count(blocked) > 1);
        for (environment, blocked) in &self.blocked {
            blocked.store(self.is_held(environment), Ordering::Relaxed);
        }
    }

    /// True where long calls hold all interpreters of an environment.
    fn is_held(&self, environment: &str) -> bool {
        let load = self.report.loads.iter().find(|load| load.environment == environment);
        load.is_some_and(|load| load.interpreters > 0 && load.held >= load.interpreters)
    }

    pub fn offer(&self) -> Offer {
        Offer {
            executor: self.hello.executor.clone(),
            pythons: self.hello.pythons.iter().map(|python| python.version.clone()).collect(),
            capacity: self.hello.max_interpreters,
            default_interpreters: self.hello.interpreters_per_environment.max(1),
            built: self.built.clone(),
            draining: self.draining,
            unreachable: !self.attached(),
            labels: self.hello.labels.clone(),
            sandbox: self.hello.sandbox.clone().unwrap_or_default(),
            secrets: self.secrets.clone(),
            resources: self
                .hello
                .resources
                .iter()
                .map(|(kind, all)| (kind.clone(), all.devices.len() as u32))
                .collect(),
        }
    }

    pub fn state(&self) -> ExecutorState {
        match (self.attached(), self.draining, self.report.drained) {
            _ if self.stopping => ExecutorState::Stopped,
            (false, _, _) => ExecutorState::Lost,
            (true, false, _) => ExecutorState::Ready,
            (true, true, false) => ExecutorState::Draining,
            (true, true, true) => ExecutorState::Drained,
        }
    }

    /// As the snapshot shows it.
    pub fn entry(&self) -> ExecutorEntry {
        ExecutorEntry {
            hello: Arc::clone(&self.hello),
            state: self.state(),
            epoch: self.epoch,
            interpreters: self.report.interpreters,
            rss_bytes: self.report.rss_bytes,
            certificate_ends_unix: self.report.certificate_ends_unix,
            in_flight: self.report.in_flight,
            devices: self.report.devices.clone(),
            functions: self.statuses.clone(),
            heard: self.heard,
            attached_to: Vec::new(),
        }
    }
}
