//! Membership: which executors are attached, what each should serve and what each reports. One actor owns all of it.

mod attach;
mod claims;
mod core;
mod definitions;
mod demand;
mod desired;
mod fitness;
mod follow;
mod handler;
mod held;
mod leadership;
mod member;
mod message;
mod plan;
mod publish;
mod reach;
mod record;
mod refresh;
mod watches;

#[cfg(test)]
mod admission_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor as _, ActorRef};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use udfleet_edge::clock;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, ExecutorInfo, FunctionDefinition, Hello};

pub use attach::{AttachTrust, MembershipService, Output};
pub use member::NodeAddress;
pub use message::{Unplaced, WatchEvent};

use crate::leader::Session;
use crate::registry::Registry;
use crate::routes::RouteTable;
use crate::snapshot::{Snapshot, SnapshotCell};
use crate::store::{Revision, SharedStore};
use claims::ClaimKeeper;
use message::{Message, NewAttachment, Origin, Outbound};
use record::{Claim, Record};

/// How long a request to the store may be under way, at most.
const UNDER_WAY: Duration = Duration::from_secs(15);
/// How long numbers of now are waited for.
const REFRESH_WITHIN: Duration = Duration::from_millis(500);

/// Talks to the membership actor.
#[derive(Clone)]
pub struct MembershipHandle {
    actor: ActorRef<Message>,
    store: SharedStore,
    session: Session,
    snapshots: Arc<SnapshotCell>,
    /// Executors of which a claim was written that may not stand.
    doubtful: mpsc::UnboundedSender<String>,
    stop: CancellationToken,
}

fn stopping() -> Error {
    Error::new(ErrorCode::NoCapacity, "the coordinator is stopping").hint("try again when it is back")
}

