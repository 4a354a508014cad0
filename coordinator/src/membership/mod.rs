//! Membership: which executors are attached, what each should serve and what each reports. One actor owns all of it.

mod attach;
mod core;
mod definitions;
mod demand;
mod desired;
mod handler;
mod member;
mod message;
mod plan;
mod publish;
mod record;
mod refresh;
mod watches;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor as _, ActorRef};
use tokio::sync::{mpsc, oneshot};
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, ExecutorInfo, FunctionDefinition};

pub use attach::MembershipService;
pub use member::NodeAddress;
pub use message::{Unplaced, WatchEvent};

use crate::registry::Registry;
use crate::routes::RouteTable;
use crate::snapshot::{Snapshot, SnapshotCell};
use crate::store::SharedStore;
use message::Message;

/// How long numbers of now are waited for.
const REFRESH_WITHIN: Duration = Duration::from_millis(500);

/// Talks to the membership actor.
#[derive(Clone)]
pub struct MembershipHandle {
    actor: ActorRef<Message>,
    store: SharedStore,
    snapshots: Arc<SnapshotCell>,
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
        registry: Arc<Registry>,
        routes: Arc<RouteTable>,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let snapshots = Arc::<SnapshotCell>::default();
        let core = core::MembershipCore::new(registry.catalog(), routes, Arc::clone(&snapshots), timeout);
        let state = handler::MembershipState { core, registry };
        let spawned = handler::Membership::spawn(None, handler::Membership, state).await;
        let (actor, _) = spawned.map_err(|e| Error::internal(format!("membership can't start: {e}")))?;
        Ok(Self { actor, store, snapshots })
    }

    /// Stops the actor: attach streams end.
    pub fn stop(&self) {
        self.actor.stop(None);
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
        if let Ok(refreshed) = tokio::time::timeout(REFRESH_WITHIN, fresh).await {
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
        record::set_draining(&self.store, executor, draining).await?;
        let executor = executor.to_owned();
        let info = self.ask(|reply| Message::Drain { executor, draining, reply }).await?;
        info.ok_or_else(|| Error::new(ErrorCode::ExecutorLost, "the executor was forgotten meanwhile"))
    }
}
