//! Registered functions: in the store for good, in memory as an immutable [`Catalog`].

mod catalog;
mod kind;
mod validate;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::FunctionDefinition;

pub use catalog::{Catalog, Function};
pub use kind::null_result_refused;
pub use validate::{artifacts, validate};

use crate::store::{Expected, Revision, SharedStore, StoreError};

const FUNCTIONS: &str = "functions/";
/// Versions that nobody has served yet: their registration has not ended.
const REGISTERING: &str = "registering/";
/// How often a lost race for a version number is run again.
const RACES: usize = 32;

/// The registry. Reads are lock-free; changes go to the store first.
pub struct Registry {
    store: SharedStore,
    catalog: ArcSwap<Catalog>,
    /// One change of this process at a time; other processes are met by compare-and-swap.
    changes: tokio::sync::Mutex<()>,
}

impl Registry {
    /// Reads everything registered; also returns the revision from which to [`Registry::follow`].
    ///
    /// # Errors
    /// When the store fails or holds an entry that can't be read.
    pub async fn open(store: SharedStore) -> Result<(Self, Revision), StoreError> {
        let (catalog, revision) = load(&store).await?;
        Ok((Self { store, catalog: ArcSwap::from_pointee(catalog), changes: tokio::sync::Mutex::new(()) }, revision))
    }

    /// What is registered now.
    #[must_use]
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// Stores a definition as its name's next version, unless the newest is identical; true where it is new.
    ///
    /// A version number is never used twice, not even after a drop: `add@3` means one thing for ever.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn register(&self, mut definition: FunctionDefinition) -> Result<(Arc<Function>, bool), Error> {
        let _one = self.changes.lock().await;
        if let Some(newest) = self.catalog().newest(&definition.name)
            && newest.same_as(&definition)
        {
            return Ok((Arc::clone(newest), false));
        }
        definition.version = self.next_version(&definition.name).await?;
        definition.created_unix_ms = unix_ms();
        let function = Arc::new(Function::new(definition));
        let value = function.definition.encode_to_vec().into();
        let key = key(&function.definition.name, function.definition.version);
        // First, so that there is no moment at which the coordinator could die and leave an open registration unmarked.
        self.store.put(&mark(&function), Vec::new().into(), None).await?;
        if self.store.compare_and_swap(&key, Expected::Absent, value, None).await?.is_none() {
            return Err(Error::internal(format!("{}: the version is taken although it was counted", function.name)));
        }
        self.catalog.store(Arc::new(self.catalog().with(Arc::clone(&function))));
        Ok((function, true))
    }

    /// A new version is being served: its registration has ended well.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn settle(&self, function: &Function) -> Result<(), Error> {
        self.store.delete(&mark(function), None).await?;
        Ok(())
    }

    /// Versions whose registration was cut short by the end of the coordinator.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unsettled(&self) -> Result<Vec<Arc<Function>>, Error> {
        let (catalog, mut functions) = (self.catalog(), Vec::new());
        for entry in self.store.list(REGISTERING).await?.entries {
            let version = parse_key(&entry.key, REGISTERING).and_then(|(name, version)| catalog.get(name, version));
            match version {
                Some(function) => functions.push(Arc::clone(function)),
                // It was marked and never stored.
                None => drop(self.store.delete(&entry.key, None).await?),
            }
        }
        Ok(functions)
    }

    async fn next_version(&self, name: &str) -> Result<u32, Error> {
        let key = format!("versions/{name}");
        for _ in 0..RACES {
            let held = self.store.get(&key).await?;
            let text = held.as_ref().and_then(|entry| std::str::from_utf8(&entry.value).ok());
            let next = text.and_then(|text| text.parse::<u32>().ok()).unwrap_or(0) + 1;
            let expected = held.map_or(Expected::Absent, |entry| Expected::Revision(entry.revision));
            if self.store.compare_and_swap(&key, expected, next.to_string().into(), None).await?.is_some() {
                return Ok(next);
            }
        }
        Err(Error::internal(format!("{name}: too many registrations at once for a version number")))
    }

    /// Drops one version, or all of a name; returns what was dropped (`add@3`).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drop_function(&self, which: &FunctionRef) -> Result<Vec<String>, Error> {
        let _one = self.changes.lock().await;
        let mut catalog = Catalog::clone(&self.catalog());
        let mut dropped = Vec::new();
        for function in catalog.matching(which) {
            self.store.delete(&key(&which.name, function.definition.version), None).await?;
            self.store.delete(&mark(&function), None).await?;
            catalog = catalog.without(&which.name, function.definition.version);
            dropped.push(function.name.clone());
        }
        self.catalog.store(Arc::new(catalog));
        Ok(dropped)
    }

    /// Takes in what other coordinators change, and calls `changed` after each; returns when the store closes.
    ///
    /// # Errors
    /// When the store fails for good.
    pub async fn follow(&self, mut after: Revision, changed: impl Fn()) -> Result<(), StoreError> {
        loop {
            let mut watcher = self.store.watch(FUNCTIONS, after).await?;
            let compacted = loop {
                match watcher.next().await {
                    Ok(None) => return Ok(()),
                    Ok(Some(change)) if self.take_in(change.key()).await? => changed(),
                    Ok(Some(_)) => {}
                    Err(StoreError::Compacted(_)) => break self.reload().await?,
                    Err(error) => return Err(error),
                }
            };
            after = compacted;
            changed();
        }
    }

    async fn reload(&self) -> Result<Revision, StoreError> {
        let _one = self.changes.lock().await;
        let (catalog, revision) = load(&self.store).await?;
        self.catalog.store(Arc::new(catalog));
        Ok(revision)
    }

    /// True where the change was news.
    async fn take_in(&self, key: &str) -> Result<bool, StoreError> {
        let _one = self.changes.lock().await;
        let catalog = self.catalog();
        let Some((name, version)) = parse_key(key, FUNCTIONS) else { return Ok(false) };
        let known = catalog.get(name, version).is_some();
        // Only what the store holds now counts: this change may be older than one made here.
        let now = self.store.get(key).await?;
        let next = match now {
            Some(entry) if !known => catalog.with(Arc::new(decode(&entry.key, &entry.value)?)),
            None if known => catalog.without(name, version),
            _ => return Ok(false),
        };
        self.catalog.store(Arc::new(next));
        Ok(true)
    }
}

