//! The state of the actor and all its decisions: plain and synchronous; the time is an argument.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use udfleet_proto::error::Error;
use udfleet_proto::v1::{BuildLogLine, ErrorCode, ExecutorInfo, FunctionDefinition, Report};

use super::claims::Claims;
use super::demand::{self, Demand};
use super::fitness::Fitness;
use super::leadership::Leadership;
use super::member::{Member, NodeAddress};
use super::message::{NewAttachment, Unplaced, WatchEvent};
use super::publish::ShownDesired;
use super::reach::OtherClaims;
use super::record::Record;
use super::refresh::Refresh;
use super::watches::Watches;
use crate::registry::{Catalog, CatalogChange, Function};
use crate::routes::{Endpoint, RouteTable};
use crate::scheduler::{self, Offer, Placer};
use crate::snapshot::{SnapshotBuilder, SnapshotCell};
use crate::store::Revision;

/// Lost executors that are still shown; older ones are forgotten.
const LOST_KEPT: usize = 32;

pub(super) struct MembershipCore {
    pub members: BTreeMap<String, Member>,
    pub(super) placer: Placer,
    pub(super) demand: Demand,
    pub(super) builder: SnapshotBuilder,
    /// What the snapshot says of executors, by id.
    pub(super) shown: HashMap<Arc<str>, ShownDesired>,
    pub(super) watches: Watches,
    pub(super) routes: Arc<RouteTable>,
    pub(super) snapshots: Arc<SnapshotCell>,
    pub(super) catalog: Arc<Catalog>,
    refresh: Refresh,
    timeout: Duration,
    pub(super) leadership: Leadership,
    /// What the store holds of executors, as far as this coordinator has heard.
    pub(super) records: BTreeMap<String, (Revision, Record)>,
    claims_changed: bool,
    /// What the other coordinators have attached.
    pub(super) others: OtherClaims,
    pub(super) fitness: Fitness,
    /// Functions looked at for executors since the coordinator started: what planning has cost.
    pub(super) looked_at: u64,
}

impl MembershipCore {
    pub fn new(
        catalog: Arc<Catalog>,
        routes: Arc<RouteTable>,
        snapshots: Arc<SnapshotCell>,
        timeout: Duration,
    ) -> Self {
        let mut core = Self {
            members: BTreeMap::new(),
            placer: Placer::default(),
            demand: Demand::default(),
            builder: SnapshotBuilder::default(),
            shown: HashMap::new(),
            watches: Watches::default(),
            routes,
            snapshots,
            catalog: Arc::default(),
            refresh: Refresh::default(),
            timeout,
            leadership: Leadership::default(),
            records: BTreeMap::new(),
            claims_changed: false,
            others: OtherClaims::default(),
            fitness: Fitness::default(),
            looked_at: 0,
        };
        core.set_catalog(catalog);
        core
    }

    /// Lets an executor in. A process that attaches again replaces its older attachment; another process under the id
    /// of one that lives is refused, as the two would otherwise replace each other for ever.
    pub fn attach(&mut self, mut attachment: NewAttachment, now: Instant) -> Result<(), Error> {
        // While it was let in, more may have been heard of it.
        if let Some((heard, record)) = self.records.get(&attachment.hello.executor)
            && *heard > attachment.revision
        {
            if record.epoch > attachment.epoch {
                let message = format!("another process serves as {} now", attachment.hello.executor);
                return Err(Error::new(ErrorCode::ExecutorLost, message));
            }
            attachment.draining = record.draining;
        }
        let NewAttachment { hello, epoch, number, .. } = &attachment;
        let (epoch, number) = (*epoch, *number);
        if let Some(held) = self.members.get(&hello.executor) {
            if held.staying() && held.hello.incarnation != hello.incarnation {
                return Err(held.claim().id_is_taken(held.id()));
            }
            if (held.epoch, held.number) >= (epoch, number) {
                let message = format!("a newer attachment of {} is here", hello.executor);
                return Err(Error::new(ErrorCode::ExecutorLost, message));
            }
        }
        let endpoint = Endpoint::new(self.routes.connector(), hello, epoch)?;
        tracing::info!(executor = hello.executor, address = hello.address, epoch, "executor attached");
        let mut member = Member::new(attachment, endpoint, now);
        if let Some(before) = self.members.get(member.id())
            && before.hello.incarnation == member.hello.incarnation
        {
            member.succeed(before);
        }
        self.refresh.joined(&member);
        let id = Arc::clone(member.key());
        // Replacing drops the older attachment's link, which ends its stream.
        let replaced = self.members.insert(member.id().to_owned(), member);
        self.claims_changed = true;
        if self.members.get(&*id).is_some_and(Member::placeable) {
            self.executor_changed(&id);
            if self.leadership.settle(&self.members, now) {
                self.tell_all();
            }
        } else {
            // What it holds counts, and is changed, once it has said so: with its first report.
            self.sync(&id);
        }
        if let Some(replaced) = replaced {
            self.show_placement(replaced.desired.environments.iter().map(|(environment, _)| &**environment).collect());
            self.show_built(&id, &replaced.built);
        } else {
            self.show_built(&id, &BTreeSet::new());
        }
        self.show(&id);
        self.publish();
        Ok(())
    }

