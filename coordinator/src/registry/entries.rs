//! The keys and values of the registry in the store.

use prost::Message as _;
use udfleet_proto::name::versioned;
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

/// `tenants/acme`: changed with each registration of a tenant that has limits.
const TENANTS: &str = "tenants/";

pub(super) fn tenant_key(tenant: &str) -> String {
    format!("{TENANTS}{tenant}")
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

/// The function of an entry. One that can't be read is known by its name: the others are served all the same.
pub(super) fn decode(entry: &Entry) -> Option<Function> {
    let Some((name, version)) = parse(&entry.key, FUNCTIONS) else {
        tracing::error!(key = entry.key, "an entry of the store is left out: its key names no function");
        return None;
    };
    let read = FunctionDefinition::decode(entry.value.clone()).map_err(|e| e.to_string());
    let read = read.and_then(|definition| match (definition.name == name, definition.version == version) {
        (true, true) => Ok(definition),
        _ => Err(format!("it holds {}", versioned(&definition.name, definition.version))),
    });
    Some(read.map(Function::new).unwrap_or_else(|why| {
        let reason = format!("its entry {} in the coordinator's store can't be read: {why}", entry.key);
        let function = Function::unreadable(name, version, reason);
        tracing::error!(
            function = function.name,
            error = function.check().err().map(tracing::field::display),
            "not served"
        );
        function
    }))
}
