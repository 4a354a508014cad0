use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures::StreamExt as _;

use super::super::conformance::{self, Open};
use super::super::{Change, Changes, Follower, follow};
use super::process::EtcdCluster;
use super::*;
use crate::config::MetaStoreUrl;

/// Each is a fleet of its own.
struct Fleet(EtcdConfig);

fn config(etcd: &EtcdCluster, prefix: &str) -> EtcdConfig {
    let MetaStoreUrl::Etcd(url) = etcd.url(prefix).parse().unwrap() else { panic!("no URL of etcd") };
    EtcdConfig { url, ca: None, identity: None, user: None }
}

fn fleet(etcd: &EtcdCluster) -> Fleet {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    Fleet(config(etcd, &format!("fleet-{}", NUMBER.fetch_add(1, Ordering::Relaxed))))
}

#[tonic::async_trait]
impl Open for Fleet {
    type Store = EtcdStore;
    async fn open(&self) -> EtcdStore {
        EtcdStore::open(&self.0).await.unwrap()
    }
}

async fn put(store: &EtcdStore, key: &str, value: impl Into<bytes::Bytes>) -> Result<Option<Revision>, StoreError> {
    store.transact(&[], vec![Write::put(key, value)]).await
}

/// Something that is not compressible and differs at each place.
fn large(bytes: usize) -> bytes::Bytes {
    (0..bytes).map(|at| (at % 251) as u8).collect::<Vec<_>>().into()
}

/// A client that knows nothing of the store.
async fn raw(etcd: &EtcdCluster) -> etcd_client::Client {
    etcd_client::Client::connect(etcd.endpoints().split(',').collect::<Vec<_>>(), None).await.unwrap()
}

async fn chunks(store: &EtcdStore) -> usize {
    let mut kv = store.etcd.members.probe(|services: Services| async move { Ok(services.kv) }).await.unwrap();
    let options = GetOptions::new().with_prefix().with_keys_only();
    kv.get(store.etcd.keys.all_chunks(), Some(options)).await.unwrap().kvs().len()
}

async fn compact(etcd: &EtcdCluster, revision: Revision) {
    raw(etcd).await.compact(signed(revision), None).await.unwrap();
}

#[tokio::test]
async fn conforms() {
    let Some(etcd) = EtcdCluster::start(1) else { return };
    let fresh = async || fleet(&etcd).open().await;
    conformance::entries(&fresh().await).await;
    conformance::conditions(&fresh().await).await;
    conformance::all_or_nothing(&fresh().await).await;
    conformance::rules_of_transactions(&fresh().await).await;
    conformance::one_of_many_racers_wins(fresh().await).await;
    conformance::watching(&fresh().await).await;
    conformance::leases(&fresh().await).await;
    conformance::ownership(&fresh().await).await;
    conformance::large_values(&fresh().await).await;
    let shared = fleet(&etcd);
    conformance::two_clients(&shared.open().await, &shared.open().await).await;
    conformance::survives_reopening(&fleet(&etcd)).await;
}

#[tokio::test]
async fn chunks_go_with_their_value() {
    let Some(etcd) = EtcdCluster::start(1) else { return };
    let store = fleet(&etcd).open().await;
    put(&store, "f/1", large(8 << 20)).await.unwrap().unwrap();
    assert_eq!((chunks(&store).await, store.etcd.sweep().await.unwrap()), (8, 0), "they are needed");

    let never = store.transact(&[Condition::absent("f/1")], vec![Write::put("f/1", large(3 << 20))]).await;
    assert_eq!((never.unwrap(), chunks(&store).await), (None, 8), "a refused transaction leaves none");

    put(&store, "f/1", large(2 << 20)).await.unwrap().unwrap();
    assert_eq!((store.etcd.sweep().await.unwrap(), chunks(&store).await), (1, 2), "the older value's");
    let waiting = split::split(vec![Write::put("f/2", large(2 << 20))], || "id".to_owned()).unwrap();
    let lease = store.etcd.upload(&waiting.large).await.unwrap().unwrap();
    store.transact(&[], vec![Write::delete("f/1")]).await.unwrap().unwrap();
    assert_eq!((store.etcd.sweep().await.unwrap(), chunks(&store).await), (1, 2), "some wait for a transaction");
    store.revoke_lease(lease).await.unwrap();
    assert_eq!(chunks(&store).await, 0);
}