    /// Whether a process may attach under the id; what is known of it without the store.
    pub fn admit(&self, executor: &str, incarnation: &str) -> Result<Option<Record>, Error> {
        if let Some(held) = self.members.get(executor)
            && held.staying()
            && held.hello.incarnation != incarnation
        {
            return Err(held.claim().id_is_taken(held.id()));
        }
        let known = self.records.get(executor).map(|(_, record)| record);
        Ok(known.filter(|record| record.incarnation == incarnation).cloned())
    }

    /// What the store holds of an executor, as of a revision: any coordinator may have changed it.
    pub fn remember(
        &mut self,
        executor: &str,
        revision: Revision,
        record: Record,
        now: Instant,
    ) -> Option<ExecutorInfo> {
        if self.records.get(executor).is_none_or(|(known, _)| *known < revision) {
            let (epoch, draining) = (record.epoch, record.draining);
            self.records.insert(executor.to_owned(), (revision, record));
            let member = self.members.get(executor)?;
            if member.attached() && member.epoch < epoch {
                tracing::warn!(executor, epoch, "another process serves under its id now");
                let number = member.number;
                self.detach(executor, number, now);
            } else {
                self.drain(executor, draining);
            }
        }
        self.entry(executor).map(|entry| entry.info(now))
    }

    /// What is attached here, where that has changed since this was last asked.
    pub fn take_claims(&mut self) -> Option<Claims> {
        if !std::mem::take(&mut self.claims_changed) {
            return None;
        }
        let attached = self.members.values().filter(|member| member.staying());
        Some(attached.map(|member| (member.id().to_owned(), member.claim())).collect())
    }

    pub fn report(&mut self, executor: &str, number: u64, mut report: Report, now: Instant) {
        let Some(member) = self.members.get_mut(executor).filter(|m| m.number == number && m.attached()) else {
            return;
        };
        let Some(news) = member.take(&mut report, now) else { return };
        let log_seen = member.log_seen;
        let fresh: Vec<BuildLogLine> = report.build_log.into_iter().filter(|line| line.sequence > log_seen).collect();
        member.log_seen = fresh.iter().map(|line| line.sequence).max().unwrap_or(log_seen);
        let id = Arc::clone(member.key());
        if member.serving() {
            for function in news.functions.iter().filter(|function| member.wants(function)) {
                self.builder.set_status(function, &id, Some(member.status(function)));
            }
        }
        self.builder.count(&id, &member.hello.incarnation, report.metrics, &report.forgotten);
        self.show_built(&id, &news.built_before);
        self.watches.build_log(&fresh);
        if let Some(changes) = &news.held {
            self.take_held(executor, changes, now);
        }
        if news.drained || news.secrets {
            self.executor_changed(executor);
        }
        self.show(executor);
        self.publish();
        // Who has asked for numbers of now reads them in what was published.
        self.refresh.settle(&self.members, now);
    }

    /// The executor stops in order: nothing new goes to it. It goes on reporting until its stream ends.
    pub fn goodbye(&mut self, executor: &str, number: u64) {
        let Some(member) = self.members.get_mut(executor).filter(|m| m.number == number && m.attached()) else {
            return;
        };
        tracing::info!(executor, epoch = member.epoch, "executor stops");
        member.stopping = true;
        self.claims_changed = true;
        self.executor_changed(executor);
        self.show(executor);
        self.publish();
    }

    pub fn detach(&mut self, executor: &str, number: u64, now: Instant) {
        let Some(member) = self.members.get_mut(executor).filter(|m| m.number == number && m.attached()) else {
            return;
        };
        if member.stopping {
            tracing::info!(executor, epoch = member.epoch, "executor stopped");
        } else {
            tracing::warn!(executor, epoch = member.epoch, "executor lost");
        }
        member.link = None;
        self.claims_changed = true;
        let (id, built) = (Arc::clone(member.key()), std::mem::take(&mut member.built));
        self.builder.stop_counting(&id);
        self.show_built(&id, &built);
        self.executor_changed(executor);
        self.show(executor);
        self.forget_old();
        self.publish();
        self.refresh.settle(&self.members, now);
    }

    fn forget_old(&mut self) {
        let mut lost: Vec<(Instant, String)> =
            self.members.values().filter(|m| self.is_gone(m)).map(|m| (m.heard, m.id().to_owned())).collect();
        lost.sort();
        for (_, id) in lost.iter().take(lost.len().saturating_sub(LOST_KEPT)) {
            if let Some(member) = self.members.remove(id) {
                self.shown.remove(member.key());
                self.builder.forget(member.key());
            }
        }
    }

