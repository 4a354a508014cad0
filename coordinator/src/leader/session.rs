//! The shell around the election: does its operations on the store, one at a time, and tells what comes of them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use udfleet_edge::clock;

use super::election::{Election, Event, Failure, Operation, Role, Timing};
use super::keys::{Announcement, LEADER, decode, encode};
use super::peers::{self, Peers};
use crate::registry::Owner;
use crate::store::{Condition, LeaseId, Revision, SharedStore, StoreError, Write};

/// How long giving leadership back may hold up the end of the process.
const RESIGN_WITHIN: Duration = Duration::from_secs(1);

/// What a coordinator is at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it leads.
    pub role: Role,
    /// What it writes under, to vanish with it; it may have ended.
    pub lease: Option<LeaseId>,
}

impl Standing {
    /// What each write of a leader is conditioned on: that it leads still. `None`: it does not.
    #[must_use]
    pub fn fence(&self) -> Option<Condition> {
        self.role.term().map(|term| Condition::unchanged(LEADER, Some(term)))
    }
}

/// This coordinator's part in the cluster.
#[derive(Clone)]
pub struct Session {
    me: Arc<Announcement>,
    standing: watch::Receiver<Standing>,
    peers: watch::Receiver<Peers>,
    may_lead: Arc<watch::Sender<bool>>,
}

impl Session {
    /// Joins the coordinators that share this store, until `stop`: then it gives leadership back. The task ends once
    /// that is done.
    #[must_use]
    pub fn start(
        store: SharedStore,
        me: Announcement,
        timing: Timing,
        stop: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let me = Arc::new(me);
        let (standing, standings) = watch::channel(Standing::default());
        let (told, peers) = watch::channel(Peers::default());
        let (events, news) = watch::channel(None);
        let (may_lead, allowed) = watch::channel(true);
        let follow = peers::follow(Arc::clone(&store), told, events);
        let candidate = Candidate { store, me: Arc::clone(&me), timing, first: true };
        let task = tokio::spawn(async move {
            tokio::select! {
                biased;
                () = run(candidate, standing, ElectionNews { key: news, may_lead: allowed }, stop) => {}
                // Ends with the store.
                () = follow => {}
            }
        });
        (Self { me, standing: standings, peers, may_lead: Arc::new(may_lead) }, task)
    }

    /// What this coordinator is now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// Tells of each change of it.
    #[must_use]
    pub fn standings(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Says whether this coordinator may lead: where not, it gives leadership up.
    pub fn set_may_lead(&self, may_lead: bool) {
        self.may_lead.send_if_modified(|now| std::mem::replace(now, may_lead) != may_lead);
    }

    /// The coordinators of the fleet, and whenever that changes.
    #[must_use]
    pub fn peers(&self) -> watch::Receiver<Peers> {
        self.peers.clone()
    }

    /// What this coordinator tells others of itself.
    #[must_use]
    pub fn me(&self) -> &Announcement {
        &self.me
    }
}

/// What the election hears besides answers of the store.
struct ElectionNews {
    /// Of the leader's key.
    key: watch::Receiver<Option<Event>>,
    may_lead: watch::Receiver<bool>,
}

type UnderWay = Pin<Box<dyn Future<Output = Event> + Send>>;

async fn run(
    mut candidate: Candidate,
    standing: watch::Sender<Standing>,
    mut news: ElectionNews,
    stop: CancellationToken,
) {
    let mut election = Election::new(candidate.timing, clock::now());
    let mut under_way: Option<UnderWay> = None;
    let mut event = Event::Time;
    loop {
        if let Some(operation) = election.step(event, clock::now()) {
            under_way = Some(candidate.begin(operation));
        }
        publish(&standing, &election);
        let deadline = election.deadline(clock::now());
        event = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            done = next(&mut under_way) => {
                under_way = None;
                done
            }
            Ok(()) = news.key.changed() => news.key.borrow_and_update().unwrap_or(Event::Time),
            Ok(()) = news.may_lead.changed() => Event::MayLead(*news.may_lead.borrow_and_update()),
            () = clock::sleep_until(deadline) => Event::Time,
        };
    }
    let leads = standing.borrow().role.term().is_some();
    standing.send_replace(Standing::default());
    if clock::timeout(RESIGN_WITHIN, candidate.leave(leads)).await.is_err() {
        tracing::warn!("the store does not answer: this coordinator's lease ends by itself");
    }
}

