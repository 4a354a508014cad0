//! The actor's state and every decision it takes: plain and synchronous, told the time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{
    BuildLogLine, ErrorCode, ExecutorInfo, FunctionDefinition, FunctionInfo, FunctionProgress, FunctionStatus, Hello,
    LoadState, Report,
};

use super::member::{Member, NodeAddress};
use super::message::{Link, Unplaced, WatchEvent};
use super::metrics::MetricsBook;
use super::plan;
use super::refresh::Refresh;
use super::status::{Outcome, progress_line};
use crate::registry::{Catalog, Function};
use crate::routes::{Endpoint, RouteTable, Routes, Server, Target};
use crate::scheduler::{self, Offer, Placement};

/// Lost executors that are still shown; older ones are forgotten.
const LOST_KEPT: usize = 32;

/// A registration that waits.
struct Watch {
    function: Arc<Function>,
    unplaced: Unplaced,
    events: mpsc::UnboundedSender<WatchEvent>,
    told: String,
    served: bool,
}

pub(super) struct Core {
    pub members: BTreeMap<String, Member>,
    pub placement: Placement,
    catalog: Arc<Catalog>,
    book: MetricsBook,
    watches: Vec<Watch>,
    refresh: Refresh,
    routes: Arc<RouteTable>,
    timeout: Duration,
}

impl Core {
    pub fn new(catalog: Arc<Catalog>, routes: Arc<RouteTable>, timeout: Duration) -> Self {
        let mut core = Self {
            members: BTreeMap::new(),
            placement: Placement::default(),
            catalog,
            book: MetricsBook::default(),
            watches: Vec::new(),
            refresh: Refresh::default(),
            routes,
            timeout,
        };
        core.replan();
        core
    }

    pub fn attach(&mut self, hello: Hello, epoch: u64, draining: bool, link: Link, now: Instant) -> Result<(), Error> {
        if let Some(held) = self.members.get(&hello.executor)
            && held.epoch >= epoch
        {
            return Err(Error::new(ErrorCode::ExecutorLost, format!("a newer attach of {} is here", hello.executor)));
        }
        let endpoint = Endpoint::new(&hello.executor, &hello.address, epoch)?;
        tracing::info!(executor = hello.executor, address = hello.address, epoch, "executor attached");
        let mut member = Member::new(hello, epoch, link, draining, endpoint, now);
        if let Some(before) = self.members.get(member.id())
            && before.hello.incarnation == member.hello.incarnation
        {
            member.log_seen = before.log_seen;
            member.desired = Arc::clone(&before.desired);
        }
        self.refresh.joined(&member);
        // Replacing drops the older attach's link, which ends its stream.
        self.members.insert(member.id().to_owned(), member);
        self.replan();
        Ok(())
    }

    pub fn report(&mut self, executor: &str, epoch: u64, mut report: Report, now: Instant) {
        let Some(member) = self.members.get_mut(executor).filter(|m| m.epoch == epoch && m.attached()) else { return };
        let stale = report.sequence <= member.report.sequence && member.report.sequence > 0;
        let held_nothing = member.holds_nothing();
        let changed = member.take(&mut report, now);
        if stale {
            return;
        }
        let log_seen = member.log_seen;
        let fresh: Vec<BuildLogLine> = report.build_log.into_iter().filter(|line| line.sequence > log_seen).collect();
        member.log_seen = fresh.iter().map(|line| line.sequence).max().unwrap_or(log_seen);
        let replan = member.draining && held_nothing != member.holds_nothing();
        let incarnation = member.hello.incarnation.clone();
        let catalog = &self.catalog;
        let known =
            |name: &str| FunctionRef::parse(name).is_ok_and(|f| catalog.get(&f.name, f.version.unwrap_or(0)).is_some());
        let metrics = report.metrics.into_iter().filter(|m| known(&m.function)).collect();
        self.book.report(executor, &incarnation, metrics, &report.forgotten);
        self.pass_on(&fresh);
        self.refresh.settle(&self.members);
        if replan {
            self.replan();
        } else if changed {
            self.settle();
        }
    }

