//! What coordinators keep in the store to know of each other.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::registry::Owner;

/// Everything below.
pub(super) const CLUSTER: &str = "cluster/";
/// The [`Owner`] that leads. It is never written again, so that its revision is the leader's term.
pub const LEADER: &str = "cluster/leader";
/// `cluster/coordinators/ID`: an [`Announcement`].
pub(super) const COORDINATORS: &str = "cluster/coordinators/";

/// What a coordinator tells the others of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Which run of which coordinator.
    pub owner: Owner,
    /// host:port of gRPC and Flight; empty where others can't reach it.
    pub address: String,
    /// host:port of metrics and health.
    pub http_address: String,
}

impl Announcement {
    pub(super) fn key(&self) -> String {
        format!("{COORDINATORS}{}", self.owner.coordinator)
    }
}

/// Plain structs of texts: that they can't be written does not happen.
pub(super) fn encode(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// `None` for what another version has written differently.
pub(super) fn decode<'de, T: Deserialize<'de>>(value: &'de [u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}
