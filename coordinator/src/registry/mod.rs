//! Registered functions: durable in the store, in memory as an immutable [`Catalog`].

mod backup;
mod catalog;
mod entries;
mod follow;
mod holdings;
mod kind;
mod lookup;
mod marks;
mod owner;
mod quota;
mod requirements;
mod under_way;
mod unresolved;
mod validate;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::{ErrorCode, FunctionDefinition};

pub use backup::ExportedRegistry;
pub use catalog::{Catalog, CatalogChange, Function};
pub use holdings::{Holdings, all_holdings, tenant_of};
pub use kind::null_result_refused;
pub use lookup::Lookup;
pub use owner::Owner;
pub use quota::{RegistrationQuota, beyond};
pub use under_way::RegistrationEnd;
pub use unresolved::{RegisterError, UnresolvedRegistration};
pub use validate::{MAX_PARTITIONS, artifacts, validate};

use crate::store::{Condition, Revision, SharedStore, StoreError, UnansweredWrites, Write};
use entries::{FUNCTIONS, counted, counter_key, decode, function_key, registering_key};
use lookup::{Arrivals, Looks};
use marks::{KnownMarks, TenantMark};
use under_way::SeenTo;

/// How often a lost race for a version number is run again.
const RACES: usize = 32;
/// The most versions that other coordinators can have registered before this one hears of it.
const CAUGHT_UP: u32 = 8;
/// Versions that are dropped in one transaction: each takes two writes.
const DROPPED_AT_ONCE: usize = crate::store::MAX_OPERATIONS / 2;

/// The registry. Reads are lock-free; changes go to the store first.
pub struct Registry {
    store: SharedStore,
    owner: Owner,
    catalog: ArcSwap<Catalog>,
    /// One change of this process at a time; other processes are met by conditions of transactions.
    changes: tokio::sync::Mutex<()>,
    looks: Looks,
    arrivals: Arrivals,
    seen_to: SeenTo,
    quota: RegistrationQuota,
    marks: KnownMarks,
}

