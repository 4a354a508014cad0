//! The cache of blocks: it serves reads, and keeps its bound.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use common::{commit, entry, options, place};
use tempfile::tempdir;
use udfleet_state_store::{BlockCache, PartitionStore, StoreOptions};

/// Bytes of a value: random ones would not be smaller, since nothing is compressed.
const VALUE: usize = 1000;
const ENTRIES: usize = 500;

fn keys() -> Vec<Vec<u8>> {
    (0..ENTRIES).map(|number| format!("k{number:05}").into_bytes()).collect()
}

/// A partition whose entries lie in a table, opened with this cache.
async fn opened(folder: &std::path::Path, epoch: u64, cache: &BlockCache) -> PartitionStore {
    let options = StoreOptions { cache: cache.clone(), ..options() };
    PartitionStore::open(&place(folder), epoch, options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_were_read_are_kept_within_the_bound() {
    let folder = tempdir().unwrap();
    let store = opened(folder.path(), 1, &BlockCache::new(1 << 20)).await;
    let value = "v".repeat(VALUE);
    let many = (0..ENTRIES).map(|number| entry(&format!("k{number:05}"), &value)).collect();
    store.commit(commit("s", 1, many)).await.unwrap();
    // What was written becomes a table.
    store.close().await.unwrap();

    let large = BlockCache::new(64 << 20);
    let store = opened(folder.path(), 2, &large).await;
    let read = store.read("s", &keys()).await.unwrap();
    assert!(read.iter().all(|found| found.as_deref() == Some(value.as_bytes())));
    assert!(large.bytes() >= ENTRIES * VALUE, "{large:?}");
    store.close().await.unwrap();

    let small = BlockCache::new(64 << 10);
    let store = opened(folder.path(), 3, &small).await;
    assert!(store.read("s", &keys()).await.unwrap().iter().all(Option::is_some));
    assert!(small.bytes() > 0 && small.bytes() <= 64 << 10, "{small:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_share_a_cache_read_their_own() {
    let folders = [tempdir().unwrap(), tempdir().unwrap()];
    let cache = BlockCache::new(1 << 20);
    let mut stores = Vec::new();
    for (folder, value) in folders.iter().zip(["left", "right"]) {
        let store = opened(folder.path(), 1, &cache).await;
        store.commit(commit("s", 1, vec![entry("k", value)])).await.unwrap();
        store.close().await.unwrap();
        stores.push(opened(folder.path(), 2, &cache).await);
    }
    for (store, value) in stores.iter().zip(["left", "right"]) {
        let read = store.read("s", &[b"k".to_vec()]).await.unwrap();
        assert_eq!(read, [Some(value.into())]);
    }
}
