//! Opens the store that the settings name.

use std::sync::Arc;
use std::time::Duration;

use super::embedded::EmbeddedStore;
use super::etcd::EtcdStore;
use super::{SharedStore, StoreError};
use crate::config::Config;

/// The file of the embedded store, in the data folder.
const FILE: &str = "meta.redb";
/// Between two tries to reach etcd.
const PAUSE: Duration = Duration::from_secs(1);

/// Opens it. For etcd that does not answer it waits: coordinators may be started first.
///
/// # Errors
/// When the file can't be opened, or etcd refuses this coordinator.
pub async fn open(config: &Config) -> Result<SharedStore, udfleet_proto::error::Error> {
    let Some(etcd) = config.etcd()? else {
        return Ok(Arc::new(EmbeddedStore::open(config.data_dir.join(FILE)).await?));
    };
    loop {
        match EtcdStore::open(&etcd).await {
            Ok(store) => return Ok(Arc::new(store)),
            Err(StoreError::Unavailable(why)) => {
                tracing::warn!(meta_store = %etcd.url, "waiting for the metadata store: {why}");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