impl Registry {
    /// Reads everything registered, and names what can't be read; also returns the revision from which to [`Registry::follow`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open(store: SharedStore, owner: Owner) -> Result<(Self, Revision), StoreError> {
        let (catalog, revision) = load(&store).await?;
        let catalog = ArcSwap::from_pointee(catalog);
        let (changes, looks, arrivals, seen_to, quota) = Default::default();
        let marks = KnownMarks::read(revision);
        Ok((Self { store, owner, catalog, changes, looks, arrivals, seen_to, quota, marks }, revision))
    }

    /// Checks what is registered by this.
    #[must_use]
    pub fn limited(self, quota: RegistrationQuota) -> Self {
        Self { quota, ..self }
    }

    /// What is registered now.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Stores a definition as its name's next version, unless the same request has stored it already or the newest is
    /// identical; true where it is new. Until [`Registry::settle`] or [`Registry::abandon`] its registration is under way,
    /// and this process sees to it.
    ///
    /// # Errors
    /// When the store fails, or the tenant may have no more; [`RegisterError::Unresolved`] where nobody knows whether the definition was stored.
    pub async fn register(&self, mut definition: FunctionDefinition) -> Result<(Arc<Function>, bool), RegisterError> {
        let mut one = self.changes.lock().await;
        definition.created_unix_ms = unix_ms();
        let owner = serde_json::to_vec(&self.owner).map_err(|e| Error::internal(format!("the owner: {e}")))?;
        let counter = counter_key(&definition.name);
        for _ in 0..RACES {
            let held = self.store.get(&counter).await?;
            let last = counted(held.as_ref())?;
            self.catch_up(&definition.name, last).await?;
            if let Some(registered) = self.registered(&definition) {
                return Ok((registered, false));
            }
            let mark = self.tenant_mark(&definition).await?;
            if let Some(news) = mark.as_ref().filter(|mark| !self.marks.know(mark)) {
                drop(one);
                self.hear_of(news).await?;
                one = self.changes.lock().await;
                continue;
            }
            self.quota.check(&self.catalog(), &definition)?;
            let version = last + 1;
            definition.version = version;
            let key = function_key(&definition.name, version);
            let counter_read = held.map(|entry| entry.revision);
            let mut conditions = vec![Condition::unchanged(&counter, counter_read), Condition::absent(&key)];
            conditions.extend(mark.as_ref().map(TenantMark::condition));
            let mut writes = vec![
                Write::put(&counter, version.to_string()),
                Write::put(&key, definition.encode_to_vec()),
                Write::put(registering_key(&definition.name, version), owner.clone()),
            ];
            writes.extend(mark.as_ref().map(|mark| mark.write(&definition.name, version)));
            // Before: as soon as the store shows that it is under way, this process sees to it.
            let seen_to = self.seen_to.begin(&definition.name, version);
            match self.store.transact(&conditions, writes).await {
                Ok(Some(revision)) => {
                    seen_to.keep();
                    mark.into_iter().for_each(|mark| self.marks.written(mark, revision));
                    let function = Arc::new(Function::new(definition));
                    self.catalog.store(Arc::new(self.catalog().with(Arc::clone(&function))));
                    return Ok((function, true));
                }
                Ok(None) => {}
                Err(error @ StoreError::Unavailable(_)) => {
                    seen_to.keep();
                    let registration = UnresolvedRegistration::new(definition, counter_read);
                    return Err(RegisterError::Unresolved(error.into(), Box::new(registration)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let message = format!("{}: too many registrations at once for a version number", definition.name);
        Err(Error::new(ErrorCode::NoCapacity, message).hint("try again").into())
    }

    /// Takes in versions of a name that another coordinator has stored just now, up to the `last`.
    async fn catch_up(&self, name: &str, last: u32) -> Result<(), StoreError> {
        let known = self.catalog().newest(name).map_or(0, |newest| newest.definition.version);
        for version in known.max(last.saturating_sub(CAUGHT_UP)) + 1..=last {
            if let Some(function) = self.store.get(&function_key(name, version)).await?.and_then(|entry| decode(&entry))
            {
                self.catalog.store(Arc::new(self.catalog().with(Arc::new(function))));
            }
        }
        Ok(())
    }

    /// What the request has stored when it was sent before, or the newest version where it is identical.
    fn registered(&self, definition: &FunctionDefinition) -> Option<Arc<Function>> {
        let (catalog, request) = (self.catalog(), &definition.request_id);
        let sent_before = |f: &&Arc<Function>| !request.is_empty() && f.definition.request_id == *request;
        let stored = catalog.versions(&definition.name).find(sent_before);
        stored.or_else(|| catalog.newest(&definition.name).filter(|newest| newest.same_as(definition))).cloned()
    }

    /// Drops one version, or all of a name; returns what was dropped (`add@3`). Their numbers are not given out again.
    ///
    /// # Errors
    /// When the store fails: some of them may be dropped then, and to drop them again does no harm.
    pub async fn drop_function(&self, which: &FunctionRef) -> Result<Vec<Arc<Function>>, Error> {
        let _one = self.changes.lock().await;
        let mut dropped = Vec::new();
        for functions in self.catalog().matching(which).chunks(DROPPED_AT_ONCE) {
            let versions = functions.iter().map(|function| function.definition.version);
            let keys = |version| [function_key(&which.name, version), registering_key(&which.name, version)];
            let deletions: Vec<Write> = versions.flat_map(keys).map(Write::Delete).collect();
            let mut unanswered = UnansweredWrites::default();
            // What has been deleted already is deleted once more.
            while unanswered.again(self.store.transact(&[], deletions.clone()).await)?.is_none() {}
            let without = |catalog: Catalog, f: &Arc<Function>| catalog.without(&which.name, f.definition.version);
            self.catalog.store(Arc::new(functions.iter().fold(Catalog::clone(&self.catalog()), without)));
            dropped.extend(functions.iter().cloned());
        }
        Ok(dropped)
    }

    /// Reads everything anew: nothing that was registered before this was called is missing afterwards.
    ///
    /// # Errors
    /// When the store fails or holds an entry that can't be read.
    pub async fn reload(&self) -> Result<(), StoreError> {
        let _one = self.changes.lock().await;
        let (catalog, revision) = load(&self.store).await?;
        self.catalog.store(Arc::new(catalog));
        self.marks.heard(revision);
        Ok(())
    }
}

async fn load(store: &SharedStore) -> Result<(Catalog, Revision), StoreError> {
    let listing = store.list(FUNCTIONS).await?;
    let mut catalog = Catalog::default();
    for entry in &listing.entries {
        decode(entry).into_iter().for_each(|function| catalog.insert(Arc::new(function)));
    }
    Ok((catalog, listing.revision))
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