#[tokio::test]
async fn chunks_of_a_leased_value_end_with_it() {
    let Some(etcd) = EtcdCluster::start(1) else { return };
    let store = fleet(&etcd).open().await;
    let lease = store.grant_lease(Duration::from_secs(600)).await.unwrap();
    store.transact(&[], vec![Write::leased("a", large(2 << 20), lease)]).await.unwrap().unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().value, large(2 << 20));
    store.revoke_lease(lease).await.unwrap();
    assert_eq!((store.get("a").await.unwrap(), chunks(&store).await), (None, 0));
}

#[tokio::test]
async fn a_long_listing_is_of_one_revision() {
    let Some(etcd) = EtcdCluster::start(1) else { return };
    let store = fleet(&etcd).open().await;
    let count = 2 * PAGE as usize + 7;
    for first in (0..count).step_by(100) {
        let writes = (first..count.min(first + 100)).map(|number| Write::put(format!("many/{number:04}"), "x"));
        store.transact(&[], writes.collect()).await.unwrap().unwrap();
    }
    let listing = store.list("many/").await.unwrap();
    let keys: Vec<String> = (0..count).map(|number| format!("many/{number:04}")).collect();
    assert_eq!(listing.entries.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>(), keys);
}

#[tokio::test]
async fn who_slept_through_a_compaction_is_told() {
    let Some(etcd) = EtcdCluster::start(1) else { return };
    let store = fleet(&etcd).open().await;
    let first = put(&store, "a", "1").await.unwrap().unwrap();
    put(&store, "a", "2").await.unwrap();
    let last = put(&store, "a", "3").await.unwrap().unwrap();
    compact(&etcd, last).await;
    let mut watcher = store.watch("a", first).await.unwrap();
    assert!(matches!(watcher.next().await, Some(Err(StoreError::Compacted(seen))) if seen == first));
    assert!(watcher.next().await.is_none());
    let ahead = store.watch("a", last + 1000).await;
    assert!(matches!(ahead, Err(StoreError::Compacted(_))), "etcd is younger than what was seen");
    assert_eq!(store.get("a").await.unwrap().unwrap().value, "3");
}

#[tokio::test]
async fn a_member_that_dies_or_stands_still_is_passed_over() {
    let Some(mut etcd) = EtcdCluster::start(3) else { return };
    let store = fleet(&etcd).open().await;
    put(&store, "a", "1").await.unwrap();
    for member in 0..3 {
        etcd.kill(member);
        eventually_put(&store, "killed").await;
        etcd.restart(member);
        eventually_put(&store, "restarted").await;
        etcd.wait_until_whole();
        etcd.pause(member);
        eventually_put(&store, "paused").await;
        etcd.resume(member);
        // One that is still behind would be missing beside the next that dies: two of three.
        etcd.wait_until_whole();
    }
    assert_eq!(store.outage(), None, "a majority was there all the time");
}

#[tokio::test]
async fn without_a_majority_nothing_is_said_to_be_stored() {
    let Some(mut etcd) = EtcdCluster::start(3) else { return };
    let store = fleet(&etcd).open().await;
    eventually_put(&store, "before").await;
    etcd.kill(0);
    etcd.kill(1);
    let start = Instant::now();
    while store.outage().is_none() {
        // The leader may have been asked before it noticed.
        assert!(!matches!(put(&store, "b", "1").await, Ok(Some(_))), "one of three can't store anything");
        assert!(start.elapsed() < Duration::from_secs(30), "nobody notices");
    }
    assert!(matches!(store.get("a").await, Err(StoreError::Unavailable(_))), "nor read what may be old");
    etcd.restart(0);
    eventually_back(&store).await;
    eventually_put(&store, "after").await;
    assert_eq!(store.get("a").await.unwrap().unwrap().value, "after");
}