    pub fn detach(&mut self, executor: &str, epoch: u64) {
        let Some(member) = self.members.get_mut(executor).filter(|m| m.epoch == epoch && m.attached()) else { return };
        tracing::warn!(executor, epoch, "executor lost");
        member.link = None;
        self.book.lost(executor);
        self.refresh.settle(&self.members);
        self.forget_old();
        self.replan();
    }

    fn forget_old(&mut self) {
        let mut lost: Vec<(Instant, String)> =
            self.members.values().filter(|m| !m.attached()).map(|m| (m.heard, m.id().to_owned())).collect();
        lost.sort();
        for (_, id) in lost.iter().take(lost.len().saturating_sub(LOST_KEPT)) {
            self.members.remove(id);
            self.book.forget(id);
        }
    }

    /// Finds executors that have gone silent.
    pub fn tick(&mut self, now: Instant) {
        let silent = |m: &&Member| m.attached() && now.saturating_duration_since(m.heard) > self.timeout;
        let lost: Vec<(String, u64)> =
            self.members.values().filter(silent).map(|m| (m.id().to_owned(), m.epoch)).collect();
        for (executor, epoch) in lost {
            tracing::warn!(executor, seconds = self.timeout.as_secs(), "no report in time");
            if let Some(member) = self.members.get(&executor) {
                member.endpoint.give_up();
            }
            self.detach(&executor, epoch);
        }
    }

    pub fn set_catalog(&mut self, catalog: Arc<Catalog>) {
        self.catalog = catalog;
        let catalog = &self.catalog;
        self.book.retain(|name| {
            FunctionRef::parse(name).is_ok_and(|f| catalog.get(&f.name, f.version.unwrap_or(0)).is_some())
        });
        self.replan();
    }

    pub fn drain(&mut self, executor: &str, draining: bool, now: Instant) -> Option<ExecutorInfo> {
        let member = self.members.get_mut(executor)?;
        if member.draining != draining {
            tracing::info!(executor, draining, "drain");
            member.draining = draining;
            member.report.drained = false;
            self.replan();
        }
        self.members.get(executor).map(|m| m.info(now))
    }

    fn offers(&self) -> Vec<Offer> {
        self.members.values().filter(|m| m.attached()).map(Member::offer).collect()
    }

    /// Whether any executor that is attached could ever run it.
    pub fn feasible(&self, definition: FunctionDefinition) -> Result<(), Error> {
        let function = Function::new(definition);
        let offers = self.offers();
        let wish = plan::wish(&function);
        scheduler::feasible(&wish, &offers).map_err(|reason| {
            let error = if offers.is_empty() {
                Error::new(ErrorCode::NoCapacity, reason).hint("start one: udfleet-executor --coordinator HOST:PORT")
            } else {
                Error::new(ErrorCode::Infeasible, reason).hint(scheduler::remedy(&wish, &offers))
            };
            error.function(function.definition.name)
        })
    }

    /// Places everything anew and tells executors what changed for them.
    fn replan(&mut self) {
        let wanted = plan::wishes(&self.catalog);
        self.placement = scheduler::place(&wanted, &self.offers(), &self.placement.assigned);
        for member in self.members.values_mut().filter(|m| m.attached()) {
            if let Some(desired) = plan::desired(member, &self.catalog, &self.placement.assigned) {
                member.desire(desired);
            }
        }
        self.settle();
    }

    /// Publishes routes first, so that who hears "ready" can call.
    fn settle(&mut self) {
        let mut members = std::mem::take(&mut self.members);
        let servers: Vec<Vec<Server>> = self
            .catalog
            .iter()
            .map(|function| members.values_mut().filter_map(|m| m.server(function)).collect())
            .collect();
        self.members = members;
        let target = |(function, servers): (&Arc<Function>, Vec<Server>)| {
            let reason = if servers.is_empty() { self.info(function).reason } else { String::new() };
            Target { function: Arc::clone(function), servers, reason }
        };
        self.routes.publish(Routes::new(Arc::clone(&self.catalog), self.catalog.iter().zip(servers).map(target)));
        let watches = std::mem::take(&mut self.watches);
        self.watches = watches.into_iter().filter_map(|watch| self.advance(watch)).collect();
    }

