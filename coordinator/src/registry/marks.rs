//! Limits of tenants hold over all coordinators: what one has registered a moment ago, another may not have heard of. So each
//! registration of a tenant that has limits changes a mark in the store, on condition that it is as it was read, and who
//! reads a mark that another coordinator has written reads the registry anew before it checks the limits.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use udfleet_proto::v1::FunctionDefinition;

use super::entries::{function_key, tenant_key};
use super::holdings::tenant_of;
use super::{Registry, load};
use crate::store::{Condition, Revision, StoreError, Write};

/// The marks up to which this process has read the registry, by key. As many as there are tenants with limits.
#[derive(Debug, Default)]
pub(super) struct KnownMarks(Mutex<HashMap<String, Revision>>);

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
    /// This process has written the mark itself.
    pub fn written(&self, mark: TenantMark, revision: Revision) {
        self.0.lock().insert(mark.key, revision);
    }

    fn knows(&self, mark: &TenantMark) -> bool {
        mark.read.is_none() || self.0.lock().get(&mark.key).copied() == mark.read
    }
}

impl Registry {
    /// The mark of the definition's tenant, once everything that was registered before it is in the catalog; none where the
    /// tenant has no limits.
    pub(super) async fn tenant_mark(&self, definition: &FunctionDefinition) -> Result<Option<TenantMark>, StoreError> {
        if !self.quota.limits(definition) {
            return Ok(None);
        }
        let key = tenant_key(tenant_of(definition));
        let read = self.store.get(&key).await?.map(|entry| entry.revision);
        let mark = TenantMark { key, read };
        if !self.marks.knows(&mark) {
            let (catalog, _) = load(&self.store).await?;
            self.catalog.store(Arc::new(catalog));
            if let Some(read) = mark.read {
                self.marks.0.lock().insert(mark.key.clone(), read);
            }
        }
        Ok(Some(mark))
    }
}