    /// Of the environments on an executor's disk, those that have come or gone.
    fn show_built(&mut self, executor: &Arc<str>, before: &BTreeSet<String>) {
        let Some(member) = self.members.get(&**executor) else { return };
        for hash in before.symmetric_difference(&member.built) {
            for group in self.builder.groups(hash) {
                self.builder.set_built(&group, executor, member.built.contains(hash));
            }
        }
        if *before != member.built && member.placeable() {
            self.placer.offer(executor, Some(member.offer()));
        }
    }

    /// An executor has come, gone or changed: what it has goes elsewhere, or it gets something.
    pub(super) fn executor_changed(&mut self, executor: &str) {
        // What is attached to another coordinator only keeps what it has.
        let counts = |member: &&Member| member.placeable() || self.is_unreachable(member);
        let offer = self.members.get(executor).filter(counts).map(Member::offer);
        self.placer.offer(executor, offer);
        self.replan(&CatalogChange::default(), Some(executor));
    }

    /// Finds executors that have gone silent.
    pub fn tick(&mut self, now: Instant) {
        let silent = |m: &&Member| m.attached() && now.saturating_duration_since(m.heard) > self.timeout;
        let lost: Vec<(String, u64)> =
            self.members.values().filter(silent).map(|m| (m.id().to_owned(), m.number)).collect();
        for (executor, number) in lost {
            tracing::warn!(executor, seconds = self.timeout.as_secs(), "no report in time");
            if let Some(member) = self.members.get(&executor) {
                member.endpoint.give_up();
            }
            self.detach(&executor, number, now);
        }
        if self.leadership.settle(&self.members, now) {
            self.tell_all();
            self.publish();
        }
        if self.placer.is_stale() {
            self.replan(&CatalogChange::default(), None);
            self.publish();
        }
    }

    pub fn set_catalog(&mut self, catalog: Arc<Catalog>) {
        let before = std::mem::replace(&mut self.catalog, Arc::clone(&catalog));
        let change = catalog.since(&before);
        self.builder.set_catalog(&catalog, &change);
        change.dropped.iter().for_each(|function| self.demand.remove(function));
        for function in &change.added {
            // An environment that is new here may lie on a disk from an earlier time.
            if self.demand.wanted(&function.environment).is_none() {
                let built = self.members.values().filter(|member| {
                    member.built.contains(udfleet_proto::environment::of_group(&function.environment))
                });
                built.for_each(|member| self.builder.set_built(&function.environment, member.key(), true));
            }
        }
        change.added.iter().for_each(|function| self.demand.add(function));
        self.withdraw_from_unreachable(&change);
        let changed = change.dropped.iter().chain(&change.added).map(|function| function.environment.as_str());
        for environment in changed.collect::<BTreeSet<_>>() {
            self.placer.want(environment, self.demand.wanted(environment));
        }
        let followed = self.follow_catalog(&change);
        followed.iter().for_each(|executor| self.sync(executor));
        self.replan(&change, None);
        self.publish();
    }

    pub(super) fn drain(&mut self, executor: &str, draining: bool) {
        let Some(member) = self.members.get_mut(executor) else { return };
        if member.draining != draining {
            tracing::info!(executor, draining, "drain");
            member.draining = draining;
            member.report.drained = false;
            self.executor_changed(executor);
            self.show(executor);
            self.publish();
        }
    }

    /// Whether any executor that is attached could ever run it.
    pub fn feasible(&self, definition: FunctionDefinition) -> Result<(), Error> {
        let function = Function::new(definition);
        let offers: Vec<&Offer> = self.placer.offers().collect();
        let request = demand::placement_request(&function);
        scheduler::feasible(&request, &offers).map_err(|reason| {
            let error = if offers.is_empty() {
                Error::new(ErrorCode::NoCapacity, reason).hint("start one: udfleet-executor --coordinator HOST:PORT")
            } else {
                Error::new(ErrorCode::Infeasible, reason).hint(scheduler::remedy(&request, &offers))
            };
            error.function(function.definition.name)
        })
    }

    pub fn watch(&mut self, function: &str, unplaced: Unplaced, events: mpsc::UnboundedSender<WatchEvent>) {
        self.watches.begin(function, unplaced, events, self.builder.now());
    }

    /// Answers once every attached executor has reported anew.
    pub fn refresh(&mut self, reply: oneshot::Sender<()>, now: Instant) {
        self.refresh.ask(&self.members, reply, now);
    }

    pub fn nodes(&self) -> Vec<NodeAddress> {
        let attached = self.members.values().filter(|m| m.attached());
        attached.map(|m| NodeAddress { executor: m.id().to_owned(), channel: m.endpoint.channel() }).collect()
    }
}
