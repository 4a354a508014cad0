//! Executors: who is attached, what each should hold, what each reports. One actor owns all of it.

mod attach;
mod core;
mod definitions;
mod desired;
mod handler;
mod member;
mod message;
mod metrics;
mod plan;
mod record;
mod refresh;
mod status;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor as _, ActorRef};
use tokio::sync::{mpsc, oneshot};
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{ErrorCode, ExecutorInfo, FunctionDefinition, FunctionInfo, FunctionProgress};

pub use attach::MembershipService;
pub use member::NodeAddress;
pub use message::{Unplaced, WatchEvent};

use crate::registry::Registry;
use crate::routes::RouteTable;
use crate::store::SharedStore;
use message::Message;

/// How long numbers of now are waited for.
const REFRESH_WITHIN: Duration = Duration::from_millis(500);

/// Talks to the membership actor.
#[derive(Clone)]
pub struct Fleet {
    actor: ActorRef<Message>,
    store: SharedStore,
}

fn stopping() -> Error {
    Error::new(ErrorCode::NoCapacity, "the coordinator is stopping").hint("try again when it is back")
}

impl Fleet {
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
        let core = core::Core::new(registry.catalog(), routes, timeout);
        let state = handler::State { core, registry };
        let spawned = handler::Membership::spawn(None, handler::Membership, state).await;
        let (actor, _) = spawned.map_err(|e| Error::internal(format!("membership can't start: {e}")))?;
        Ok(Self { actor, store })
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
        self.tell(Message::CatalogChanged);
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

    /// The functions that are named, or the newest of each, or all.
    ///
    /// # Errors
    /// While the coordinator stops.
    pub async fn functions(&self, which: Option<FunctionRef>, all_versions: bool) -> Result<Vec<FunctionInfo>, Error> {
        self.ask(|reply| Message::Functions { which, all_versions, reply }).await
    }

    /// All executors, lost ones too.
    ///
    /// # Errors
    /// While the coordinator stops.
    pub async fn executors(&self) -> Result<Vec<ExecutorInfo>, Error> {
        self.ask(|reply| Message::Executors { reply }).await
    }

    /// Numbers of a function, or of every version of every one, as of now: attached executors are asked for them. Those
    /// of an executor that does not answer at once are the ones it reported last.
    ///
    /// # Errors
    /// While the coordinator stops.
    pub async fn progress(&self, which: Option<FunctionRef>) -> Result<Vec<FunctionProgress>, Error> {
        let fresh = self.ask(|reply| Message::Refresh { reply });
        if let Ok(refreshed) = tokio::time::timeout(REFRESH_WITHIN, fresh).await {
            refreshed?;
        }
        self.ask(|reply| Message::Progress { which, reply }).await
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
        let known = self.executors().await?;
        if !known.iter().any(|e| e.hello.as_ref().is_some_and(|h| h.executor == executor)) {
            let error = Error::new(ErrorCode::InvalidInput, format!("no executor {executor:?} is known"));
            return Err(error.hint("`udfleet status` lists executors"));
        }
        record::set_draining(&self.store, executor, draining).await?;
        let executor = executor.to_owned();
        let info = self.ask(|reply| Message::Drain { executor, draining, reply }).await?;
        info.ok_or_else(|| Error::new(ErrorCode::ExecutorLost, "the executor was forgotten meanwhile"))
    }
}
