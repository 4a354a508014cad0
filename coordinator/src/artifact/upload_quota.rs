//! Whether a tenant may send one more file. What it has sent and not registered yet counts for as long as it is kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use udfleet_edge::auth::{Principal, Right};
use udfleet_edge::tenant::{LimitName, Tenants};
use udfleet_proto::error::Error;

use crate::registry::{Holdings, Registry, beyond};

/// Files of one tenant that no function needs; they may have no bytes.
const MOST_UNUSED: usize = 10_000;

/// Files that were sent and that no function needs yet: sizes by hash, and until when they count.
type Unused = HashMap<String, (u64, Instant)>;

/// Checks uploads against the limits of their tenants.
pub struct UploadQuota {
    tenants: Arc<Tenants>,
    registry: Arc<Registry>,
    kept: Duration,
    /// Of tenants with a limit.
    unused: Mutex<HashMap<String, Unused>>,
}

/// An upload that counts. Dropped before [`CountedUpload::keep`], it counts no more.
pub struct CountedUpload<'q> {
    quota: &'q UploadQuota,
    /// Tenant and hash; none: there is nothing to count.
    counted: Option<(String, String)>,
}

impl CountedUpload<'_> {
    /// The file is there.
    pub fn keep(mut self) {
        self.counted = None;
    }
}

impl Drop for CountedUpload<'_> {
    fn drop(&mut self) {
        if let Some((tenant, hash)) = self.counted.take()
            && let Some(unused) = self.quota.unused.lock().get_mut(&tenant)
        {
            unused.remove(&hash);
        }
    }
}

impl UploadQuota {
    /// By these limits; a file that no function needs is `kept` for so long.
    #[must_use]
    pub fn new(tenants: Arc<Tenants>, registry: Arc<Registry>, kept: Duration) -> Self {
        Self { tenants, registry, kept, unused: Mutex::default() }
    }

    /// Checks an upload that is about to begin, and counts it. Admins bring back whole fleets: what they send is checked
    /// when it is registered.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED` where the tenant may not have that much.
    pub fn begin(&self, caller: &Principal, hash: &str, size: u64) -> Result<CountedUpload<'_>, Error> {
        let mut counted = CountedUpload { quota: self, counted: None };
        let tenant = &caller.tenant;
        let most = self.tenants.limits(tenant).artifact_bytes.filter(|_| !caller.rights.has(Right::Admin));
        let Some(most) = most else { return Ok(counted) };
        let (most, now) = (most.0, Instant::now());
        let registered = Holdings::of(&self.registry.catalog(), tenant);
        let mut all = self.unused.lock();
        let unused = all.entry(tenant.clone()).or_default();
        unused.retain(|hash, (_, until)| *until > now && !registered.artifacts.contains_key(hash));
        if registered.artifacts.contains_key(hash) || unused.contains_key(hash) {
            return Ok(counted);
        }
        let sent = unused.values().map(|(size, _)| *size);
        let held = sent.fold(registered.artifact_bytes(), u64::saturating_add);
        let then = held.saturating_add(size);
        if then > most || unused.len() >= MOST_UNUSED {
            drop(all);
            self.tenants.refused(tenant, LimitName::ArtifactBytes);
            return Err(beyond(tenant, LimitName::ArtifactBytes, held, then, most));
        }
        unused.insert(hash.to_owned(), (size, now + self.kept));
        counted.counted = Some((tenant.clone(), hash.to_owned()));
        Ok(counted)
    }
}

#[cfg(test)]
mod tests {
    use udfleet_edge::auth::{PrincipalKind, Rights};
    use udfleet_proto::v1::{Artifact, ErrorCode, FunctionDefinition};

    use super::*;
    use crate::registry::Owner;
    use crate::store::embedded::EmbeddedStore;

    #[tokio::test]
    async fn what_is_not_registered_yet_counts_while_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(folder.path().join("meta.redb")).await.unwrap());
        let owner = Owner { coordinator: "c".to_owned(), incarnation: "1".to_owned() };
        let registry = Arc::new(Registry::open(store, owner).await.unwrap().0);
        let limits = toml::from_str("[acme]\nartifact_bytes = \"1000\"\n").unwrap();
        let quota = |kept| UploadQuota::new(Arc::new(Tenants::new(limits)), Arc::clone(&registry), kept);
        let quota = quota(Duration::from_secs(60));
        let caller = Principal {
            tenant: "acme".to_owned(),
            rights: Rights::of(&[Right::Register]),
            ..Principal::unlimited(PrincipalKind::Token)
        };
        let code = |hash, size| quota.begin(&caller, hash, size).map(CountedUpload::keep).map_err(|error| error.code());
        assert_eq!(code("a", 600), Ok(()));
        assert_eq!(code("b", 600), Err(ErrorCode::LimitExceeded));
        assert_eq!(code("a", 600), Ok(()), "the same again");
        drop(quota.begin(&caller, "c", 400).unwrap());
        assert_eq!(code("d", 400), Ok(()), "one that was broken off counts no more");
        let admin = Principal { rights: Rights::ALL, ..caller.clone() };
        assert!(quota.begin(&admin, "b", 600).is_ok());
        let payload = Some(Artifact { hash: "a".to_owned(), size: 600, ..Artifact::default() });
        let definition =
            FunctionDefinition { name: "f".to_owned(), tenant: "acme".to_owned(), payload, ..Default::default() };
        registry.register(definition).await.unwrap();
        assert_eq!(code("e", 1), Err(ErrorCode::LimitExceeded), "it counts on, and once");
        let short = UploadQuota { kept: Duration::ZERO, ..quota };
        short.unused.lock().clear();
        let code = |hash, size| short.begin(&caller, hash, size).map(CountedUpload::keep).map_err(|error| error.code());
        assert_eq!((code("f", 400), code("g", 400)), (Ok(()), Ok(())), "until it is removed");
    }
}