/// What may fail while etcd elects a leader.
async fn eventually_put(store: &EtcdStore, value: &'static str) {
    let start = Instant::now();
    while let Err(error) = put(store, "a", value).await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert!(start.elapsed() < Duration::from_secs(30), "{error}");
    }
}

/// What a follower has seen of a key that counts up.
#[derive(Default, Clone)]
struct Seen(Arc<parking_lot::Mutex<u32>>);

impl Seen {
    fn take(&self, entry: &Entry) {
        *self.0.lock() = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
    }
}

#[tonic::async_trait]
impl Follower for Seen {
    async fn changed(&mut self, changes: Changes) -> Result<(), StoreError> {
        for change in &changes.changes {
            if let Change::Put(entry) = change {
                self.take(entry);
            }
        }
        Ok(())
    }

    async fn listed(&mut self, listing: Listing) -> Result<(), StoreError> {
        listing.entries.iter().for_each(|entry| self.take(entry));
        Ok(())
    }
}

#[tokio::test]
async fn all_goes_on_when_etcd_is_back() {
    let Some(mut etcd) = EtcdCluster::start(1) else { return };
    let files = fleet(&etcd);
    let store = Arc::new(files.open().await);
    let start = put(&store, "n", "1").await.unwrap().unwrap();
    let seen = Seen::default();
    let (followed, mut follower) = (Arc::clone(&store), seen.clone());
    let following = tokio::spawn(async move { follow(&*followed, "n", start - 1, &mut follower).await });
    let reaches = async |number: u32| {
        let start = Instant::now();
        while *seen.0.lock() != number {
            assert!(start.elapsed() < Duration::from_secs(30), "{number} is not seen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    reaches(1).await;
    for (number, dies) in [(2, true), (3, false)] {
        if dies {
            etcd.kill(0);
        } else {
            etcd.pause(0);
        }
        let start = Instant::now();
        assert!(matches!(put(&store, "n", "9").await, Err(StoreError::Unavailable(_))));
        assert!(start.elapsed() < Duration::from_secs(10), "it took {:?}", start.elapsed());
        while store.outage().is_none() {
            assert!(start.elapsed() < Duration::from_secs(30), "nobody notices");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let start = Instant::now();
        assert!(matches!(store.get("n").await, Err(StoreError::Unavailable(_))));
        assert!(start.elapsed() < Duration::from_secs(1), "it is known to be away");
        if dies {
            etcd.restart(0);
        } else {
            etcd.resume(0);
        }
        eventually_back(&store).await;
        // Another client is first to write, and the history before is compacted: the follower has to find out.
        let other = files.open().await;
        let written = put(&other, "n", number.to_string()).await.unwrap().unwrap();
        compact(&etcd, written).await;
        reaches(number).await;
    }
    store.close().await.unwrap();
    following.await.unwrap();
}

async fn eventually_back(store: &EtcdStore) {
    let start = Instant::now();
    while store.outage().is_some() {
        assert!(start.elapsed() < Duration::from_secs(30), "etcd is not noticed to be back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_final() {
    let Some(etcd) = EtcdCluster::start(1) else { return };
    let mut client = raw(&etcd).await;
    client.user_add("root", "s3cret", None).await.unwrap();
    client.user_grant_role("root", "root").await.unwrap();
    client.auth_enable().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut config = config(&etcd, "fleet");
    assert!(matches!(EtcdStore::open(&config).await, Err(StoreError::Failed(_))), "it wants a user");
    config.user = Some(("root".to_owned(), file.path().to_owned()));
    std::fs::write(file.path(), "s3cre").unwrap();
    assert!(matches!(EtcdStore::open(&config).await, Err(StoreError::Failed(_))));
    std::fs::write(file.path(), "s3cret\n").unwrap();
    let store = EtcdStore::open(&config).await.unwrap();
    put(&store, "a", "1").await.unwrap().unwrap();
    assert_eq!(store.get("a").await.unwrap().unwrap().value, "1");
}
