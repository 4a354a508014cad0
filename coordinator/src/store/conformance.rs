//! What every [`MetaStore`] must do. An implementation's tests call each of these on a fresh store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;

use super::{Change, Changes, Condition, MAX_OPERATIONS, MetaStore, Revision, StoreError, Watcher, Write};

/// Opens one and the same store again.
#[tonic::async_trait]
pub trait Open: Sync {
    /// What it opens.
    type Store: MetaStore;
    /// Opens it; the one opened before has been dropped.
    async fn open(&self) -> Self::Store;
}

const PATIENCE: Duration = Duration::from_secs(10);

async fn next(watcher: &mut Watcher) -> Changes {
    let next = tokio::time::timeout(PATIENCE, watcher.next()).await;
    next.expect("a change in time").expect("an open store").unwrap()
}

async fn put(store: &impl MetaStore, key: &str, value: &'static str) -> Revision {
    store.transact(&[], vec![Write::put(key, value)]).await.unwrap().expect("no condition")
}

async fn delete(store: &impl MetaStore, key: &str) -> Revision {
    store.transact(&[], vec![Write::delete(key)]).await.unwrap().expect("no condition")
}

/// Puts where nothing is; `None` where something is.
async fn claim(store: &impl MetaStore, key: &str) -> Option<Revision> {
    store.transact(&[Condition::absent(key)], vec![Write::put(key, "mine")]).await.unwrap()
}

async fn keys(store: &impl MetaStore, prefix: &str) -> Vec<String> {
    store.list(prefix).await.unwrap().entries.into_iter().map(|entry| entry.key).collect()
}

fn changed(changes: &Changes) -> Vec<(&str, Option<&[u8]>)> {
    let all = changes.changes.iter().map(|change| match change {
        Change::Put(entry) => (entry.key.as_str(), Some(entry.value.as_ref())),
        Change::Deleted(key) => (key.as_str(), None),
    });
    all.collect()
}

pub async fn entries(store: &impl MetaStore) {
    assert_eq!(store.get("a/1").await.unwrap(), None);
    let first = put(store, "a/1", "x").await;
    let second = put(store, "a/1", "y").await;
    assert!(second > first, "revisions grow");
    let entry = store.get("a/1").await.unwrap().unwrap();
    assert_eq!((entry.value, entry.revision), (Bytes::from("y"), second));

    put(store, "a/2", "z").await;
    put(store, "ab", "other").await;
    let listing = store.list("a/").await.unwrap();
    let keys: Vec<_> = listing.entries.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(keys, ["a/1", "a/2"], "in order, and nothing beside the prefix");
    assert!(listing.revision > second);

    let deleted = delete(store, "a/1").await;
    assert!(deleted > listing.revision);
    assert_eq!(delete(store, "a/1").await, deleted, "nothing has changed");
    assert_eq!(store.get("a/1").await.unwrap(), None);
}

pub async fn conditions(store: &impl MetaStore) {
    let put_if = |expected: Option<Revision>, value: &'static str| {
        let conditions = [Condition::unchanged("k", expected)];
        async move { store.transact(&conditions, vec![Write::put("k", value)]).await.unwrap() }
    };
    let first = put_if(None, "1").await.expect("was absent");
    assert_eq!(put_if(None, "2").await, None);
    let second = put_if(Some(first), "3").await.unwrap();
    assert_eq!(put_if(Some(first), "4").await, None, "stale");
    assert_eq!(store.get("k").await.unwrap().unwrap().value, "3");
    let stale = store.transact(&[Condition::unchanged("k", Some(first))], vec![Write::delete("k")]).await.unwrap();
    assert_eq!(stale, None);
    assert!(
        store.transact(&[Condition::unchanged("k", Some(second))], vec![Write::delete("k")]).await.unwrap().is_some()
    );
    assert_eq!(put_if(Some(second), "5").await, None, "a deleted entry has no revision");
}

pub async fn all_or_nothing(store: &impl MetaStore) {
    let start = put(store, "t/a", "1").await;
    let mut watcher = store.watch("t/", start).await.unwrap();
    let lease = store.grant_lease(Duration::from_secs(600)).await.unwrap();
    let writes = || {
        vec![Write::put("t/b", "2"), Write::leased("t/c", "3", lease), Write::delete("t/a"), Write::delete("t/never")]
    };
    let good = Condition::unchanged("t/a", Some(start));
    for bad in [Condition::unchanged("t/b", Some(start)), Condition::absent("t/a")] {
        assert_eq!(store.transact(&[good.clone(), bad.clone()], writes()).await.unwrap(), None);
        assert_eq!(store.transact(&[bad, good.clone()], writes()).await.unwrap(), None);
    }
    assert_eq!(keys(store, "t/").await, ["t/a"], "nothing was written");

    let revision = store.transact(&[good, Condition::absent("t/b")], writes()).await.unwrap().expect("both hold");
    let listing = store.list("t/").await.unwrap();
    let entries: Vec<_> = listing.entries.iter().map(|e| (e.key.as_str(), e.revision)).collect();
    assert_eq!(entries, [("t/b", revision), ("t/c", revision)], "one revision for all");
    assert_eq!(listing.revision, revision);
    let changes = next(&mut watcher).await;
    assert_eq!(changes.revision, revision);
    let mut all = changed(&changes);
    all.sort_unstable();
    assert_eq!(all, [("t/a", None), ("t/b", Some(b"2".as_slice())), ("t/c", Some(b"3".as_slice()))]);
    store.revoke_lease(lease).await.unwrap();
    assert_eq!(keys(store, "t/").await, ["t/b"]);
}

