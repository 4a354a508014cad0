//! The keys and values of the registry in the store.

use prost::Message as _;
use udfleet_proto::v1::FunctionDefinition;

use super::Function;
use crate::store::{Entry, StoreError};

/// `functions/add/3`: a definition.
pub(super) const FUNCTIONS: &str = "functions/";
/// `registering/add/3`: the [`Owner`](super::Owner) of a registration that has not ended.
pub(super) const REGISTERING: &str = "registering/";

pub(super) fn function_key(name: &str, version: u32) -> String {
    format!("{FUNCTIONS}{name}/{version}")
}

pub(super) fn registering_key(name: &str, version: u32) -> String {
    format!("{REGISTERING}{name}/{version}")
}

/// `versions/add`: the last version number that was given out.
pub(super) const VERSIONS: &str = "versions/";

pub(super) fn counter_key(name: &str) -> String {
    format!("{VERSIONS}{name}")
}

/// Name and version of a key under `prefix`.
pub(super) fn parse<'a>(key: &'a str, prefix: &str) -> Option<(&'a str, u32)> {
    let (name, version) = key.strip_prefix(prefix)?.rsplit_once('/')?;
    Some((name, version.parse().ok()?))
}

pub(super) fn counted(entry: Option<&Entry>) -> Result<u32, StoreError> {
    let Some(entry) = entry else { return Ok(0) };
    let text = std::str::from_utf8(&entry.value).ok();
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| StoreError::Failed(format!("{} is no number", entry.key)))
}

pub(super) fn decode(entry: &Entry) -> Result<Function, StoreError> {
    let definition = FunctionDefinition::decode(entry.value.clone());
    definition.map(Function::new).map_err(|e| StoreError::Failed(format!("{} can't be read: {e}", entry.key)))
}
