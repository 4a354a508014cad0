//! Who owns a partition: made by compare-and-swap in the metadata store, so that every epoch has one owner.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use udfleet_kill_points as kill_points;
use udfleet_proto::error::Error;
use udfleet_proto::key;

use crate::registry::Function;
use crate::routes::{Endpoint, RouteTable};
use crate::store::{Condition, SharedStore, Write};

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
        let entry_key = format!("state/owners/{state}/{partition:05}");
        loop {
            let found = self.store.get(&entry_key).await?;
            let held = found.as_ref().and_then(|entry| serde_json::from_slice::<OwnerEntry>(&entry.value).ok());
            let servers = self.servers(function)?;
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
            let condition = Condition::unchanged(entry_key.as_str(), found.map(|entry| entry.revision));
            kill_points::reach("owner-chosen");
            if self.store.transact(&[condition], vec![Write::put(entry_key.as_str(), value)]).await?.is_some() {
                kill_points::reach("owner-stored");
                tracing::info!(state, partition, executor = next.executor, epoch = next.epoch, "a partition's owner");
                return Ok(Owner { epoch: next.epoch, endpoint: Arc::clone(endpoint) });
            }
        }
    }

    fn servers(&self, function: &Function) -> Result<Vec<Arc<Endpoint>>, Error> {
        let routes = self.routes.load_full();
        let target = routes.exact(&function.name).ok_or_else(|| {
            Error::new(udfleet_proto::v1::ErrorCode::FunctionNotFound, format!("{} was dropped", function.name))
        })?;
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