pub async fn rules_of_transactions(store: &impl MetaStore) {
    let twice = store.transact(&[], vec![Write::put("k", "1"), Write::delete("k")]).await;
    assert!(matches!(twice, Err(StoreError::Invalid(_))));
    let many = |count: usize| (0..count).map(|number| Write::put(format!("many/{number:03}"), "x")).collect();
    assert!(matches!(store.transact(&[], many(MAX_OPERATIONS + 1)).await, Err(StoreError::Invalid(_))));
    store.transact(&[], many(MAX_OPERATIONS)).await.unwrap().expect("no condition");
    assert_eq!(keys(store, "many/").await.len(), MAX_OPERATIONS);
    let missing = store.transact(&[], vec![Write::put("a", "1"), Write::leased("b", "2", 4711)]).await;
    assert!(matches!(missing, Err(StoreError::NoLease(4711))));
    assert_eq!(store.get("a").await.unwrap(), None, "nothing was written");
}

pub async fn one_of_many_racers_wins(store: impl MetaStore) {
    let store = Arc::new(store);
    let racers: Vec<_> = (0..16)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { claim(&*store, "k").await })
        })
        .collect();
    let mut winners = 0;
    for racer in racers {
        winners += usize::from(racer.await.unwrap().is_some());
    }
    assert_eq!(winners, 1);
}

/// Two clients of one store count up together: no step is lost, and each sees the other's in order.
pub async fn two_clients(one: &impl MetaStore, other: &impl MetaStore) {
    const STEPS: u32 = 25;
    async fn count(store: &impl MetaStore) {
        let mut done = 0;
        while done < STEPS {
            let held = store.get("count").await.unwrap();
            let value: u32 = held.as_ref().map_or(0, |e| std::str::from_utf8(&e.value).unwrap().parse().unwrap());
            let condition = Condition::unchanged("count", held.map(|e| e.revision));
            let next = Write::put("count", (value + 1).to_string());
            done += u32::from(store.transact(&[condition], vec![next]).await.unwrap().is_some());
        }
    }
    let start = one.list("").await.unwrap().revision;
    let mut watcher = other.watch("count", start).await.unwrap();
    tokio::join!(count(one), count(other));
    assert_eq!(one.get("count").await.unwrap().unwrap().value, (2 * STEPS).to_string());
    let mut seen = start;
    for step in 1..=2 * STEPS {
        let changes = next(&mut watcher).await;
        assert!(changes.revision > seen);
        seen = changes.revision;
        assert_eq!(changed(&changes), [("count", Some(step.to_string().as_bytes()))]);
    }
}

pub async fn watching(store: &impl MetaStore) {
    let start = store.list("w/").await.unwrap().revision;
    let early = put(store, "w/1", "a").await;
    put(store, "other", "b").await;
    let mut watcher = store.watch("w/", start).await.unwrap();
    assert_eq!(next(&mut watcher).await.revision, early, "changes before the watch began");
    put(store, "w/2", "c").await;
    delete(store, "w/1").await;
    let second = next(&mut watcher).await;
    assert_eq!(changed(&second), [("w/2", Some(b"c".as_slice()))], "others' keys are left out");
    assert_eq!(changed(&next(&mut watcher).await), [("w/1", None)]);
    // Who lost its watcher goes on after the last revision that it has seen.
    drop(watcher);
    let mut again = store.watch("w/", second.revision).await.unwrap();
    assert_eq!(changed(&next(&mut again).await), [("w/1", None)]);
}

pub async fn leases(store: &impl MetaStore) {
    let leased = |key: &'static str, lease| store.transact(&[], vec![Write::leased(key, "x", lease)]);
    assert!(matches!(store.keep_alive(4711).await, Err(StoreError::NoLease(4711))));
    assert!(leased("l/none", 4711).await.is_err());

    let revoked = store.grant_lease(Duration::from_secs(600)).await.unwrap();
    leased("l/1", revoked).await.unwrap();
    store.keep_alive(revoked).await.unwrap();
    store.revoke_lease(revoked).await.unwrap();
    assert_eq!(store.get("l/1").await.unwrap(), None);

    let start = store.list("l/").await.unwrap().revision;
    let mut watcher = store.watch("l/", start).await.unwrap();
    let short = store.grant_lease(Duration::from_millis(1)).await.unwrap();
    // The lease may end before or after this write: either way nothing stays.
    if leased("l/2", short).await.is_ok() {
        assert_eq!(changed(&next(&mut watcher).await), [("l/2", Some(b"x".as_slice()))]);
        assert_eq!(changed(&next(&mut watcher).await), [("l/2", None)]);
    }
    assert_eq!(store.get("l/2").await.unwrap(), None);
}

