//! The store of a fleet with several coordinators: etcd, which they share.

mod connect;
mod failure;
mod keys;
mod members;
mod split;
mod sweep;
mod transaction;
mod values;
mod watch;

use std::sync::{Arc, Weak};
use std::time::Duration;

use etcd_client::GetOptions;
use tokio_util::sync::CancellationToken;

use super::{Condition, Entry, LeaseId, Listing, MetaStore, Revision, StoreError, StoreOutage, Watcher, Write};
use crate::config::EtcdConfig;
use connect::Services;
use failure::Refusal;
use keys::{Keys, end_of};
use members::{Members, Repeat, RequestError};

/// How often etcd is asked whether it is there, and how often while it is not.
const PROBE: Duration = Duration::from_secs(1);
const PROBE_AWAY: Duration = Duration::from_millis(250);
/// How often chunks are looked for that nothing points to.
const SWEEP: Duration = Duration::from_secs(600);
/// Entries read at once: with the largest that stand in their entries, 64 MiB.
const PAGE: i64 = 256;
/// How often a listing is begun anew because of a compaction.
const LISTINGS: usize = 3;

/// What requests, watchers and background tasks share.
struct Etcd {
    keys: Keys,
    members: Members,
    closed: CancellationToken,
}

/// A [`MetaStore`] in etcd.
pub struct EtcdStore {
    etcd: Arc<Etcd>,
}

impl Drop for EtcdStore {
    fn drop(&mut self) {
        self.etcd.closed.cancel();
    }
}

impl EtcdStore {
    /// Connects and asks whether etcd is there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while it is not; [`StoreError::Failed`] when a file of the settings can't be read, or
    /// etcd refuses user or certificate.
    pub async fn open(config: &EtcdConfig) -> Result<Self, StoreError> {
        let members = Members::new(config)?;
        let etcd = Arc::new(Etcd { keys: Keys::new(&config.url.prefix), members, closed: CancellationToken::new() });
        etcd.probe().await?;
        tokio::spawn(probe(Arc::downgrade(&etcd), etcd.closed.clone()));
        tokio::spawn(sweep(Arc::downgrade(&etcd), etcd.closed.clone()));
        Ok(Self { etcd })
    }

    fn open_etcd(&self) -> Result<&Arc<Etcd>, StoreError> {
        if self.etcd.closed.is_cancelled() { Err(StoreError::Closed) } else { Ok(&self.etcd) }
    }
}

/// Notices that etcd is away, and that it is back.
async fn probe(etcd: Weak<Etcd>, closed: CancellationToken) {
    let forever = async {
        while let Some(etcd) = etcd.upgrade() {
            let _ = etcd.probe().await;
            let pause = if etcd.members.outage().is_some() { PROBE_AWAY } else { PROBE };
            drop(etcd);
            tokio::time::sleep(pause).await;
        }
    };
    closed.run_until_cancelled(forever).await;
}

async fn sweep(etcd: Weak<Etcd>, closed: CancellationToken) {
    let forever = async {
        loop {
            // Several coordinators need not do it at the same time.
            tokio::time::sleep(SWEEP.mul_f64(rand::random_range(0.5..1.5))).await;
            let Some(etcd) = etcd.upgrade() else { return };
            match etcd.sweep().await {
                Ok(0) => {}
                Ok(values) => tracing::info!(values, "removed chunks of values that are no more"),
                Err(error) => tracing::warn!(%error, "chunks of old values can't be removed"),
            }
        }
    };
    closed.run_until_cancelled(forever).await;
}

