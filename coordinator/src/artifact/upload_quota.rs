//! Whether a tenant may send one more file. What it has sent and not registered yet counts for as long as it is kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use udfleet_edge::auth::{Principal, Right};
use udfleet_edge::tenant::{LimitName, Tenants};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use crate::registry::{Holdings, Registry, beyond};

/// Files of one tenant that no function needs; they may have no bytes.
const MOST_UNUSED: usize = 10_000;

/// A file that was sent, or is being sent, and that no function needs yet.
struct UnusedFile {
    size: u64,
    /// Uploads of it that are under way.
    uploads: usize,
    /// Until when it counts, once it is there.
    until: Option<Instant>,
}

/// By hash.
type Unused = HashMap<String, UnusedFile>;

/// Checks uploads against the limits of their tenants.
pub struct UploadQuota {
    tenants: Arc<Tenants>,
    registry: Arc<Registry>,
    kept: Duration,
    /// Of tenants with a limit.
    unused: Mutex<HashMap<String, Unused>>,
}

/// An upload that counts. Dropped before [`CountedUpload::keep`], it counts no more, unless another of the same file does.
pub struct CountedUpload<'q> {
    quota: &'q UploadQuota,
    /// Tenant and hash; none: there is nothing to count.
    counted: Option<(String, String)>,
    kept: bool,
}

impl CountedUpload<'_> {
    /// The file is there.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for CountedUpload<'_> {
    fn drop(&mut self) {
        let Some((tenant, hash)) = self.counted.take() else { return };
        let mut all = self.quota.unused.lock();
        let Some(unused) = all.get_mut(&tenant) else { return };
        let Some(file) = unused.get_mut(&hash) else { return };
        file.uploads -= 1;
        if self.kept {
            file.until = Some(Instant::now() + self.quota.kept);
        } else if file.uploads == 0 && file.until.is_none() {
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
        let mut counted = CountedUpload { quota: self, counted: None, kept: false };
        let tenant = &caller.tenant;
        let most = self.tenants.limits(tenant).artifact_bytes.filter(|_| !caller.rights.has(Right::Admin));
        let Some(most) = most else { return Ok(counted) };
        let (most, now) = (most.0, Instant::now());
        let registered = Holdings::of(&self.registry.catalog(), tenant);
        let mut all = self.unused.lock();
        let unused = all.entry(tenant.clone()).or_default();
        unused.retain(|hash, file| {
            let kept = file.until.is_some_and(|until| until > now) && !registered.artifacts.contains_key(hash);
            kept || file.uploads > 0
        });
        if registered.artifacts.contains_key(hash) {
            return Ok(counted);
        }
        if let Some(file) = unused.get_mut(hash) {
            file.uploads += 1;
            counted.counted = Some((tenant.clone(), hash.to_owned()));
            return Ok(counted);
        }
        let sent = unused.iter().filter(|(hash, _)| !registered.artifacts.contains_key(*hash));
        let held = sent.map(|(_, file)| file.size).fold(registered.artifact_bytes(), u64::saturating_add);
        let then = held.saturating_add(size);
        let too_many = unused.len() >= MOST_UNUSED;
        if then > most || too_many {
            drop(all);
            self.tenants.refused(tenant, LimitName::ArtifactBytes);
            return Err(if too_many {
                too_many_unused(tenant)
            } else {
                beyond(tenant, LimitName::ArtifactBytes, held, then, most)
            });
        }
        unused.insert(hash.to_owned(), UnusedFile { size, uploads: 1, until: None });
        counted.counted = Some((tenant.clone(), hash.to_owned()));
        Ok(counted)
    }
}

fn too_many_unused(tenant: &str) -> Error {
    let message =
        format!("the tenant {tenant:?} has sent {MOST_UNUSED} files that no function needs, and may send no more");
    Error::new(ErrorCode::LimitExceeded, message).hint(
        "register functions that need them; files that none needs are removed after artifact_ttl of the coordinators",
    )
}

#[cfg(test)]
mod tests {
    use udfleet_edge::auth::{PrincipalKind, Rights};
    use udfleet_proto::v1::{Artifact, FunctionDefinition};

    use super::*;
    use crate::registry::Owner;
    use crate::store::embedded::EmbeddedStore;

    struct Fixture {
        _folder: tempfile::TempDir,
        registry: Arc<Registry>,
        caller: Principal,
    }

    impl Fixture {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Arc::new(EmbeddedStore::open(folder.path().join("meta.redb")).await.unwrap());
            let owner = Owner { coordinator: "c".to_owned(), incarnation: "1".to_owned() };
            let registry = Arc::new(Registry::open(store, owner).await.unwrap().0);
            let caller = Principal {
                tenant: "acme".to_owned(),
                rights: Rights::of(&[Right::Register]),
                ..Principal::unlimited(PrincipalKind::Token)
            };
            Self { _folder: folder, registry, caller }
        }

        fn quota(&self, kept: Duration) -> UploadQuota {
            let limits = toml::from_str("[acme]\nartifact_bytes = \"1000\"\n").unwrap();
            UploadQuota::new(Arc::new(Tenants::new(limits)), Arc::clone(&self.registry), kept)
        }
    }

    #[tokio::test]
    async fn a_file_of_several_uploads_counts_while_one_is_under_way_or_has_ended() {
        let fixture = Fixture::new().await;
        let (quota, caller) = (fixture.quota(Duration::from_secs(60)), &fixture.caller);
        let stalled = quota.begin(caller, "a", 600).unwrap();
        quota.begin(caller, "a", 600).unwrap().keep();
        drop(stalled);
        assert!(quota.begin(caller, "b", 600).is_err(), "the one that has ended counts");

        let (first, second) = (quota.begin(caller, "c", 400).unwrap(), quota.begin(caller, "c", 400).unwrap());
        drop(first);
        assert!(quota.begin(caller, "d", 400).is_err(), "the one under way counts");
        drop(second);
        assert!(quota.begin(caller, "d", 400).is_ok());
    }

    #[tokio::test]
    async fn files_without_bytes_are_counted_too_and_the_error_names_that_bound() {
        let fixture = Fixture::new().await;
        let (quota, caller) = (fixture.quota(Duration::from_secs(60)), &fixture.caller);
        for number in 0..MOST_UNUSED {
            quota.begin(caller, &number.to_string(), 0).unwrap().keep();
        }
        let Err(error) = quota.begin(caller, "one more", 0) else { panic!("it is one too many") };
        assert_eq!(error.code(), ErrorCode::LimitExceeded);
        assert!(error.info().message.contains("10000 files"), "{error}");
        assert!(quota.begin(caller, "7", 0).is_ok(), "the same again");
    }

    #[tokio::test]
    async fn what_is_not_registered_yet_counts_while_it_is_kept() {
        let Fixture { _folder, registry, caller } = Fixture::new().await;
        let limits = toml::from_str("[acme]\nartifact_bytes = \"1000\"\n").unwrap();
        let quota = UploadQuota::new(Arc::new(Tenants::new(limits)), Arc::clone(&registry), Duration::from_secs(60));
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
