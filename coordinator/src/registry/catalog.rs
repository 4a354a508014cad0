//! All registered functions at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
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
    /// Hash of its environment.
    pub environment: String,
    /// SHA-256 of its definition as it travels, version and all: what executors know it by.
    pub hash: Bytes,
}

impl Function {
    /// Derives the names.
    #[must_use]
    pub fn new(definition: FunctionDefinition) -> Self {
        let environment = definition.environment.clone().unwrap_or_default();
        Self {
            name: versioned(&definition.name, definition.version),
            environment: udfleet_proto::environment::hash(&environment),
            hash: Bytes::copy_from_slice(&Sha256::digest(definition.encode_to_vec())),
            definition,
        }
    }

    /// True where both would run alike: everything but version, time and request is the same.
    #[must_use]
    pub fn same_as(&self, other: &FunctionDefinition) -> bool {
        let mut mine = self.definition.clone();
        (mine.version, mine.created_unix_ms) = (other.version, other.created_unix_ms);
        mine.request_id.clone_from(&other.request_id);
        mine == *other
    }
}

/// Functions by name and version. Cloning is cheap enough for a registration, never done for a call.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    functions: BTreeMap<String, BTreeMap<u32, Arc<Function>>>,
}

impl Catalog {
    pub(super) fn insert(&mut self, function: Arc<Function>) {
        let versions = self.functions.entry(function.definition.name.clone()).or_default();
        versions.insert(function.definition.version, function);
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
        if let Some(versions) = next.functions.get_mut(name) {
            versions.remove(&version);
            if versions.is_empty() {
                next.functions.remove(name);
            }
        }
        next
    }

    /// One version.
    #[must_use]
    pub fn get(&self, name: &str, version: u32) -> Option<&Arc<Function>> {
        self.functions.get(name)?.get(&version)
    }

    /// The newest version.
    #[must_use]
    pub fn newest(&self, name: &str) -> Option<&Arc<Function>> {
        self.functions.get(name)?.values().next_back()
    }

    /// All versions of all functions, by name, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions.values().flat_map(BTreeMap::values)
    }

    /// Names without versions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// All versions of a name, oldest first.
    pub fn versions(&self, name: &str) -> impl DoubleEndedIterator<Item = &Arc<Function>> {
        self.functions.get(name).into_iter().flat_map(BTreeMap::values)
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