/// etcd's numbers are signed and never negative.
fn revision(number: i64) -> Revision {
    number.unsigned_abs()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl RequestError {
    /// Of a request about revision `at`.
    fn at(self, at: Revision) -> StoreError {
        match self {
            Self::Refused(Refusal::Compacted) => StoreError::Compacted(at),
            error => error.into(),
        }
    }

    /// Of a request about one lease.
    fn of_lease(self, lease: LeaseId) -> StoreError {
        match self {
            Self::Refused(Refusal::NoLease) => StoreError::NoLease(lease),
            error => error.into(),
        }
    }
}

impl Etcd {
    /// A read to which a majority of the members has to agree.
    async fn probe(&self) -> Result<(), StoreError> {
        let key = self.keys.entry("");
        let get = |mut services: Services| {
            let key = key.clone();
            async move { services.kv.get(key, Some(GetOptions::new().with_count_only())).await }
        };
        self.members.probe(get).await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let get = |mut services: Services| {
            let key = self.keys.entry(key);
            async move { services.kv.get(key, None).await }
        };
        let mut answer = self.members.request(Repeat::Safe, get).await?;
        let at = answer.header().map_or(0, |header| revision(header.revision()));
        match answer.take_kvs().pop() {
            Some(found) => self.whole(key.to_owned(), found, at).await.map(Some),
            None => Ok(None),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let start = self.keys.entry(prefix);
        let (mut from, end) = (start.as_bytes().to_vec(), end_of(&start));
        let mut listing = Listing { entries: Vec::new(), revision: 0 };
        loop {
            // The first page says of which revision all others are.
            let options = GetOptions::new().with_range(end.clone()).with_limit(PAGE);
            let options = options.with_revision(signed(listing.revision));
            let get = |mut services: Services| {
                let (from, options) = (from.clone(), options.clone());
                async move { services.kv.get(from, Some(options)).await }
            };
            let answer = self.members.request(Repeat::Safe, get).await;
            let mut answer = answer.map_err(|error| error.at(listing.revision))?;
            if listing.revision == 0 {
                listing.revision = answer.header().map_or(0, |header| revision(header.revision()));
            }
            let more = answer.more();
            let found = answer.take_kvs();
            if let Some(last) = found.last() {
                from = [last.key(), &[0]].concat();
            }
            for found in found {
                let Some(key) = self.keys.key_of(found.key()) else { continue };
                listing.entries.push(self.whole(key, found, listing.revision).await?);
            }
            if !more {
                return Ok(listing);
            }
        }
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        // Whole seconds, and etcd makes it longer where it is too short for a change of its leader.
        let seconds = signed(ttl.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)).max(1);
        let grant = |mut services: Services| async move { services.lease.grant(seconds, None).await };
        let answer = self.members.request(Repeat::Safe, grant).await?;
        Ok(answer.id().unsigned_abs())
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        let keep = |mut services: Services| async move { services.lease.keep_alive(signed(lease)).await };
        let kept = self.members.request(Repeat::Safe, keep).await;
        kept.map(drop).map_err(|error| error.of_lease(lease))
    }

    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), StoreError> {
        let revoke = |mut services: Services| async move { services.lease.revoke(signed(lease)).await };
        match self.members.request(Repeat::Safe, revoke).await {
            Ok(_) | Err(RequestError::Refused(Refusal::NoLease)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Reads at an older revision once more where a compaction came in between.
async fn again<T, F: Future<Output = Result<T, StoreError>>>(read: impl Fn() -> F) -> Result<T, StoreError> {
    for _ in 1..LISTINGS {
        match read().await {
            Err(StoreError::Compacted(_)) => {}
            result => return result,
        }
    }
    read().await.map_err(|error| match error {
        StoreError::Compacted(_) => StoreError::Unavailable("etcd is compacted faster than it is read".to_owned()),
        error => error,
    })
}

#[tonic::async_trait]
impl MetaStore for EtcdStore {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let etcd = self.open_etcd()?;
        again(move || etcd.get(key)).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let etcd = self.open_etcd()?;
        again(move || etcd.list(prefix)).await
    }

    async fn transact(&self, conditions: &[Condition], writes: Vec<Write>) -> Result<Option<Revision>, StoreError> {
        self.open_etcd()?.transact(conditions, writes).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watcher, StoreError> {
        watch::open(Arc::clone(self.open_etcd()?), prefix, after).await
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.open_etcd()?.grant_lease(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.open_etcd()?.keep_alive(lease).await
    }

    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.open_etcd()?.revoke_lease(lease).await
    }

    fn outage(&self) -> Option<StoreOutage> {
        self.etcd.members.outage()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.etcd.closed.cancel();
        Ok(())
    }
}

#[cfg(test)]
#[path = "../../../../tests/src/etcd.rs"]
mod process;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
