//! What is in the redb file. All of it blocks; writes are durable when they return.

use std::time::Duration;

use bytes::Bytes;
use redb::{Database, ReadableDatabase as _, ReadableTable, Table, TableDefinition};

use super::super::{Entry, Expected, LeaseId, Listing, Revision, StoreError};

/// key -> (revision, lease or 0, value)
const ENTRIES: TableDefinition<&str, (u64, u64, &[u8])> = TableDefinition::new("entries");
/// lease -> time to live in milliseconds
const LEASES: TableDefinition<u64, u64> = TableDefinition::new("leases");
const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");
const REVISION: &str = "revision";
const LEASE: &str = "lease";

/// What a write asks of the entry that is there.
#[derive(Clone, Copy)]
pub(super) enum Condition {
    None,
    Is(Expected),
}

impl Condition {
    fn holds(self, found: Option<Revision>) -> bool {
        match self {
            Self::None => true,
            Self::Is(Expected::Absent) => found.is_none(),
            Self::Is(Expected::Revision(revision)) => found == Some(revision),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}

fn count(counters: &mut Table<'_, &'static str, u64>, name: &str) -> Result<u64, StoreError> {
    let next = counters.get(name).map_err(failed)?.map_or(0, |held| held.value()) + 1;
    counters.insert(name, next).map_err(failed)?;
    Ok(next)
}

/// Creates the tables; returns the revision and the leases that the file holds.
pub(super) fn prepare(database: &Database) -> Result<(Revision, Vec<(LeaseId, Duration)>), StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    let (revision, leases);
    {
        transaction.open_table(ENTRIES).map_err(failed)?;
        let counters = transaction.open_table(COUNTERS).map_err(failed)?;
        revision = counters.get(REVISION).map_err(failed)?.map_or(0, |held| held.value());
        let held = transaction.open_table(LEASES).map_err(failed)?;
        leases = held
            .iter()
            .map_err(failed)?
            .map(|row| row.map(|(id, ttl)| (id.value(), Duration::from_millis(ttl.value()))))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
    }
    transaction.commit().map_err(failed)?;
    Ok((revision, leases))
}

pub(super) fn get(database: &Database, key: &str) -> Result<Option<Entry>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let entries = transaction.open_table(ENTRIES).map_err(failed)?;
    Ok(entries.get(key).map_err(failed)?.map(|held| entry(key, held.value())))
}

fn entry(key: &str, (revision, _, value): (u64, u64, &[u8])) -> Entry {
    Entry { key: key.to_owned(), value: Bytes::copy_from_slice(value), revision }
}

pub(super) fn list(database: &Database, prefix: &str) -> Result<Listing, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let counters = transaction.open_table(COUNTERS).map_err(failed)?;
    let revision = counters.get(REVISION).map_err(failed)?.map_or(0, |held| held.value());
    let table = transaction.open_table(ENTRIES).map_err(failed)?;
    let mut entries = Vec::new();
    for row in table.range(prefix..).map_err(failed)? {
        let (key, held) = row.map_err(failed)?;
        if !key.value().starts_with(prefix) {
            break;
        }
        entries.push(entry(key.value(), held.value()));
    }
    Ok(Listing { entries, revision })
}

pub(super) fn write(
    database: &Database,
    key: &str,
    condition: Condition,
    value: &[u8],
    lease: Option<LeaseId>,
) -> Result<Option<Revision>, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    let revision;
    {
        let mut entries = transaction.open_table(ENTRIES).map_err(failed)?;
        let found = entries.get(key).map_err(failed)?.map(|held| held.value().0);
        if !condition.holds(found) {
            return Ok(None);
        }
        revision = count(&mut transaction.open_table(COUNTERS).map_err(failed)?, REVISION)?;
        entries.insert(key, (revision, lease.unwrap_or(0), value)).map_err(failed)?;
    }
    transaction.commit().map_err(failed)?;
    Ok(Some(revision))
}

/// The revision of the deletion, if there was anything to delete.
pub(super) fn remove(database: &Database, key: &str, condition: Condition) -> Result<Option<Revision>, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    let revision;
    {
        let mut entries = transaction.open_table(ENTRIES).map_err(failed)?;
        let found = entries.get(key).map_err(failed)?.map(|held| held.value().0);
        if found.is_none() || !condition.holds(found) {
            return Ok(None);
        }
        entries.remove(key).map_err(failed)?;
        revision = count(&mut transaction.open_table(COUNTERS).map_err(failed)?, REVISION)?;
    }
    transaction.commit().map_err(failed)?;
    Ok(Some(revision))
}

pub(super) fn grant(database: &Database, ttl: Duration) -> Result<LeaseId, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    let id = count(&mut transaction.open_table(COUNTERS).map_err(failed)?, LEASE)?;
    let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
    transaction.open_table(LEASES).map_err(failed)?.insert(id, millis).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(id)
}

/// Deletes the lease and what hangs on it, in one transaction.
pub(super) fn end_lease(database: &Database, lease: LeaseId) -> Result<Vec<(String, Revision)>, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    let mut deleted = Vec::new();
    {
        transaction.open_table(LEASES).map_err(failed)?.remove(lease).map_err(failed)?;
        let mut entries = transaction.open_table(ENTRIES).map_err(failed)?;
        let mut counters = transaction.open_table(COUNTERS).map_err(failed)?;
        let mut keys = Vec::new();
        for row in entries.iter().map_err(failed)? {
            let (key, held) = row.map_err(failed)?;
            if held.value().1 == lease {
                keys.push(key.value().to_owned());
            }
        }
        for key in keys {
            entries.remove(key.as_str()).map_err(failed)?;
            deleted.push((key, count(&mut counters, REVISION)?));
        }
    }
    transaction.commit().map_err(failed)?;
    Ok(deleted)
}
