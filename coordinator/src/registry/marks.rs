//! Limits of tenants hold over all coordinators: what one has registered a moment ago, another may not have heard of. So each
//! registration of a tenant that has limits changes a mark in the store, on condition that it is as it was read, and who
//! reads a mark that another coordinator has written waits until it has heard of everything up to there before it checks
//! the limits.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use udfleet_edge::clock;
use udfleet_proto::v1::FunctionDefinition;

use super::Registry;
use super::entries::{function_key, tenant_key};
use super::holdings::tenant_of;
use crate::store::{Condition, Revision, StoreError, Write};

/// How long it may take to hear of what another coordinator has registered; after that the registry is read anew.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// Up to where this process knows what is registered.
#[derive(Debug)]
pub(super) struct KnownMarks {
    /// Marks that it has written itself, by key. As many as there are tenants with limits.
    written: Mutex<HashMap<String, Revision>>,
    /// The revision up to which all is in the catalog.
    heard: watch::Sender<Revision>,
}

/// The mark of a tenant as it was read.
#[derive(Debug)]
pub(super) struct TenantMark {
    key: String,
    read: Option<Revision>,
}

impl TenantMark {
    pub fn condition(&self) -> Condition {
        Condition::unchanged(&self.key, self.read)
    }

    pub fn write(&self, name: &str, version: u32) -> Write {
        Write::put(&self.key, function_key(name, version))
    }
}

impl KnownMarks {
    /// The registry was read as of this revision.
    pub fn read(revision: Revision) -> Self {
        Self { written: Mutex::default(), heard: watch::Sender::new(revision) }
    }

    /// This process has written the mark itself.
    pub fn written(&self, mark: TenantMark, revision: Revision) {
        self.written.lock().insert(mark.key, revision);
    }

    /// All that was registered up to this revision is in the catalog.
    pub fn heard(&self, revision: Revision) {
        self.heard.send_if_modified(|heard| {
            let later = revision > *heard;
            *heard = revision.max(*heard);
            later
        });
    }

    /// True where everything that was registered before the mark was written is in the catalog.
    pub fn know(&self, mark: &TenantMark) -> bool {
        mark.read.is_none_or(|read| *self.heard.borrow() >= read || self.written.lock().get(&mark.key) == Some(&read))
    }

    /// Waits until that is so; false where it takes too long.
    async fn wait_for(&self, mark: &TenantMark) -> bool {
        let mut heard = self.heard.subscribe();
        let hears = async { heard.wait_for(|heard| mark.read.is_none_or(|read| *heard >= read)).await.is_ok() };
        clock::timeout(HEARD_WITHIN, hears).await.unwrap_or(false)
    }
}

impl Registry {
    /// The mark of the definition's tenant as it is now; none where the tenant has no limits.
    pub(super) async fn tenant_mark(&self, definition: &FunctionDefinition) -> Result<Option<TenantMark>, StoreError> {
        if !self.quota.limits(definition) {
            return Ok(None);
        }
        let key = tenant_key(tenant_of(definition));
        let read = self.store.get(&key).await?.map(|entry| entry.revision);
        Ok(Some(TenantMark { key, read }))
    }

    /// Returns once everything that was registered before the mark was written is in the catalog. Nobody may be changing the
    /// catalog meanwhile: what is heard does.
    pub(super) async fn hear_of(&self, mark: &TenantMark) -> Result<(), StoreError> {
        match self.marks.wait_for(mark).await {
            true => Ok(()),
            false => self.reload().await,
        }
    }
}
