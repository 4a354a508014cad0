//! The store of a fleet with one coordinator: a redb file.

mod tables;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use redb::Database;

use super::watch::History;
use super::{Change, Entry, Expected, LeaseId, Listing, MetaStore, Revision, StoreError, Watcher};
use tables::Condition;

/// How often ended leases are looked for.
const SWEEP: Duration = Duration::from_millis(250);

/// redb's page cache: metadata is small.
const CACHE_BYTES: usize = 8 << 20;

struct Inner {
    database: Database,
    /// Held over commit and publication, so that watchers see changes in order.
    history: Mutex<History>,
    /// Deadlines only: which keys hang on a lease is in the file.
    leases: Mutex<std::collections::BTreeMap<LeaseId, (Duration, Instant)>>,
}

/// Read by every operation for as long as it runs; empty once closed.
type Shared = Arc<RwLock<Option<Inner>>>;

/// A [`MetaStore`] in one file. Nobody else can open the file until this is closed or dropped.
pub struct EmbeddedStore {
    inner: Shared,
    sweeper: tokio::task::JoinHandle<()>,
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}

impl EmbeddedStore {
    /// Opens or creates the file. Leases found in it start their time anew.
    ///
    /// # Errors
    /// When the file can't be opened, is in use, or is no redb file.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path: PathBuf = path.as_ref().to_owned();
        let inner = blocking(move || {
            let database = Database::builder()
                .set_cache_size(CACHE_BYTES)
                .create(&path)
                .map_err(|e| StoreError::Failed(format!("{}: {e}", path.display())))?;
            let (revision, leases) = tables::prepare(&database)?;
            let now = Instant::now();
            let leases = leases.into_iter().map(|(id, ttl)| (id, (ttl, now + ttl))).collect();
            Ok(Inner { database, history: Mutex::new(History::new(revision)), leases: Mutex::new(leases) })
        })
        .await?;
        let inner = Arc::new(RwLock::new(Some(inner)));
        let sweeper = tokio::spawn(sweep(Arc::downgrade(&inner)));
        Ok(Self { inner, sweeper })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || work(inner.read().as_ref().ok_or(StoreError::Closed)?)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| StoreError::Failed(e.to_string()))?
}

async fn sweep(inner: std::sync::Weak<RwLock<Option<Inner>>>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(inner) = inner.upgrade() else { return };
        match blocking(move || inner.read().as_ref().map_or(Err(StoreError::Closed), Inner::end_old_leases)).await {
            Ok(()) => {}
            Err(StoreError::Closed) => return,
            Err(error) => tracing::warn!(%error, "ending a lease"),
        }
    }
}

impl Inner {
    fn write(
        &self,
        key: &str,
        condition: Condition,
        value: Bytes,
        lease: Option<LeaseId>,
    ) -> Result<Option<Revision>, StoreError> {
        let mut history = self.history.lock();
        if let Some(lease) = lease
            && !self.leases.lock().contains_key(&lease)
        {
            return Err(StoreError::NoLease(lease));
        }
        let written = tables::write(&self.database, key, condition, &value, lease)?;
        if let Some(revision) = written {
            history.publish(Change::Put(Entry { key: key.to_owned(), value, revision }));
        }
        Ok(written)
    }

    fn remove(&self, key: &str, condition: Condition) -> Result<bool, StoreError> {
        let mut history = self.history.lock();
        let removed = tables::remove(&self.database, key, condition)?;
        if let Some(revision) = removed {
            history.publish(Change::Deleted { key: key.to_owned(), revision });
        }
        Ok(removed.is_some())
    }

    fn end_old_leases(&self) -> Result<(), StoreError> {
        let now = Instant::now();
        let ended: Vec<LeaseId> =
            self.leases.lock().iter().filter(|(_, (_, end))| *end <= now).map(|(id, _)| *id).collect();
        ended.into_iter().try_for_each(|lease| self.end_lease(lease))
    }

    fn end_lease(&self, lease: LeaseId) -> Result<(), StoreError> {
        let mut history = self.history.lock();
        for (key, revision) in tables::end_lease(&self.database, lease)? {
            history.publish(Change::Deleted { key, revision });
        }
        self.leases.lock().remove(&lease);
        Ok(())
    }
}

#[tonic::async_trait]
impl MetaStore for EmbeddedStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let key = key.to_owned();
        self.run(move |inner| tables::get(&inner.database, &key)).await
    }

    async fn put(&self, key: &str, value: Bytes, lease: Option<LeaseId>) -> Result<Revision, StoreError> {
        let key = key.to_owned();
        let written = self.run(move |inner| inner.write(&key, Condition::None, value, lease)).await?;
        written.ok_or_else(|| StoreError::Failed("an unconditional write was refused".to_owned()))
    }

    async fn compare_and_swap(
        &self,
        key: &str,
        expected: Expected,
        value: Bytes,
        lease: Option<LeaseId>,
    ) -> Result<Option<Revision>, StoreError> {
        let key = key.to_owned();
        self.run(move |inner| inner.write(&key, Condition::Is(expected), value, lease)).await
    }

    async fn delete(&self, key: &str, expected: Option<Revision>) -> Result<bool, StoreError> {
        let key = key.to_owned();
        let condition = expected.map_or(Condition::None, |revision| Condition::Is(Expected::Revision(revision)));
        self.run(move |inner| inner.remove(&key, condition)).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let prefix = prefix.to_owned();
        self.run(move |inner| tables::list(&inner.database, &prefix)).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watcher, StoreError> {
        let prefix = prefix.to_owned();
        // The lock is held while others commit.
        self.run(move |inner| inner.history.lock().watch(&prefix, after)).await
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.run(move |inner| {
            let id = tables::grant(&inner.database, ttl)?;
            inner.leases.lock().insert(id, (ttl, Instant::now() + ttl));
            Ok(id)
        })
        .await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.run(move |inner| {
            let mut leases = inner.leases.lock();
            let (ttl, end) = leases.get_mut(&lease).ok_or(StoreError::NoLease(lease))?;
            *end = Instant::now() + *ttl;
            Ok(())
        })
        .await
    }

    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.run(move |inner| inner.end_lease(lease)).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            drop(inner.write().take());
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::{self, Open};
    use super::*;

    struct InFile(tempfile::TempDir);

    #[tonic::async_trait]
    impl Open for InFile {
        type Store = EmbeddedStore;
        async fn open(&self) -> EmbeddedStore {
            EmbeddedStore::open(self.0.path().join("meta.redb")).await.unwrap()
        }
    }

    #[tokio::test]
    async fn conforms() {
        let fresh = || InFile(tempfile::tempdir().unwrap());
        conformance::entries(&fresh().open().await).await;
        conformance::compare_and_swap(&fresh().open().await).await;
        conformance::one_of_many_racers_wins(fresh().open().await).await;
        conformance::watching(&fresh().open().await).await;
        conformance::leases(&fresh().open().await).await;
        conformance::ownership(&fresh().open().await).await;
        conformance::survives_reopening(&fresh()).await;
    }

    #[tokio::test]
    async fn the_file_has_one_owner() {
        let files = InFile(tempfile::tempdir().unwrap());
        let _first = files.open().await;
        assert!(EmbeddedStore::open(files.0.path().join("meta.redb")).await.is_err());
    }
}
