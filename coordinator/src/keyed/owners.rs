//! Who owns a partition: made by compare-and-swap in the metadata store, so that every epoch has one owner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use udfleet_kill_points as kill_points;
use udfleet_proto::error::Error;
use udfleet_proto::key;
use udfleet_proto::v1::ErrorCode;

use super::registry::live_key;
use crate::registry::Function;
use crate::routes::{Endpoint, RouteTable};
use crate::store::{Condition, Entry, SharedStore, Write};

/// The entry of a partition, `state/owners/STATE/PARTITION`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OwnerEntry {
    executor: String,
    epoch: u64,
}

/// The owner of a partition.
#[derive(Debug, Clone)]
pub struct Owner {
    /// Each owner has another one, higher than those before.
    pub epoch: u64,
    /// Where it is asked.
    pub endpoint: Arc<Endpoint>,
}

/// Finds owners, and makes them.
#[derive(Clone)]
pub struct Owners {
    /// Where they lie.
    pub store: SharedStore,
    /// Which executors there are.
    pub routes: Arc<RouteTable>,
}

impl Owners {
    /// The partition's owner. Where there is none, where it serves the function no more, or where it is the one of epoch
    /// `lost`, which does not answer as an owner, another becomes it.
    ///
    /// # Errors
    /// Where no executor serves the function, or the metadata store fails.
    pub async fn find(
        &self,
        function: &Function,
        state: &str,
        partition: u32,
        lost: Option<&Owner>,
    ) -> Result<Owner, Error> {
        self.find_among(|owners| owners.servers(&function.name), state, partition, lost).await
    }

    /// The same for who only reads or writes state: where nobody serves the function, any executor can be the owner.
    ///
    /// # Errors
    /// Where there is no executor, or the metadata store fails.
    pub async fn find_for(
        &self,
        function: &str,
        state: &str,
        partition: u32,
        lost: Option<&Owner>,
    ) -> Result<Owner, Error> {
        let servers = |owners: &Self| owners.servers(function).or_else(|_| owners.anybody());
        self.find_among(servers, state, partition, lost).await
    }

    async fn find_among(
        &self,
        servers: impl Fn(&Self) -> Result<Vec<Arc<Endpoint>>, Error>,
        state: &str,
        partition: u32,
        lost: Option<&Owner>,
    ) -> Result<Owner, Error> {
        let entry_key = format!("state/owners/{state}/{partition:05}");
        let live_key = live_key(state);
        loop {
            let live = self.store.get(&live_key).await?;
            let live = live.ok_or_else(|| {
                let error = Error::new(ErrorCode::InvalidInput, "the stream was dropped");
                error.hint("open it again: it begins with the first row")
            })?;
            let found = self.store.get(&entry_key).await?;
            let held = found.as_ref().and_then(|entry| serde_json::from_slice::<OwnerEntry>(&entry.value).ok());
            let servers = servers(self)?;
            let newest = held.as_ref().map_or(0, |held| held.epoch).max(lost.map_or(0, |lost| lost.epoch));
            if let Some(held) = held.filter(|held| lost.is_none_or(|lost| held.epoch > lost.epoch))
                && let Some(endpoint) = servers.iter().find(|server| server.executor == held.executor)
            {
                return Ok(Owner { epoch: held.epoch, endpoint: Arc::clone(endpoint) });
            }
            let Some(endpoint) = choose(&servers, state, partition, lost.map(|lost| lost.endpoint.executor.as_str()))
            else {
                return Err(Error::internal("no executor was left to choose from"));
            };
            let next = OwnerEntry { executor: endpoint.executor.clone(), epoch: newest + 1 };
            let value: Bytes = serde_json::to_vec(&next).unwrap_or_default().into();
            let conditions = [
                Condition::unchanged(entry_key.as_str(), found.map(|entry| entry.revision)),
                Condition::unchanged(live_key.as_str(), Some(live.revision)),
            ];
            kill_points::reach("owner-chosen");
            if self.store.transact(&conditions, vec![Write::put(entry_key.as_str(), value)]).await?.is_some() {
                kill_points::reach("owner-stored");
                tracing::info!(state, partition, executor = next.executor, epoch = next.epoch, "a partition's owner");
                return Ok(Owner { epoch: next.epoch, endpoint: Arc::clone(endpoint) });
            }
        }
    }

    /// Executors that have owned a partition of the state.
    ///
    /// # Errors
    /// Where the metadata store fails.
    pub async fn of_state(&self, state: &str) -> Result<BTreeSet<String>, Error> {
        let entries = self.store.list(&format!("state/owners/{state}/")).await?.entries;
        let owner = |entry: &Entry| serde_json::from_slice::<OwnerEntry>(&entry.value).ok();
        Ok(entries.iter().filter_map(owner).map(|owner| owner.executor).collect())
    }

    /// All executors that serve anything.
    pub fn everybody(&self) -> Vec<Arc<Endpoint>> {
        let routes = self.routes.load_full();
        let servers = routes.targets().flat_map(|target| &target.servers);
        let all: BTreeMap<_, _> = servers.map(|server| (&server.endpoint.executor, &server.endpoint)).collect();
        all.into_values().cloned().collect()
    }

    fn anybody(&self) -> Result<Vec<Arc<Endpoint>>, Error> {
        let all = self.everybody();
        if all.is_empty() {
            let error = Error::new(ErrorCode::NoCapacity, "no executor is there that could read keyed state");
            return Err(
                error.hint("executors are asked that serve a function: register one, or wait until it is ready")
            );
        }
        Ok(all)
    }

    fn servers(&self, function: &str) -> Result<Vec<Arc<Endpoint>>, Error> {
        let routes = self.routes.load_full();
        let target = routes
            .exact(function)
            .ok_or_else(|| Error::new(ErrorCode::FunctionNotFound, format!("{function} was dropped")))?;
        if target.servers.is_empty() {
            return Err(target.no_capacity());
        }
        Ok(target.servers.iter().map(|server| Arc::clone(&server.endpoint)).collect())
    }
}

/// The executor that a partition goes to: the same one for as long as there is none that fits better, and not the one that was
/// lost unless it is the only one.
fn choose<'a>(
    servers: &'a [Arc<Endpoint>],
    state: &str,
    partition: u32,
    lost: Option<&str>,
) -> Option<&'a Arc<Endpoint>> {
    let weight = |server: &Endpoint| key::hash(format!("{}/{state}/{partition}", server.executor).as_bytes());
    let others = servers.iter().filter(|server| Some(server.executor.as_str()) != lost);
    others.max_by_key(|server| weight(server)).or_else(|| servers.first())
}
