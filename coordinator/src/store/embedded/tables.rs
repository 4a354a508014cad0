//! What is in the redb file. All of it blocks; writes are durable when they return.

use std::time::Duration;

use bytes::Bytes;
use redb::{Database, ReadableDatabase as _, ReadableTable, StorageError, Table, TableDefinition, WriteTransaction};

use super::super::{Change, Changes, Condition, Entry, LeaseId, Listing, Revision, StoreError, Write};

/// key -> (revision, lease or 0, value)
const ENTRIES: TableDefinition<&str, (u64, u64, &[u8])> = TableDefinition::new("entries");
/// lease -> time to live in milliseconds
const LEASES: TableDefinition<u64, u64> = TableDefinition::new("leases");
const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");
const REVISION: &str = "revision";
const LEASE: &str = "lease";

type Entries<'t> = Table<'t, &'static str, (u64, u64, &'static [u8])>;

/// I/O may work again later, a full disk has room then; everything else is for good.
fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        error @ (redb::Error::Io(_) | redb::Error::PreviousIo) => StoreError::Unavailable(error.to_string()),
        error => StoreError::Failed(error.to_string()),
    }
}

fn counter(counters: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<u64, StoreError> {
    Ok(counters.get(name).map_err(failed)?.map_or(0, |held| held.value()))
}

fn count(transaction: &WriteTransaction, name: &str) -> Result<u64, StoreError> {
    let mut counters = transaction.open_table(COUNTERS).map_err(failed)?;
    let next = counter(&counters, name)? + 1;
    counters.insert(name, next).map_err(failed)?;
    Ok(next)
}

/// What a file holds when it is opened.
pub(super) struct Found {
    pub revision: Revision,
    pub leases: Vec<(LeaseId, Duration)>,
}

/// Creates the tables where they are not there.
pub(super) fn prepare(database: &Database) -> Result<Found, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    let found = {
        transaction.open_table(ENTRIES).map_err(failed)?;
        let revision = counter(&transaction.open_table(COUNTERS).map_err(failed)?, REVISION)?;
        let held = transaction.open_table(LEASES).map_err(failed)?;
        let lease = |row: Result<_, StorageError>| {
            let (id, ttl): (redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, u64>) = row.map_err(failed)?;
            Ok((id.value(), Duration::from_millis(ttl.value())))
        };
        let leases = held.iter().map_err(failed)?.map(lease).collect::<Result<_, StoreError>>()?;
        Found { revision, leases }
    };
    transaction.commit().map_err(failed)?;
    Ok(found)
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
    let revision = counter(&transaction.open_table(COUNTERS).map_err(failed)?, REVISION)?;
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

/// What a transaction has done.
pub(super) enum Transacted {
    /// A condition does not hold.
    Refused,
    /// Nothing was there to delete; the store is at this revision still.
    Unchanged(Revision),
    Changed(Changes),
}

pub(super) fn transact(
    database: &Database,
    conditions: &[Condition],
    writes: Vec<Write>,
) -> Result<Transacted, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    let (revision, changes) = {
        let mut entries = transaction.open_table(ENTRIES).map_err(failed)?;
        for condition in conditions {
            let found = entries.get(condition.key.as_str()).map_err(failed)?.map(|held| held.value().0);
            if !condition.holds(found) {
                return Ok(Transacted::Refused);
            }
        }
        let revision = counter(&transaction.open_table(COUNTERS).map_err(failed)?, REVISION)?;
        let mut changes = Vec::new();
        for write in writes {
            changes.extend(apply(&mut entries, write, revision + 1)?);
        }
        (revision, changes)
    };
    if changes.is_empty() {
        return Ok(Transacted::Unchanged(revision));
    }
    let revision = count(&transaction, REVISION)?;
    transaction.commit().map_err(failed)?;
    Ok(Transacted::Changed(Changes { revision, changes }))
}

fn apply(entries: &mut Entries<'_>, write: Write, revision: Revision) -> Result<Option<Change>, StoreError> {
    match write {
        Write::Put { key, value, lease } => {
            entries.insert(key.as_str(), (revision, lease.unwrap_or(0), value.as_ref())).map_err(failed)?;
            Ok(Some(Change::Put(Entry { key, value, revision })))
        }
        Write::Delete(key) => {
            let removed = entries.remove(key.as_str()).map_err(failed)?.is_some();
            Ok(removed.then_some(Change::Deleted(key)))
        }
    }
}

pub(super) fn grant(database: &Database, ttl: Duration) -> Result<LeaseId, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    let id = count(&transaction, LEASE)?;
    let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
    transaction.open_table(LEASES).map_err(failed)?.insert(id, millis).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    Ok(id)
}

/// Deletes the lease and what hangs on it, in one transaction; says which entries went.
pub(super) fn end_lease(database: &Database, lease: LeaseId) -> Result<Option<Changes>, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    let mut keys = Vec::new();
    {
        transaction.open_table(LEASES).map_err(failed)?.remove(lease).map_err(failed)?;
        let mut entries = transaction.open_table(ENTRIES).map_err(failed)?;
        for row in entries.iter().map_err(failed)? {
            let (key, held) = row.map_err(failed)?;
            if held.value().1 == lease {
                keys.push(key.value().to_owned());
            }
        }
        for key in &keys {
            entries.remove(key.as_str()).map_err(failed)?;
        }
    }
    let revision = if keys.is_empty() { None } else { Some(count(&transaction, REVISION)?) };
    transaction.commit().map_err(failed)?;
    Ok(revision.map(|revision| Changes { revision, changes: keys.into_iter().map(Change::Deleted).collect() }))
}