async fn load(store: &SharedStore) -> Result<(Catalog, Revision), StoreError> {
    let listing = store.list(FUNCTIONS).await?;
    let mut catalog = Catalog::default();
    for entry in &listing.entries {
        catalog.insert(Arc::new(decode(&entry.key, &entry.value)?));
    }
    Ok((catalog, listing.revision))
}

fn decode(key: &str, value: &[u8]) -> Result<Function, StoreError> {
    let definition = FunctionDefinition::decode(value);
    definition.map(Function::new).map_err(|e| StoreError::Failed(format!("{key} can't be read: {e}")))
}

fn key(name: &str, version: u32) -> String {
    format!("{FUNCTIONS}{name}/{version}")
}

fn mark(function: &Function) -> String {
    format!("{REGISTERING}{}/{}", function.definition.name, function.definition.version)
}

fn parse_key<'a>(key: &'a str, prefix: &str) -> Option<(&'a str, u32)> {
    let (name, version) = key.strip_prefix(prefix)?.rsplit_once('/')?;
    Some((name, version.parse().ok()?))
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::EmbeddedStore;

    async fn open(folder: &tempfile::TempDir) -> Registry {
        let store = EmbeddedStore::open(folder.path().join("meta.redb")).await.unwrap();
        Registry::open(Arc::new(store)).await.unwrap().0
    }

    fn definition(name: &str, doc: &str) -> FunctionDefinition {
        FunctionDefinition { name: name.to_owned(), doc: doc.to_owned(), ..Default::default() }
    }

    #[tokio::test]
    async fn versions_count_up_and_identical_definitions_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(&folder).await;
        let (first, new) = registry.register(definition("add", "a")).await.unwrap();
        assert_eq!((first.name.as_str(), new), ("add@1", true));
        let (same, new) = registry.register(definition("add", "a")).await.unwrap();
        assert_eq!((same.name.as_str(), new), ("add@1", false));
        let (second, _) = registry.register(definition("add", "b")).await.unwrap();
        assert_eq!(second.name, "add@2");
        assert_eq!(registry.catalog().newest("add").unwrap().name, "add@2");
    }

    #[tokio::test]
    async fn a_restart_loses_nothing_and_numbers_are_not_reused() {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(&folder).await;
        registry.register(definition("add", "a")).await.unwrap();
        registry.register(definition("add", "b")).await.unwrap();
        registry.register(definition("sub", "c")).await.unwrap();
        assert_eq!(registry.drop_function(&FunctionRef::parse("add@2").unwrap()).await.unwrap(), ["add@2"]);
        drop(registry);

        let registry = open(&folder).await;
        let names: Vec<_> = registry.catalog().iter().map(|f| f.name.clone()).collect();
        assert_eq!(names, ["add@1", "sub@1"]);
        assert_eq!(registry.register(definition("add", "b")).await.unwrap().0.name, "add@3");
        let dropped = registry.drop_function(&FunctionRef::parse("add").unwrap()).await.unwrap();
        assert_eq!(dropped, ["add@1", "add@3"]);
        assert!(registry.drop_function(&FunctionRef::parse("add").unwrap()).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn registrations_that_did_not_end_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(&folder).await;
        for name in ["settled", "open", "dropped"] {
            registry.register(definition(name, "a")).await.unwrap();
        }
        let settled = Arc::clone(registry.catalog().newest("settled").unwrap());
        registry.settle(&settled).await.unwrap();
        registry.drop_function(&FunctionRef::parse("dropped").unwrap()).await.unwrap();
        registry.store.put("registering/never_stored/7", Vec::new().into(), None).await.unwrap();
        drop(registry);

        let registry = open(&folder).await;
        let names = |functions: Vec<Arc<Function>>| functions.iter().map(|f| f.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(registry.unsettled().await.unwrap()), ["open@1"]);
        assert_eq!(registry.store.list(REGISTERING).await.unwrap().entries.len(), 1);
    }

    #[tokio::test]
    async fn changes_of_another_coordinator_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let store: SharedStore = Arc::new(EmbeddedStore::open(folder.path().join("meta.redb")).await.unwrap());
        let (mine, after) = Registry::open(Arc::clone(&store)).await.unwrap();
        let (theirs, _) = Registry::open(store).await.unwrap();
        let (send, mut changes) = tokio::sync::mpsc::unbounded_channel();
        let follow = mine.follow(after, || drop(send.send(mine.catalog())));
        let act = async {
            theirs.register(definition("add", "a")).await.unwrap();
            assert!(changes.recv().await.unwrap().newest("add").is_some());
            theirs.drop_function(&FunctionRef::parse("add").unwrap()).await.unwrap();
            assert!(changes.recv().await.unwrap().newest("add").is_none());
        };
        tokio::select! {
            result = follow => panic!("follow ended: {result:?}"),
            result = tokio::time::timeout(std::time::Duration::from_secs(10), act) => result.unwrap(),
        }
    }
}
