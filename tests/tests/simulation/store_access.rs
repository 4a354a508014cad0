//! One coordinator's access to the store, over the network. What it asks is answered late or never; it may have happened
//! all the same, even after the coordinator has crashed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use udfleet_coordinator::store::{
    Changes, Condition, Entry, LeaseId, Listing, MetaStore, Revision, StoreError, StoreOutage, Watcher, Write,
};
use udfleet_edge::clock;

use super::network::{Network, Node};
use super::plant::PlantedBug;
use super::store_data::StoreData;

/// An answer is waited for so long.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A watch over which nothing can come breaks off after so long.
const SILENT_FOR: Duration = Duration::from_secs(3);
const EXECUTORS: &str = "executors/";

/// See the module.
#[derive(Clone)]
pub struct StoreAccess {
    pub data: Arc<Mutex<StoreData>>,
    pub network: Arc<Network>,
    pub node: Node,
    /// The process of the coordinator, in traces.
    pub name: String,
    /// Nobody hears answers any more.
    pub crashed: CancellationToken,
    /// What the store's clock does while that of the coordinator does a hundred.
    pub store_clock: u32,
    pub planted: PlantedBug,
}

impl StoreAccess {
    /// `what` is asked, of which key.
    async fn call<T: Send + 'static>(
        &self,
        what: &str,
        operation: impl FnOnce(&mut StoreData) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.crashed.is_cancelled() {
            std::future::pending::<()>().await;
        }
        let (reply, answer) = oneshot::channel();
        let (this, what) = (self.clone(), format!("{} {what}", self.name));
        tokio::spawn(async move {
            clock::sleep(this.network.delay(&what)).await;
            if this.network.loses(&what) || !this.network.reaches(this.node, Node::Store) {
                return;
            }
            let result = operation(&mut this.data.lock().unwrap());
            clock::sleep(this.network.delay(&what)).await;
            if !this.network.loses(&what) && this.network.reaches(Node::Store, this.node) {
                // Who has asked may have given up.
                drop(reply.send(result));
            }
        });
        let answered = async {
            match answer.await {
                Ok(result) => result,
                Err(_) => std::future::pending().await,
            }
        };
        let result = clock::timeout(ANSWER_WITHIN, answered).await;
        if self.crashed.is_cancelled() {
            std::future::pending::<()>().await;
        }
        result.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer".to_owned())))
    }

    fn hides(&self, prefix: &str) -> bool {
        self.planted == PlantedBug::EpochsUnseen && prefix == EXECUTORS
    }
}

#[tonic::async_trait]
impl MetaStore for StoreAccess {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let (what, key) = (format!("get {key}"), key.to_owned());
        self.call(&what, move |data| Ok(data.get(&key))).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let (prefix, hidden) = (prefix.to_owned(), self.hides(prefix));
        let what = format!("list {prefix}");
        self.call(&what, move |data| {
            let mut listing = data.list(&prefix);
            listing.entries.retain(|_| !hidden);
            Ok(listing)
        })
        .await
    }

    async fn transact(&self, conditions: &[Condition], writes: Vec<Write>) -> Result<Option<Revision>, StoreError> {
        let (conditions, name) = (conditions.to_vec(), self.name.clone());
        let what = format!("write {}", writes.iter().map(Write::key).collect::<Vec<_>>().join(" "));
        self.call(&what, move |data| data.transact(&name, &conditions, writes)).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watcher, StoreError> {
        if self.hides(prefix) {
            return Ok(futures::stream::pending().boxed());
        }
        let changed = self.call(&format!("watch {prefix}"), |data| Ok(data.changes())).await?;
        let watch = SimulatedWatch { access: self.clone(), prefix: prefix.to_owned(), after, changed };
        Ok(futures::stream::unfold(Some(watch), |watch| async {
            let mut watch = watch?;
            let next = watch.next().await;
            let goes_on = next.is_ok().then_some(watch);
            Some((next, goes_on))
        })
        .boxed())
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        let ttl = ttl * 100 / self.store_clock;
        self.call("grant", move |data| Ok(data.grant(ttl))).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.call("renew", move |data| data.keep_alive(lease)).await
    }

    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.call("revoke", move |data| {
            data.end(lease);
            Ok(())
        })
        .await
    }

    fn outage(&self) -> Option<StoreOutage> {
        None
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

struct SimulatedWatch {
    access: StoreAccess,
    prefix: String,
    after: Revision,
    changed: watch::Receiver<Revision>,
}

impl SimulatedWatch {
    async fn next(&mut self) -> Result<Changes, StoreError> {
        loop {
            self.changed.mark_unchanged();
            let next = self.access.data.lock().unwrap().next(&self.prefix, self.after)?;
            if let Some(changes) = next {
                self.arrive().await?;
                self.after = changes.revision;
                return Ok(changes);
            }
            // The store lives as long as the run.
            let _ = self.changed.changed().await;
        }
    }

    async fn arrive(&self) -> Result<(), StoreError> {
        let StoreAccess { network, node, crashed, name, .. } = &self.access;
        let what = format!("{name} watches {}", self.prefix);
        clock::sleep(network.delay(&what)).await;
        let begun = clock::now();
        while !network.reaches(Node::Store, *node) && clock::now() - begun < SILENT_FOR {
            clock::sleep(Duration::from_millis(100)).await;
        }
        if crashed.is_cancelled() {
            std::future::pending::<()>().await;
        }
        let breaks = network.loses(&what) || !network.reaches(Node::Store, *node);
        if breaks { Err(StoreError::Unavailable("the watch broke off".to_owned())) } else { Ok(()) }
    }
}
