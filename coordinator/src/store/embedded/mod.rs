//! The store of a fleet with one coordinator: a redb file.

mod file;
mod history;
mod tables;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Mutex, RwLock};
use redb::Database;

use super::transaction::check;
use super::{Condition, Entry, LeaseId, Listing, MetaStore, Revision, StoreError, StoreOutage, Watcher, Write};
use history::History;
use tables::{Found, Transacted};

/// How often ended leases are looked for.
const SWEEP: Duration = Duration::from_millis(250);

type OpenFile = Box<dyn Fn() -> Result<(Database, Found), StoreError> + Send + Sync>;

/// The open file, and what is known beside it.
struct OpenStore {
    database: Database,
    /// Held over commit and publication, so that watchers see changes in order.
    history: Mutex<History>,
    /// Deadlines only: which keys hang on a lease is in the file.
    leases: Mutex<BTreeMap<LeaseId, (Duration, Instant)>>,
}

enum Medium {
    Open(OpenStore),
    /// I/O has failed: redb wants the file opened anew. Watchers wait meanwhile.
    Suspended {
        history: History,
        leases: BTreeMap<LeaseId, (Duration, Instant)>,
    },
    Closed,
}

struct SharedFile {
    open_file: OpenFile,
    /// Read by every operation for as long as it runs.
    medium: RwLock<Medium>,
    /// While the medium is suspended.
    outage: Mutex<Option<StoreOutage>>,
}

/// A [`MetaStore`] in one file. Nobody else can open the file until this is closed or dropped.
pub struct EmbeddedStore {
    shared: Arc<SharedFile>,
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
    /// When the file can't be opened, is in use or damaged, or is no redb file.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        Self::start(Box::new(move || file::open(&path))).await
    }

    async fn start(open_file: OpenFile) -> Result<Self, StoreError> {
        let shared = blocking(move || {
            let (database, found) = open_file()?;
            let now = Instant::now();
            let leases = found.leases.into_iter().map(|(id, ttl)| (id, (ttl, now + ttl))).collect();
            let history = Mutex::new(History::new(found.revision));
            let medium = RwLock::new(Medium::Open(OpenStore { database, history, leases: Mutex::new(leases) }));
            Ok(Arc::new(SharedFile { open_file, medium, outage: Mutex::new(None) }))
        })
        .await?;
        let sweeper = tokio::spawn(sweep(Arc::downgrade(&shared)));
        Ok(Self { shared, sweeper })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&OpenStore) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.run(work)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| StoreError::Failed(e.to_string()))?
}

async fn sweep(shared: std::sync::Weak<SharedFile>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(shared) = shared.upgrade() else { return };
        match blocking(move || shared.run(OpenStore::end_old_leases)).await {
            Ok(()) => {}
            Err(StoreError::Closed) => return,
            Err(error) => tracing::warn!(%error, "ending a lease"),
        }
    }
}

impl SharedFile {
    fn run<T>(&self, work: impl FnOnce(&OpenStore) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut medium = self.medium.read();
        if matches!(*medium, Medium::Suspended { .. }) {
            drop(medium);
            self.resume()?;
            medium = self.medium.read();
        }
        let result = match &*medium {
            Medium::Open(store) => work(store),
            Medium::Suspended { .. } => Err(StoreError::Unavailable("its file can't be opened".to_owned())),
            Medium::Closed => Err(StoreError::Closed),
        };
        drop(medium);
        if let Err(StoreError::Unavailable(why)) = &result {
            self.suspend(why);
        }
        result
    }

    fn suspend(&self, why: &str) {
        let mut medium = self.medium.write();
        match std::mem::replace(&mut *medium, Medium::Closed) {
            Medium::Open(store) => {
                tracing::error!("the metadata store is opened anew with the next request: {why}");
                let (history, leases) = (store.history.into_inner(), store.leases.into_inner());
                *self.outage.lock() = Some(StoreOutage { since: SystemTime::now(), reason: why.to_owned() });
                *medium = Medium::Suspended { history, leases };
            }
            other => *medium = other,
        }
    }

    fn resume(&self) -> Result<(), StoreError> {
        let mut medium = self.medium.write();
        let Medium::Suspended { history, leases } = &mut *medium else { return Ok(()) };
        let (database, found) = (self.open_file)().map_err(|e| StoreError::Unavailable(e.to_string()))?;
        if found.revision != history.newest() {
            // A transaction that was said to have failed is in the file.
            history.forget(found.revision);
        }
        let history = std::mem::replace(history, History::new(0));
        let store = OpenStore { database, history: Mutex::new(history), leases: Mutex::new(std::mem::take(leases)) };
        tracing::info!("the metadata store is open again");
        *self.outage.lock() = None;
        *medium = Medium::Open(store);
        Ok(())
    }
}

impl OpenStore {
    fn transact(&self, conditions: &[Condition], writes: Vec<Write>) -> Result<Option<Revision>, StoreError> {
        check(conditions, &writes)?;
        let history = self.history.lock();
        let lease = writes.iter().filter_map(|write| match write {
            Write::Put { lease, .. } => *lease,
            Write::Delete(_) => None,
        });
        if let Some(ended) = lease.into_iter().find(|lease| !self.leases.lock().contains_key(lease)) {
            return Err(StoreError::NoLease(ended));
        }
        match tables::transact(&self.database, conditions, writes)? {
            Transacted::Refused => Ok(None),
            Transacted::Unchanged(revision) => Ok(Some(revision)),
            Transacted::Changed(changes) => {
                let revision = changes.revision;
                history.publish(changes);
                Ok(Some(revision))
            }
        }
    }

    fn end_old_leases(&self) -> Result<(), StoreError> {
        let now = Instant::now();
        let ended: Vec<LeaseId> =
            self.leases.lock().iter().filter(|(_, (_, end))| *end <= now).map(|(id, _)| *id).collect();
        ended.into_iter().try_for_each(|lease| self.end_lease(lease))
    }

    fn end_lease(&self, lease: LeaseId) -> Result<(), StoreError> {
        let history = self.history.lock();
        let changes = tables::end_lease(&self.database, lease)?;
        // Who hears that the entries are gone finds that the lease is, too.
        self.leases.lock().remove(&lease);
        if let Some(changes) = changes {
            history.publish(changes);
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl MetaStore for EmbeddedStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let key = key.to_owned();
        self.run(move |store| tables::get(&store.database, &key)).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let prefix = prefix.to_owned();
        self.run(move |store| tables::list(&store.database, &prefix)).await
    }

    async fn transact(&self, conditions: &[Condition], writes: Vec<Write>) -> Result<Option<Revision>, StoreError> {
        let conditions = conditions.to_vec();
        self.run(move |store| store.transact(&conditions, writes)).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watcher, StoreError> {
        let prefix = prefix.to_owned();
        // The lock is held while others commit.
        self.run(move |store| store.history.lock().watch(&prefix, after)).await
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.run(move |store| {
            let id = tables::grant(&store.database, ttl)?;
            store.leases.lock().insert(id, (ttl, Instant::now() + ttl));
            Ok(id)
        })
        .await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.run(move |store| {
            let mut leases = store.leases.lock();
            let (ttl, end) = leases.get_mut(&lease).ok_or(StoreError::NoLease(lease))?;
            *end = Instant::now() + *ttl;
            Ok(())
        })
        .await
    }

    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.run(move |store| store.end_lease(lease)).await
    }

    fn outage(&self) -> Option<StoreOutage> {
        self.shared.outage.lock().clone()
    }

    async fn close(&self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            *shared.medium.write() = Medium::Closed;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests;
