//! What is remembered of an executor over restarts: its epoch and whether it drains.

use serde::{Deserialize, Serialize};
use udfleet_proto::error::Error;

use crate::store::{Condition, SharedStore, Write};

const RACES: usize = 32;

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub epoch: u64,
    pub draining: bool,
}

/// A new epoch for this executor, larger than any before.
pub(super) async fn next_epoch(store: &SharedStore, executor: &str) -> Result<Record, Error> {
    update(store, executor, |record| record.epoch += 1).await
}

pub(super) async fn set_draining(store: &SharedStore, executor: &str, draining: bool) -> Result<Record, Error> {
    update(store, executor, |record| record.draining = draining).await
}

async fn update(store: &SharedStore, executor: &str, change: impl Fn(&mut Record)) -> Result<Record, Error> {
    let key = format!("executors/{executor}");
    let broken = |e: serde_json::Error| Error::internal(format!("{key}: {e}"));
    for _ in 0..RACES {
        let held = store.get(&key).await?;
        let mut record: Record = match &held {
            Some(entry) => serde_json::from_slice(&entry.value).map_err(broken)?,
            None => Record::default(),
        };
        change(&mut record);
        let condition = Condition::unchanged(&key, held.map(|entry| entry.revision));
        let write = Write::put(&key, serde_json::to_vec(&record).map_err(broken)?);
        if store.transact(&[condition], vec![write]).await?.is_some() {
            return Ok(record);
        }
    }
    Err(Error::internal(format!("{key}: too many changes at once")))
}
