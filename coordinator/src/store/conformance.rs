//! What every [`MetaStore`] must do. An implementation's tests call each of these on a fresh store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Change, Expected, MetaStore, StoreError, Watcher};

/// Opens one and the same store again.
#[tonic::async_trait]
pub trait Open: Sync {
    /// What it opens.
    type Store: MetaStore;
    /// Opens it; the one opened before has been dropped.
    async fn open(&self) -> Self::Store;
}

const PATIENCE: Duration = Duration::from_secs(10);

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn next(watcher: &mut Watcher) -> Change {
    tokio::time::timeout(PATIENCE, watcher.next()).await.expect("a change in time").unwrap().expect("an open store")
}

pub async fn entries(store: &impl MetaStore) {
    assert_eq!(store.get("a/1").await.unwrap(), None);
    let first = store.put("a/1", bytes("x"), None).await.unwrap();
    let second = store.put("a/1", bytes("y"), None).await.unwrap();
    assert!(second > first, "revisions grow");
    let entry = store.get("a/1").await.unwrap().unwrap();
    assert_eq!((entry.value, entry.revision), (bytes("y"), second));

    store.put("a/2", bytes("z"), None).await.unwrap();
    store.put("ab", bytes("other"), None).await.unwrap();
    let listing = store.list("a/").await.unwrap();
    let keys: Vec<_> = listing.entries.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(keys, ["a/1", "a/2"], "in order, and nothing beside the prefix");
    assert!(listing.revision > second);

    assert!(!store.delete("a/1", Some(first)).await.unwrap(), "stale revision");
    assert!(store.delete("a/1", Some(second)).await.unwrap());
    assert!(!store.delete("a/1", None).await.unwrap(), "already gone");
    assert_eq!(store.get("a/1").await.unwrap(), None);
}

pub async fn compare_and_swap(store: &impl MetaStore) {
    let first = store.compare_and_swap("k", Expected::Absent, bytes("1"), None).await.unwrap().expect("was absent");
    assert_eq!(store.compare_and_swap("k", Expected::Absent, bytes("2"), None).await.unwrap(), None);
    let second = store.compare_and_swap("k", Expected::Revision(first), bytes("3"), None).await.unwrap().unwrap();
    assert_eq!(store.compare_and_swap("k", Expected::Revision(first), bytes("4"), None).await.unwrap(), None);
    assert_eq!(store.get("k").await.unwrap().unwrap().value, bytes("3"));
    assert!(store.delete("k", None).await.unwrap());
    let gone = store.compare_and_swap("k", Expected::Revision(second), bytes("5"), None).await.unwrap();
    assert_eq!(gone, None, "a deleted entry has no revision");
}

pub async fn one_of_many_racers_wins(store: impl MetaStore) {
    let store = Arc::new(store);
    let racers: Vec<_> = (0..16)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.compare_and_swap("k", Expected::Absent, bytes("mine"), None).await })
        })
        .collect();
    let mut winners = 0;
    for racer in racers {
        winners += usize::from(racer.await.unwrap().unwrap().is_some());
    }
    assert_eq!(winners, 1);
}

pub async fn watching(store: &impl MetaStore) {
    let start = store.list("w/").await.unwrap().revision;
    let early = store.put("w/1", bytes("a"), None).await.unwrap();
    store.put("other", bytes("b"), None).await.unwrap();
    let mut watcher = store.watch("w/", start).await.unwrap();
    assert_eq!(next(&mut watcher).await.revision(), early, "changes before the watch began");
    store.put("w/2", bytes("c"), None).await.unwrap();
    store.delete("w/1", None).await.unwrap();
    assert_eq!(next(&mut watcher).await.key(), "w/2", "others' keys are left out");
    assert!(matches!(next(&mut watcher).await, Change::Deleted { key, .. } if key == "w/1"));
}

pub async fn leases(store: &impl MetaStore) {
    assert!(matches!(store.keep_alive(4711).await, Err(StoreError::NoLease(4711))));
    assert!(store.put("l/none", bytes("x"), Some(4711)).await.is_err());

    let revoked = store.grant_lease(Duration::from_secs(600)).await.unwrap();
    store.put("l/1", bytes("x"), Some(revoked)).await.unwrap();
    store.keep_alive(revoked).await.unwrap();
    store.revoke_lease(revoked).await.unwrap();
    assert_eq!(store.get("l/1").await.unwrap(), None);

    let start = store.list("l/").await.unwrap().revision;
    let mut watcher = store.watch("l/", start).await.unwrap();
    let short = store.grant_lease(Duration::from_millis(1)).await.unwrap();
    // The lease may end before or after this write: either way nothing stays.
    if store.put("l/2", bytes("x"), Some(short)).await.is_ok() {
        assert_eq!(next(&mut watcher).await.key(), "l/2");
        assert!(matches!(next(&mut watcher).await, Change::Deleted { .. }));
    }
    assert_eq!(store.get("l/2").await.unwrap(), None);
}

/// An entry that lives by a lease: as long as it is kept alive, and free to take right after.
pub async fn ownership(store: &impl MetaStore) {
    let ttl = Duration::from_secs(2);
    let lease = store.grant_lease(ttl).await.unwrap();
    let owned = store.compare_and_swap("owner", Expected::Absent, bytes("me"), Some(lease)).await.unwrap();
    assert!(owned.is_some());
    let start = Instant::now();
    while start.elapsed() < ttl + ttl / 2 {
        store.keep_alive(lease).await.unwrap();
        let rival = store.compare_and_swap("owner", Expected::Absent, bytes("rival"), None).await.unwrap();
        assert_eq!(rival, None, "the lease is alive");
    }
    let mut watcher = store.watch("owner", store.list("owner").await.unwrap().revision).await.unwrap();
    assert!(matches!(next(&mut watcher).await, Change::Deleted { .. }), "nobody keeps it alive");
    assert!(matches!(store.keep_alive(lease).await, Err(StoreError::NoLease(_))));
    let late = store.compare_and_swap("owner", Expected::Revision(owned.unwrap()), bytes("me"), None).await.unwrap();
    assert_eq!(late, None, "who has lost it can't write as if not");
    let rival = store.compare_and_swap("owner", Expected::Absent, bytes("rival"), None).await.unwrap();
    assert!(rival.is_some());
}

pub async fn survives_reopening(files: &impl Open) {
    let store = files.open().await;
    store.put("a", bytes("1"), None).await.unwrap();
    let revision = store.put("b", bytes("2"), None).await.unwrap();
    let lease = store.grant_lease(Duration::from_secs(600)).await.unwrap();
    let revision_of_c = store.put("c", bytes("3"), Some(lease)).await.unwrap();
    let closed = store;
    let mut watcher = closed.watch("", revision_of_c).await.unwrap();
    closed.close().await.unwrap();
    closed.close().await.unwrap();
    assert!(matches!(watcher.next().await, Ok(None)), "watchers hear of it");
    assert!(matches!(closed.get("a").await, Err(StoreError::Closed)));

    let store = files.open().await;
    assert_eq!(store.get("a").await.unwrap().unwrap().value, bytes("1"));
    assert_eq!(store.get("b").await.unwrap().unwrap().revision, revision);
    assert!(store.put("d", bytes("4"), None).await.unwrap() > revision, "revisions go on");
    store.keep_alive(lease).await.unwrap();
    store.revoke_lease(lease).await.unwrap();
    assert_eq!(store.get("c").await.unwrap(), None);
}