/// Never, where nothing is under way.
async fn next(under_way: &mut Option<UnderWay>) -> Event {
    match under_way {
        Some(operation) => operation.await,
        None => std::future::pending().await,
    }
}

fn publish(standing: &watch::Sender<Standing>, election: &Election) {
    let now = Standing { role: election.role(), lease: election.lease() };
    let before = *standing.borrow();
    if now == before {
        return;
    }
    if now.role != before.role {
        match now.role {
            Role::Leader { term } => tracing::info!(term, "this coordinator leads"),
            Role::Follower => tracing::info!("this coordinator follows"),
            Role::Detached => {
                tracing::warn!("the lease could not be renewed: this coordinator only routes until it is")
            }
        }
    }
    standing.send_replace(now);
}

/// Does operations for one coordinator.
struct Candidate {
    store: SharedStore,
    me: Arc<Announcement>,
    timing: Timing,
    /// The key of an earlier run of this coordinator is its own: that run has ended. Only asked once, so that two
    /// processes over one folder do not take it from each other for ever.
    first: bool,
}

impl Candidate {
    fn begin(&mut self, operation: Operation) -> UnderWay {
        let (store, me) = (Arc::clone(&self.store), Arc::clone(&self.me));
        let (ttl, within) = (self.timing.ttl, self.timing.renewal());
        match operation {
            Operation::Grant => Box::pin(async move { Event::Granted(answer(within, grant(&store, &me, ttl)).await) }),
            Operation::Renew(lease) => {
                Box::pin(async move { Event::Renewed(answer(within, store.keep_alive(lease)).await) })
            }
            Operation::Resign => {
                Box::pin(async move { Event::Resigned(answer(within, resign(&store, &me.owner)).await) })
            }
            Operation::Campaign(lease) => {
                let first = std::mem::take(&mut self.first);
                Box::pin(
                    async move { Event::Campaigned(answer(within, campaign(&store, &me.owner, lease, first)).await) },
                )
            }
        }
    }

    /// The coordinator stops.
    async fn leave(&self, leads: bool) {
        if leads {
            let _ = resign(&self.store, &self.me.owner).await;
        }
        // What it claims stays until the lease ends: its next run, or the next leader, waits for these executors.
        let _ = self.store.transact(&[], vec![Write::delete(self.me.key())]).await;
    }
}

async fn answer<T>(within: Duration, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, Failure> {
    match clock::timeout(within, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(StoreError::NoLease(_))) => Err(Failure::LeaseEnded),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a lease in the metadata store");
            Err(Failure::Unknown)
        }
        Err(_) => Err(Failure::Unknown),
    }
}

async fn grant(store: &SharedStore, me: &Announcement, ttl: Duration) -> Result<LeaseId, StoreError> {
    let lease = store.grant_lease(ttl).await?;
    store.transact(&[], vec![Write::leased(me.key(), encode(me), lease)]).await?;
    Ok(lease)
}

/// Deletes the leader's key where it is this process's.
async fn resign(store: &SharedStore, me: &Owner) -> Result<(), StoreError> {
    let held = store.get(LEADER).await?;
    let mine = held.filter(|entry| decode::<Owner>(&entry.value).is_some_and(|owner| owner == *me));
    if let Some(entry) = mine {
        // Refused where another leads meanwhile: that is as good.
        let unchanged = Condition::unchanged(LEADER, Some(entry.revision));
        store.transact(&[unchanged], vec![Write::delete(LEADER)]).await?;
    }
    Ok(())
}

/// The term, where the key could be created. One's own key is written anew: a term is never led twice.
async fn campaign(
    store: &SharedStore,
    me: &Owner,
    lease: LeaseId,
    first: bool,
) -> Result<Option<Revision>, StoreError> {
    let held = store.get(LEADER).await?;
    if let Some(entry) = &held {
        let mine = decode::<Owner>(&entry.value).is_some_and(|owner| owner == *me || first && me.succeeds(&owner));
        if !mine {
            return Ok(None);
        }
    }
    let as_read = Condition::unchanged(LEADER, held.map(|entry| entry.revision));
    store.transact(&[as_read], vec![Write::leased(LEADER, encode(me), lease)]).await
}