/// A definition may take 8 MiB, whatever a store takes in one request.
pub async fn large_values(store: &impl MetaStore) {
    let value = |bytes: usize, seed: u8| Bytes::from((0..bytes).map(|at| (at % 251) as u8 ^ seed).collect::<Vec<_>>());
    let (large, larger) = (value(8 << 20, 0), value(9 << 20, 1));
    let start = put(store, "big/small", "x").await;
    let mut watcher = store.watch("big/", start).await.unwrap();
    let writes = vec![Write::put("big/1", large.clone()), Write::put("big/small", "y")];
    let first = store.transact(&[Condition::absent("big/1")], writes).await.unwrap().expect("nothing is there");
    let entry = store.get("big/1").await.unwrap().unwrap();
    assert_eq!((entry.revision, entry.value == large), (first, true));
    let changes = next(&mut watcher).await;
    assert_eq!(changes.revision, first);
    let mut seen = changed(&changes);
    seen.sort_unstable();
    assert!(seen == [("big/1", Some(large.as_ref())), ("big/small", Some(b"y".as_slice()))]);

    let again = [Condition::unchanged("big/1", Some(first))];
    let second = store.transact(&again, vec![Write::put("big/1", larger.clone())]).await.unwrap().expect("unchanged");
    assert_eq!(store.transact(&again, vec![Write::put("big/1", large)]).await.unwrap(), None, "stale");
    let listing = store.list("big/").await.unwrap();
    assert!(listing.entries[0].value == larger && listing.entries[0].revision == second);
    assert_eq!(keys(store, "").await, ["big/1", "big/small"], "nothing else is to be seen");
    assert!(changed(&next(&mut watcher).await) == [("big/1", Some(larger.as_ref()))]);
    delete(store, "big/1").await;
    assert_eq!(changed(&next(&mut watcher).await), [("big/1", None)]);
    assert_eq!(store.get("big/1").await.unwrap(), None);
}

/// An entry that lives by a lease: as long as it is kept alive, and free to take right after.
pub async fn ownership(store: &impl MetaStore) {
    let ttl = Duration::from_secs(2);
    let lease = store.grant_lease(ttl).await.unwrap();
    let own = vec![Write::leased("owner", "me", lease)];
    let owned = store.transact(&[Condition::absent("owner")], own).await.unwrap().expect("nobody has it");
    let start = Instant::now();
    while start.elapsed() < ttl + ttl / 2 {
        store.keep_alive(lease).await.unwrap();
        assert_eq!(claim(store, "owner").await, None, "the lease is alive");
    }
    let mut watcher = store.watch("owner", store.list("owner").await.unwrap().revision).await.unwrap();
    assert_eq!(changed(&next(&mut watcher).await), [("owner", None)], "nobody keeps it alive");
    assert!(matches!(store.keep_alive(lease).await, Err(StoreError::NoLease(_))));
    // A write of the owner's is conditioned on its ownership, never on its lease alone.
    let late = store.transact(&[Condition::unchanged("owner", Some(owned))], vec![Write::put("epoch", "2")]).await;
    assert_eq!(late.unwrap(), None, "who has lost it can't write as if not");
    assert!(claim(store, "owner").await.is_some());
}

pub async fn survives_reopening(files: &impl Open) {
    let store = files.open().await;
    put(&store, "a", "1").await;
    let revision = put(&store, "b", "2").await;
    let lease = store.grant_lease(Duration::from_secs(600)).await.unwrap();
    let last = store.transact(&[], vec![Write::leased("c", "3", lease)]).await.unwrap().unwrap();
    let closed = store;
    let mut watcher = closed.watch("", last).await.unwrap();
    closed.close().await.unwrap();
    closed.close().await.unwrap();
    assert!(watcher.next().await.is_none(), "watchers hear of it");
    assert!(matches!(closed.get("a").await, Err(StoreError::Closed)));

    let store = files.open().await;
    assert_eq!(store.get("a").await.unwrap().unwrap().value, "1");
    assert_eq!(store.get("b").await.unwrap().unwrap().revision, revision);
    assert!(put(&store, "d", "4").await > last, "revisions go on");
    store.keep_alive(lease).await.unwrap();
    store.revoke_lease(lease).await.unwrap();
    assert_eq!(store.get("c").await.unwrap(), None);
}