    pub fn watch(&mut self, name: &str, unplaced: Unplaced, events: mpsc::UnboundedSender<WatchEvent>) {
        let found =
            FunctionRef::parse(name).ok().and_then(|f| self.catalog.get(&f.name, f.version.unwrap_or(0)).cloned());
        match found {
            Some(function) => {
                let watch = self.advance(Watch { function, unplaced, events, told: String::new(), served: false });
                self.watches.extend(watch);
            }
            None => {
                let error = Error::new(ErrorCode::FunctionNotFound, "it was dropped meanwhile").function(name);
                let _ = events.send(WatchEvent::Failed(Box::new(error.into_info())));
            }
        }
    }

    /// Tells a waiting registration how it stands; `None` once it need not wait on.
    fn advance(&self, mut watch: Watch) -> Option<Watch> {
        let function = &watch.function;
        let ready = |(_, status): &(String, FunctionStatus)| status.state() == LoadState::Ready;
        if !watch.served && self.statuses(&function.name).iter().any(ready) {
            watch.served = true;
            let _ = watch.events.send(WatchEvent::Served);
        }
        let event = if self.catalog.get(&function.definition.name, function.definition.version).is_none() {
            let error =
                Error::new(ErrorCode::FunctionNotFound, "it was dropped meanwhile").function(function.name.as_str());
            WatchEvent::Failed(Box::new(error.into_info()))
        } else {
            let outcome = match self.outcome(function) {
                Outcome::Failed(_) if watch.unplaced == Unplaced::Waits && self.statuses(&function.name).is_empty() => {
                    Outcome::Pending
                }
                outcome => outcome,
            };
            match outcome {
                Outcome::Ready => WatchEvent::Ready(Box::new(self.info(function))),
                Outcome::Failed(info) => WatchEvent::Failed(info),
                Outcome::Pending => {
                    let line = progress_line(&self.statuses(&function.name));
                    if line == watch.told {
                        return (!watch.events.is_closed()).then_some(watch);
                    }
                    watch.told.clone_from(&line);
                    return watch.events.send(WatchEvent::Progress(line)).is_ok().then_some(watch);
                }
            }
        };
        // Who waited may be gone.
        let _ = watch.events.send(event);
        None
    }

    fn pass_on(&self, lines: &[BuildLogLine]) {
        for watch in &self.watches {
            for line in lines.iter().filter(|line| line.environment == watch.function.environment) {
                let _ = watch.events.send(WatchEvent::BuildLog(line.clone()));
            }
        }
    }

    /// `None`: every name's newest version, or every version.
    pub fn functions(&self, which: Option<&FunctionRef>, all_versions: bool) -> Vec<FunctionInfo> {
        match which {
            None if all_versions => self.catalog.iter().map(|f| self.info(f)).collect(),
            None => self.catalog.names().filter_map(|n| self.catalog.newest(n)).map(|f| self.info(f)).collect(),
            Some(FunctionRef { name, version: None }) => {
                self.catalog.newest(name).map(|f| self.info(f)).into_iter().collect()
            }
            Some(which) => self.catalog.matching(which).iter().map(|f| self.info(f)).collect(),
        }
    }

    /// Answers once every attached executor has reported anew.
    pub fn refresh(&mut self, reply: oneshot::Sender<()>) {
        self.refresh.ask(&self.members, reply);
    }

    /// `None`: one entry per version.
    pub fn progress(&self, which: Option<&FunctionRef>) -> Vec<FunctionProgress> {
        let names = |functions: Vec<Arc<Function>>| functions.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
        match which {
            Some(which) => match names(self.catalog.matching(which)) {
                names if names.is_empty() => Vec::new(),
                names => vec![self.book.progress(&which.to_string(), &names)],
            },
            None => self.catalog.iter().map(|f| self.book.progress(&f.name, std::slice::from_ref(&f.name))).collect(),
        }
    }

    pub fn executors(&self, now: Instant) -> Vec<ExecutorInfo> {
        self.members.values().map(|m| m.info(now)).collect()
    }

    pub fn nodes(&self) -> Vec<NodeAddress> {
        let attached = self.members.values().filter(|m| m.attached());
        attached.map(|m| NodeAddress { executor: m.id().to_owned(), channel: m.endpoint.channel() }).collect()
    }
}
