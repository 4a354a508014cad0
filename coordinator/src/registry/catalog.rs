//! All registered functions at one moment.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use rpds::{HashTrieMapSync, RedBlackTreeMapSync};
use sha2::{Digest as _, Sha256};
use udfleet_edge::tracked::TrackedMap;
use udfleet_proto::error::Error;
use udfleet_proto::name::{FunctionRef, nearest, versioned};
use udfleet_proto::v1::{ErrorCode, FunctionDefinition};

/// One version of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// `add@3`
    pub name: String,
    /// As registered.
    pub definition: FunctionDefinition,
    /// The group of interpreters that it shares: the hash of its environment, and of its wishes where it has any.
    pub environment: String,
    /// SHA-256 of its definition as it travels, version and all: what executors know it by.
    pub hash: Bytes,
    /// Why the store's entry can't be read: then there is nothing but the name.
    pub unreadable: Option<String>,
}

impl Function {
    /// Derives the names.
    #[must_use]
    pub fn new(definition: FunctionDefinition) -> Self {
        Self {
            name: versioned(&definition.name, definition.version),
            environment: udfleet_proto::environment::group(&definition),
            hash: Bytes::copy_from_slice(&Sha256::digest(definition.encode_to_vec())),
            definition,
            unreadable: None,
        }
    }

    /// A version of which the store holds something else than a definition.
    #[must_use]
    pub fn unreadable(name: &str, version: u32, reason: String) -> Self {
        let named = FunctionDefinition { name: name.to_owned(), version, ..FunctionDefinition::default() };
        Self { unreadable: Some(reason), ..Self::new(named) }
    }

    /// The refusal of a version that can't be read.
    ///
    /// # Errors
    /// [`ErrorCode::FunctionNotFound`], with what to do.
    pub fn check(&self) -> Result<(), Error> {
        let Some(reason) = &self.unreadable else { return Ok(()) };
        let hint = format!("`udfleet drop {}`, then register it again; or restore the data folder's backup", self.name);
        Err(Error::new(ErrorCode::FunctionNotFound, reason).function(&self.name).hint(hint))
    }

    /// True where both would run alike: everything but version, time, request and tenant is the same.
    #[must_use]
    pub fn same_as(&self, other: &FunctionDefinition) -> bool {
        let mut mine = self.definition.clone();
        (mine.version, mine.created_unix_ms) = (other.version, other.created_unix_ms);
        mine.tenant.clone_from(&other.tenant);
        mine.request_id.clone_from(&other.request_id);
        mine == *other
    }
}

/// Versions of one name.
type Versions = RedBlackTreeMapSync<u32, Arc<Function>>;

/// Functions by name and version. Cloning and changing cost the same however many there are.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    names: TrackedMap<Arc<str>, Versions>,
    by_hash: HashTrieMapSync<Bytes, Arc<Function>>,
}

impl Catalog {
    pub(super) fn insert(&mut self, function: Arc<Function>) {
        let FunctionDefinition { name, version, .. } = &function.definition;
        let held = self.names.get(name.as_str()).cloned().unwrap_or_default();
        if let Some(replaced) = held.get(version) {
            self.by_hash.remove_mut(&replaced.hash);
        }
        self.by_hash.insert_mut(function.hash.clone(), Arc::clone(&function));
        self.names.insert(Arc::from(name.as_str()), held.insert(*version, Arc::clone(&function)));
    }

    /// With one more.
    #[must_use]
    pub fn with(&self, function: Arc<Function>) -> Self {
        let mut next = self.clone();
        next.insert(function);
        next
    }

    /// Without one version.
    #[must_use]
    pub fn without(&self, name: &str, version: u32) -> Self {
        let mut next = self.clone();
        let Some(versions) = self.names.get(name) else { return next };
        if let Some(removed) = versions.get(&version) {
            next.by_hash.remove_mut(&removed.hash);
        }
        match versions.remove(&version) {
            rest if rest.is_empty() => drop(next.names.remove(name)),
            rest => next.names.insert(Arc::from(name), rest),
        }
        next
    }

    /// One version.
    #[must_use]
    pub fn get(&self, name: &str, version: u32) -> Option<&Arc<Function>> {
        self.names.get(name)?.get(&version)
    }

    /// The function whose definition has this hash.
    #[must_use]
    pub fn by_hash(&self, hash: &Bytes) -> Option<&Arc<Function>> {
        self.by_hash.get(hash)
    }

    /// The newest version.
    #[must_use]
    pub fn newest(&self, name: &str) -> Option<&Arc<Function>> {
        self.versions(name).next_back()
    }

    /// All versions of all functions, by name, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.names.iter().flat_map(|(_, versions)| versions.values())
    }

    /// Names without versions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(name, _)| &**name)
    }

    /// All versions of a name, oldest first.
    pub fn versions(&self, name: &str) -> impl DoubleEndedIterator<Item = &Arc<Function>> {
        self.names.get(name).into_iter().flat_map(Versions::values)
    }

    /// What has been dropped and what has been added since an earlier catalog. A definition that has taken another's
    /// number is in both.
    #[must_use]
    pub fn since<'c>(&'c self, before: &'c Self) -> CatalogChange<'c> {
        let same = |a: &Arc<Function>, b: &Arc<Function>| Arc::ptr_eq(a, b) || a.hash == b.hash;
        let mut change = CatalogChange::default();
        for name in self.names.since(&before.names, |_, _| false) {
            let not_in = |function: &&Arc<Function>, other: Option<&'c Versions>| {
                let held = other.and_then(|other| other.get(&function.definition.version));
                !held.is_some_and(|held| same(held, function))
            };
            let dropped = name.before.into_iter().flat_map(Versions::values);
            change.dropped.extend(dropped.filter(|function| not_in(function, name.now)));
            let added = name.now.into_iter().flat_map(Versions::values);
            change.added.extend(added.filter(|function| not_in(function, name.before)));
        }
        change
    }

    /// The version that is named, or all of the name.
    #[must_use]
    pub fn matching(&self, which: &FunctionRef) -> Vec<Arc<Function>> {
        let wanted = |function: &&Arc<Function>| which.version.is_none_or(|v| v == function.definition.version);
        self.versions(&which.name).filter(wanted).cloned().collect()
    }

    /// Says that `which` is not registered, and what is.
    #[must_use]
    pub fn not_found(&self, which: &FunctionRef) -> Error {
        let error = Error::new(ErrorCode::FunctionNotFound, format!("no function {which} is registered"))
            .function(which.to_string());
        let versions: Vec<String> = self.versions(&which.name).map(|f| f.name.clone()).collect();
        if !versions.is_empty() {
            return error.hint(format!("there is {}", versions.join(", ")));
        }
        match nearest(&which.name, self.names()) {
            Some(near) => error.hint(format!("did you mean {near:?}?")),
            None => error.hint("`udfleet functions` lists what is registered"),
        }
    }
}

/// How two catalogs differ.
#[derive(Debug, Default)]
pub struct CatalogChange<'c> {
    /// Those that are there no more.
    pub dropped: Vec<&'c Arc<Function>>,
    /// Those that are new.
    pub added: Vec<&'c Arc<Function>>,
}