impl MembershipHandle {
    /// Starts the actor. Executors silent for `timeout` count as lost.
    ///
    /// # Errors
    /// When the actor can't start.
    pub async fn start(
        store: SharedStore,
        session: Session,
        registry: Arc<Registry>,
        routes: Arc<RouteTable>,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let snapshots = Arc::<SnapshotCell>::default();
        let (claims, wanted) = watch::channel(BTreeMap::new());
        let core = core::MembershipCore::new(registry.catalog(), routes, Arc::clone(&snapshots), timeout);
        let session_of_actor = session.clone();
        let state =
            handler::MembershipState { core, registry: Arc::clone(&registry), claims, session: session_of_actor };
        let spawned = handler::Membership::spawn(None, handler::Membership, state).await;
        let (actor, _) = spawned.map_err(|e| Error::internal(format!("membership can't start: {e}")))?;
        let (doubtful, doubts) = mpsc::unbounded_channel();
        let this = Self { actor, store, session, snapshots, doubtful, stop: CancellationToken::new() };
        let keeper = ClaimKeeper {
            store: Arc::clone(&this.store),
            coordinator: this.session.me().owner.coordinator.clone(),
            wanted,
            standing: this.session.standings(),
            doubtful: doubts,
        };
        this.spawn(keeper.run());
        this.spawn(follow::leadership(this.clone(), this.session.clone(), registry));
        this.spawn(follow::records(this.clone()));
        this.spawn(follow::claims(this.clone()));
        this.spawn(follow::coordinators(this.clone()));
        Ok(this)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone().cancelled_owned();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = task => {}
                () = stop => {}
            }
        });
    }

    /// Stops the actor: attach streams end.
    pub fn stop(&self) {
        self.stop.cancel();
        self.actor.stop(None);
    }

    /// Whether a process may serve under its id, and what is remembered of that. Where the store is away, this
    /// coordinator lets those in that it knows.
    async fn admit(&self, hello: &Hello, origin: &Origin) -> Result<(Revision, Record), Error> {
        let (executor, incarnation) = (hello.executor.clone(), hello.incarnation.clone());
        let known = self.ask(|reply| Message::Admit { executor, incarnation, reply }).await??;
        let coordinator = &self.session.me().owner.coordinator;
        let lease = self.session.standing().lease;
        let claim = Claim::new(hello, origin);
        match (record::admit(&self.store, hello, &claim, coordinator, lease).await, known) {
            // Its claim is written as soon as the store takes one.
            (Err(error), Some(record)) if error.code() == ErrorCode::NoCapacity => Ok((0, record)),
            (result, _) => result,
        }
    }

    /// Attaches a process, if it may; its epoch, and what it is to be sent.
    async fn let_in(
        self,
        hello: Hello,
        origin: Origin,
        number: u64,
    ) -> Result<(u64, watch::Receiver<Outbound>), Error> {
        let executor = hello.executor.clone();
        let attached = self.attach(hello, origin, number).await;
        if attached.is_err() {
            self.doubt(&executor);
        }
        attached
    }

    async fn attach(
        &self,
        hello: Hello,
        origin: Origin,
        number: u64,
    ) -> Result<(u64, watch::Receiver<Outbound>), Error> {
        let (revision, Record { epoch, draining, .. }) = self.admit(&hello, &origin).await?;
        let (link, outbound) = watch::channel(Outbound::default());
        let attachment = Box::new(NewAttachment { hello, epoch, number, draining, revision, link, origin });
        self.ask(|reply| Message::Attached { attachment, reply }).await??;
        Ok((epoch, outbound))
    }

    fn tell(&self, message: Message) {
        // Fails only while the process stops.
        let _ = self.actor.send_message(message);
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.tell(question(reply));
        answer.await.map_err(|_| stopping())
    }

    /// It may have been written that an executor is attached here, or may still be: a request to the store whose outcome
    /// is not known can be under way for a while.
    fn doubt(&self, executor: &str) {
        let (doubtful, executor) = (self.doubtful.clone(), executor.to_owned());
        self.spawn(async move {
            // Fails only while the process stops.
            let _ = doubtful.send(executor.clone());
            clock::sleep(UNDER_WAY).await;
            let _ = doubtful.send(executor);
        });
    }

    /// Says that the registered functions have changed.
    pub fn catalog_changed(&self) {
        self.tell(Message::CatalogChanged { reply: None });
    }

    /// The same, and waits until the snapshot shows it, so that clients see the change once they are answered.
    pub async fn show_catalog(&self) {
        // Fails only while the process stops.
        let _ = self.ask(|reply| Message::CatalogChanged { reply: Some(reply) }).await;
    }

    /// The fleet at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.load()
    }

    /// Whether an attached executor could ever run the function.
    ///
    /// # Errors
    /// [`ErrorCode::Infeasible`], or [`ErrorCode::NoCapacity`] where none is attached.
    pub async fn feasible(&self, definition: FunctionDefinition) -> Result<(), Error> {
        self.ask(|reply| Message::Feasible { definition: Box::new(definition), reply }).await?
    }

    /// How the function (`add@3`) comes up: lines, then one ready or failed.
    #[must_use]
    pub fn watch(&self, function: &str, unplaced: Unplaced) -> mpsc::UnboundedReceiver<WatchEvent> {
        let (events, receiver) = mpsc::unbounded_channel();
        self.tell(Message::Watch { function: function.to_owned(), unplaced, events });
        receiver
    }

    /// The fleet with numbers of now: attached executors are asked for them. Those of an executor that does not answer
    /// at once are the ones that it reported last.
    ///
    /// # Errors
    /// While the coordinator stops.
    pub async fn fresh_snapshot(&self) -> Result<Arc<Snapshot>, Error> {
        let fresh = self.ask(|reply| Message::Refresh { reply });
        if let Ok(refreshed) = clock::timeout(REFRESH_WITHIN, fresh).await {
            refreshed?;
        }
        Ok(self.snapshot())
    }

    /// Attached executors.
    ///
    /// # Errors
    /// While the coordinator stops.
    pub async fn nodes(&self) -> Result<Vec<NodeAddress>, Error> {
        self.ask(|reply| Message::Nodes { reply }).await
    }

    /// Takes an executor out of service, or back in; remembered over restarts of both.
    ///
    /// # Errors
    /// When no such executor is known.
    pub async fn drain(&self, executor: &str, draining: bool) -> Result<ExecutorInfo, Error> {
        if !self.snapshot().executors.contains_key(executor) {
            let error = Error::new(ErrorCode::InvalidInput, format!("no executor {executor:?} is known"));
            return Err(error.hint("`udfleet status` lists executors"));
        }
        let (revision, record) = record::set_draining(&self.store, executor, draining).await?;
        let executor = executor.to_owned();
        let remembered = |reply| Message::Remembered { executor, revision, record, reply: Some(reply) };
        let info = self.ask(remembered).await?;
        info.ok_or_else(|| Error::new(ErrorCode::ExecutorLost, "the executor was forgotten meanwhile"))
    }
}
