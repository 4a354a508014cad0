//! Registered functions: durable in the store, in memory as an immutable [`Catalog`].

mod backup;
mod catalog;
mod entries;
mod follow;
mod kind;
mod lookup;
mod owner;
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
pub use kind::null_result_refused;
pub use lookup::Lookup;
pub use owner::Owner;
pub use unresolved::{RegisterError, UnresolvedRegistration};
pub use validate::{artifacts, validate};

use crate::store::{Condition, Revision, SharedStore, StoreError, Write};
use entries::{FUNCTIONS, REGISTERING, counted, counter_key, decode, function_key, parse, registering_key};
use lookup::{Arrivals, Looks};

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
}

impl Registry {
    /// Reads everything registered, and names what can't be read; also returns the revision from which to [`Registry::follow`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open(store: SharedStore, owner: Owner) -> Result<(Self, Revision), StoreError> {
        let (catalog, revision) = load(&store).await?;
        let catalog = ArcSwap::from_pointee(catalog);
        let (changes, looks, arrivals) = Default::default();
        Ok((Self { store, owner, catalog, changes, looks, arrivals }, revision))
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
    /// When the store fails; [`RegisterError::Unresolved`] where nobody knows whether the definition was stored.
    pub async fn register(&self, mut definition: FunctionDefinition) -> Result<(Arc<Function>, bool), RegisterError> {
        let _one = self.changes.lock().await;
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
            let version = last + 1;
            definition.version = version;
            let key = function_key(&definition.name, version);
            let counter_read = held.map(|entry| entry.revision);
            let conditions = [Condition::unchanged(&counter, counter_read), Condition::absent(&key)];
            let writes = vec![
                Write::put(&counter, version.to_string()),
                Write::put(&key, definition.encode_to_vec()),
                Write::put(registering_key(&definition.name, version), owner.clone()),
            ];
            match self.store.transact(&conditions, writes).await {
                Ok(Some(_)) => {
                    let function = Arc::new(Function::new(definition));
                    self.catalog.store(Arc::new(self.catalog().with(Arc::clone(&function))));
                    return Ok((function, true));
                }
                Ok(None) => {}
                Err(error @ StoreError::Unavailable(_)) => {
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

    /// A new version is being served: its registration has ended well.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn settle(&self, function: &Function) -> Result<(), Error> {
        let FunctionDefinition { name, version, .. } = &function.definition;
        self.store.transact(&[], vec![Write::delete(registering_key(name, *version))]).await?;
        Ok(())
    }

    /// A registration has failed: the version is removed. Its number is given out again where nobody can have called
    /// it (`served` is false) and no later number was given out; otherwise it stays used up, so that `add@3` never
    /// means two things to a caller. One that has been dropped, or that another coordinator has taken over, is left alone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn abandon(&self, function: &Function, served: bool) -> Result<(), Error> {
        let _one = self.changes.lock().await;
        let FunctionDefinition { name, version, .. } = &function.definition;
        let (counter, key, registering) =
            (counter_key(name), function_key(name, *version), registering_key(name, *version));
        for _ in 0..RACES {
            let Some(mine) = self.store.get(&registering).await?.filter(|entry| self.owns(&entry.value)) else { break };
            let mut conditions = vec![Condition::unchanged(&registering, Some(mine.revision))];
            let mut writes = vec![Write::delete(&key), Write::delete(&registering)];
            let last = self.store.get(&counter).await?;
            if let (false, Some(last)) = (served, last)
                && counted(Some(&last))? == *version
            {
                conditions.push(Condition::unchanged(&counter, Some(last.revision)));
                writes.push(match version - 1 {
                    0 => Write::delete(&counter),
                    before => Write::put(&counter, before.to_string()),
                });
            }
            if self.store.transact(&conditions, writes).await?.is_some() {
                self.catalog.store(Arc::new(self.catalog().without(name, *version)));
                return Ok(());
            }
        }
        Ok(())
    }

    fn owns(&self, value: &[u8]) -> bool {
        serde_json::from_slice::<Owner>(value).is_ok_and(|owner| owner == self.owner)
    }

    /// Takes over the registrations that are under way whose owners `orphaned` names; `fence` has to hold for that.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_over(
        &self,
        fence: Option<Condition>,
        orphaned: impl Fn(&Owner) -> bool,
    ) -> Result<Vec<Arc<Function>>, Error> {
        let mut functions = Vec::new();
        for entry in self.store.list(REGISTERING).await?.entries {
            // One without a readable owner was written by a version that knew only one coordinator.
            let owner = serde_json::from_slice::<Owner>(&entry.value).ok();
            if owner.is_some_and(|owner| !orphaned(&owner)) {
                continue;
            }
            let Some((name, version)) = parse(&entry.key, REGISTERING) else { continue };
            self.take_in(&function_key(name, version)).await?;
            let function = self.catalog().get(name, version).cloned();
            let mine = serde_json::to_vec(&self.owner).map_err(|e| Error::internal(format!("the owner: {e}")))?;
            let write = match function {
                Some(_) => Write::put(&entry.key, mine),
                None => Write::delete(&entry.key),
            };
            let as_read = Condition::unchanged(&entry.key, Some(entry.revision));
            let conditions: Vec<Condition> = fence.iter().cloned().chain([as_read]).collect();
            if self.store.transact(&conditions, vec![write]).await?.is_some() {
                functions.extend(function);
            }
        }
        Ok(functions)
    }

    /// Drops one version, or all of a name; returns what was dropped (`add@3`). Their numbers are not given out again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drop_function(&self, which: &FunctionRef) -> Result<Vec<String>, Error> {
        let _one = self.changes.lock().await;
        let mut dropped = Vec::new();
        for functions in self.catalog().matching(which).chunks(DROPPED_AT_ONCE) {
            let versions = functions.iter().map(|function| function.definition.version);
            let keys = |version| [function_key(&which.name, version), registering_key(&which.name, version)];
            self.store.transact(&[], versions.flat_map(keys).map(Write::Delete).collect()).await?;
            let without = |catalog: Catalog, f: &Arc<Function>| catalog.without(&which.name, f.definition.version);
            self.catalog.store(Arc::new(functions.iter().fold(Catalog::clone(&self.catalog()), without)));
            dropped.extend(functions.iter().map(|function| function.name.clone()));
        }
        Ok(dropped)
    }

    /// Reads everything anew: nothing that was registered before this was called is missing afterwards.
    ///
    /// # Errors
    /// When the store fails or holds an entry that can't be read.
    pub async fn reload(&self) -> Result<(), StoreError> {
        let _one = self.changes.lock().await;
        let (catalog, _) = load(&self.store).await?;
        self.catalog.store(Arc::new(catalog));
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
