//! A store for tests that does not say what has become of a transaction.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::embedded::EmbeddedStore;
use super::{Condition, Entry, LeaseId, Listing, MetaStore, Revision, StoreError, StoreOutage, Watcher, Write};

/// What becomes of a transaction that is not answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Unanswered {
    Happens,
    Lost,
    /// It is on its way, and arrives once the test says so.
    Late,
    /// It happens, and that is answered once the test says so.
    Held,
}

pub(crate) type Transaction = (Vec<Condition>, Vec<Write>);

/// A store that leaves transactions unanswered.
pub(crate) struct SilentStore {
    inner: EmbeddedStore,
    next: Mutex<VecDeque<Unanswered>>,
    late: Mutex<Option<Transaction>>,
    released: Notify,
    listings: AtomicUsize,
    _folder: tempfile::TempDir,
}

impl SilentStore {
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inner = EmbeddedStore::open(folder.path().join("meta.redb")).await.unwrap();
        Self {
            inner,
            next: Mutex::default(),
            late: Mutex::default(),
            released: Notify::new(),
            listings: AtomicUsize::new(0),
            _folder: folder,
        }
    }

    /// How often a prefix was listed.
    pub fn listings(&self) -> usize {
        self.listings.load(Ordering::Relaxed)
    }

    /// The next transaction, or the one after those that this was said of before.
    pub fn leave_unanswered(&self, what: Unanswered) {
        self.next.lock().push_back(what);
    }

    /// What is on its way still.
    pub fn take_late(&self) -> Option<Transaction> {
        self.late.lock().take()
    }

    /// Answers the transaction whose answer is held.
    pub fn release(&self) {
        self.released.notify_one();
    }
}

#[tonic::async_trait]
impl MetaStore for SilentStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.inner.get(key).await
    }
    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.listings.fetch_add(1, Ordering::Relaxed);
        self.inner.list(prefix).await
    }
    async fn transact(&self, conditions: &[Condition], writes: Vec<Write>) -> Result<Option<Revision>, StoreError> {
        let silent = self.next.lock().pop_front();
        match silent {
            None => return self.inner.transact(conditions, writes).await,
            Some(Unanswered::Happens) => drop(self.inner.transact(conditions, writes).await?),
            Some(Unanswered::Lost) => {}
            Some(Unanswered::Held) => {
                let answer = self.inner.transact(conditions, writes).await;
                self.released.notified().await;
                return answer;
            }
            Some(Unanswered::Late) => *self.late.lock() = Some((conditions.to_vec(), writes)),
        }
        Err(StoreError::Unavailable("no answer".to_owned()))
    }
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watcher, StoreError> {
        self.inner.watch(prefix, after).await
    }
    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.inner.grant_lease(ttl).await
    }
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.keep_alive(lease).await
    }
    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.inner.revoke_lease(lease).await
    }
    fn outage(&self) -> Option<StoreOutage> {
        self.inner.outage()
    }
    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
