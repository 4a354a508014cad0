//! What a transaction is made of.

use std::collections::HashSet;

use bytes::Bytes;

use super::{LeaseId, Revision, StoreError};

/// The most conditions, and the most writes, of one transaction: etcd's own bound.
pub const MAX_OPERATIONS: usize = 128;

/// What must be stored under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// An entry that was last changed at this revision.
    Revision(Revision),
}

/// What must hold for a transaction to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Of the entry.
    pub key: String,
    /// How it has to be.
    pub expected: Expected,
}

impl Condition {
    /// Nothing is stored under the key.
    #[must_use]
    pub fn absent(key: impl Into<String>) -> Self {
        Self { key: key.into(), expected: Expected::Absent }
    }

    /// The entry is as it was read; `None`: it still is not there.
    #[must_use]
    pub fn unchanged(key: impl Into<String>, read: Option<Revision>) -> Self {
        Self { key: key.into(), expected: read.map_or(Expected::Absent, Expected::Revision) }
    }

    /// Whether it holds for an entry with this revision.
    #[must_use]
    pub fn holds(&self, found: Option<Revision>) -> bool {
        match self.expected {
            Expected::Absent => found.is_none(),
            Expected::Revision(revision) => found == Some(revision),
        }
    }
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Stores the value, whatever was there.
    Put {
        /// Where.
        key: String,
        /// What.
        value: Bytes,
        /// The entry vanishes when this lease ends.
        lease: Option<LeaseId>,
    },
    /// Removes the entry, if there is one.
    Delete(String),
}

impl Write {
    /// Stores for good.
    #[must_use]
    pub fn put(key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        Self::Put { key: key.into(), value: value.into(), lease: None }
    }

    /// Stores until the lease ends.
    #[must_use]
    pub fn leased(key: impl Into<String>, value: impl Into<Bytes>, lease: LeaseId) -> Self {
        Self::Put { key: key.into(), value: value.into(), lease: Some(lease) }
    }

    /// Removes.
    #[must_use]
    pub fn delete(key: impl Into<String>) -> Self {
        Self::Delete(key.into())
    }

    /// The key that it changes.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete(key) => key,
        }
    }
}

/// Refuses what not every store could do, so that all refuse the same.
pub(super) fn check(conditions: &[Condition], writes: &[Write]) -> Result<(), StoreError> {
    if conditions.len() > MAX_OPERATIONS || writes.len() > MAX_OPERATIONS {
        let (conditions, writes) = (conditions.len(), writes.len());
        return Err(StoreError::Invalid(format!(
            "{conditions} conditions and {writes} writes: at most {MAX_OPERATIONS} each"
        )));
    }
    let mut keys = HashSet::new();
    match writes.iter().find(|write| !keys.insert(write.key())) {
        Some(twice) => Err(StoreError::Invalid(format!("{} is written twice", twice.key()))),
        None => Ok(()),
    }
}
