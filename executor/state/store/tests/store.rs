//! Opening, reading, committing, fencing, dropping.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use std::time::Duration;

use common::{commit, entry, options, place, record};
use tempfile::tempdir;
use udfleet_state::PositionRecord;
use udfleet_state_store::{PartitionStore, StateChange, StoreError, StoreOptions};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_is_there_for_the_next_owner() {
    let folder = tempdir().unwrap();
    let place = place(folder.path());
    let store = PartitionStore::open(&place, 1, options()).await.unwrap();
    assert_eq!(store.position("clicks").await.unwrap(), PositionRecord::default());
    store.commit(commit("clicks", 1, vec![entry("a", "1"), entry("b", "2")])).await.unwrap();
    let deleted = StateChange { key: b"a".to_vec(), value: None };
    store.commit(commit("clicks", 2, vec![deleted, entry("c", "3")])).await.unwrap();
    drop(store);

    let store = PartitionStore::open(&place, 2, options()).await.unwrap();
    assert_eq!(store.position("clicks").await.unwrap(), record(2));
    let keys = ["c", "a", "b"].map(|key| key.as_bytes().to_vec());
    let values = store.read("clicks", &keys).await.unwrap();
    assert_eq!(values, [Some("3".into()), None, Some("2".into())]);
    assert_eq!(store.read("other", &keys).await.unwrap(), [None, None, None]);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_come_in_pages() {
    let folder = tempdir().unwrap();
    let store = PartitionStore::open(&place(folder.path()), 1, options()).await.unwrap();
    let entries = ["m1", "m2", "m3", "n1"].map(|key| entry(key, key));
    store.commit(commit("s", 1, entries.to_vec())).await.unwrap();
    let first = store.page("s", b"m", None, 2).await.unwrap();
    assert_eq!((first.entries.len(), first.is_last), (2, false));
    let second = store.page("s", b"m", Some(b"m2"), 2).await.unwrap();
    assert_eq!(second.entries, [("m3".into(), "m3".into())]);
    assert!(second.is_last);
    assert_eq!(store.page("s", b"", None, 4).await.unwrap().entries.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_values_are_read_a_few_at_a_time() {
    let folder = tempdir().unwrap();
    let store = PartitionStore::open(&place(folder.path()), 1, options()).await.unwrap();
    let large = "v".repeat(9 << 20);
    let entries = ["m1", "m2", "m3"].map(|key| entry(key, &large));
    store.commit(commit("s", 1, entries.to_vec())).await.unwrap();
    let first = store.page("s", b"m", None, 100).await.unwrap();
    assert_eq!((first.entries.len(), first.is_last), (2, false));
    let second = store.page("s", b"m", Some(b"m2"), 100).await.unwrap();
    assert_eq!((second.entries.len(), second.is_last), (1, true));
    let keys = ["none", "m1", "m1", "m2"].map(|key| key.as_bytes().to_vec());
    assert_eq!(store.read_first("s", &keys, 10 << 20).await.unwrap().len(), 3);
    assert_eq!(store.read("s", &keys).await.unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_was_replaced_commits_nothing() {
    let folder = tempdir().unwrap();
    let place = place(folder.path());
    let old = PartitionStore::open(&place, 1, options()).await.unwrap();
    old.commit(commit("s", 1, vec![entry("a", "1")])).await.unwrap();
    let new = PartitionStore::open(&place, 2, options()).await.unwrap();

    let refused = old.commit(commit("s", 2, vec![entry("a", "old")])).await.unwrap_err();
    assert!(matches!(refused, StoreError::Fenced { .. }), "{refused:?}");
    // What is not durable is not shown either.
    assert!(matches!(old.position("s").await.unwrap_err(), StoreError::Closed { .. }));

    assert_eq!(new.position("s").await.unwrap(), record(1));
    new.commit(commit("s", 2, vec![entry("a", "new")])).await.unwrap();
    assert_eq!(new.read("s", &[b"a".to_vec()]).await.unwrap(), [Some("new".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_open_at_once_one_can_commit() {
    for round in 0..5 {
        let folder = tempdir().unwrap();
        let place = place(folder.path());
        let (first, second) =
            tokio::join!(PartitionStore::open(&place, 1, options()), PartitionStore::open(&place, 2, options()));
        let mut committed = 0;
        for store in [first, second].into_iter().flatten() {
            committed += usize::from(store.commit(commit("s", 1, vec![entry("a", "1")])).await.is_ok());
        }
        // The one of epoch 1 may have fenced the other after that had looked: both give up then, and a third epoch is taken.
        assert!(committed <= 1, "round {round}");
        let third = PartitionStore::open(&place, 3, options()).await.unwrap();
        assert_eq!(third.position("s").await.unwrap().bundle, committed as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_is_taken_once_and_never_after_a_newer_one() {
    let folder = tempdir().unwrap();
    let place = place(folder.path());
    let owner = PartitionStore::open(&place, 5, options()).await.unwrap();
    for stale in [5, 4, 1] {
        let error = PartitionStore::open(&place, stale, options()).await.unwrap_err();
        assert!(matches!(error, StoreError::StaleEpoch { newest: 5, .. }), "{error:?}");
    }
    // Those who were refused have not fenced the owner.
    owner.commit(commit("s", 1, vec![entry("a", "1")])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_dropped_leaves_nothing_and_others_stay() {
    let folder = tempdir().unwrap();
    let place = place(folder.path());
    let store = PartitionStore::open(&place, 1, options()).await.unwrap();
    let many: Vec<_> = (0..2500).map(|number| entry(&format!("k{number:05}"), "v")).collect();
    store.commit(commit("gone", 1, many)).await.unwrap();
    store.commit(commit("gone2", 1, vec![entry("k", "kept")])).await.unwrap();
    store.drop_stream("gone").await.unwrap();
    assert_eq!(store.position("gone").await.unwrap(), PositionRecord::default());
    assert!(store.page("gone", b"", None, 10).await.unwrap().entries.is_empty());
    assert_eq!(store.read("gone2", &[b"k".to_vec()]).await.unwrap(), [Some("kept".into())]);
    store.close().await.unwrap();

    PartitionStore::delete(&place).await.unwrap();
    assert_eq!(common::files(folder.path()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_collected() {
    let folder = tempdir().unwrap();
    let place = place(folder.path());
    let options = StoreOptions {
        commits_per_table: 10,
        garbage_age: Duration::from_millis(50),
        garbage_interval: Duration::from_millis(100),
        ..options()
    };
    let store = PartitionStore::open(&place, 1, options).await.unwrap();
    let mut bundle = 0;
    let mut most = 0;
    // Commits go on until files have gone that were there before.
    while common::files(folder.path()) + 20 > most {
        bundle += 1;
        assert!(bundle < 5000, "nothing is collected: {most} files");
        store.commit(commit("s", bundle, vec![entry("a", &bundle.to_string())])).await.unwrap();
        most = most.max(common::files(folder.path()));
    }
    assert_eq!(store.position("s").await.unwrap().bundle, bundle);
    drop(store);
    let next = PartitionStore::open(&place, 2, StoreOptions::default()).await.unwrap();
    assert_eq!(next.position("s").await.unwrap().bundle, bundle);
}
