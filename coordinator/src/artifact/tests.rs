//! The same of a folder and of objects in memory, which stand for a bucket; and what either does when it fails.

use std::collections::HashSet;
use std::fs::File;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use bytes::Bytes;
use object_store::memory::InMemory;
use udfleet_edge::objects::ObjectLocation;
use udfleet_proto::limits::MAX_ARTIFACT_BYTES;

use super::faulty::{Faults, FaultyStore};
use super::*;
use crate::config::Config;

const HOUR: Duration = Duration::from_secs(3600);
/// Larger than what is held in memory as a whole.
const LARGE: usize = 12 << 20;

fn hash(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

async fn send(store: &Arc<ArtifactStore>, hash: &str, size: usize, pieces: &[&[u8]]) -> Result<(), Error> {
    let mut upload = Upload::begin(store, hash, size as u64).await?;
    for piece in pieces {
        upload.write(Bytes::copy_from_slice(piece)).await?;
    }
    upload.finish().await
}

async fn put(store: &Arc<ArtifactStore>, content: &[u8]) -> String {
    let hash = hash(content);
    send(store, &hash, content.len(), &[content]).await.unwrap();
    hash
}

async fn content(store: &Arc<ArtifactStore>, hash: &str) -> Result<Vec<u8>, Error> {
    let (chunks, size) = store.read(hash).await?;
    let all: Vec<Bytes> = chunks.try_collect().await?;
    let all = all.concat();
    assert_eq!(all.len() as u64, size);
    Ok(all)
}

async fn folder(path: &std::path::Path) -> Arc<ArtifactStore> {
    let location = Some(ObjectLocation::Folder(path.to_owned()));
    ArtifactStore::open(&Config { artifact_store: location, ..Config::default() }.artifact_store()).await.unwrap()
}

fn bucket(objects: &Arc<InMemory>, ttl: Duration) -> (Arc<ArtifactStore>, Arc<Faults>) {
    let faulty = FaultyStore::new(Arc::clone(objects));
    let faults = Arc::clone(&faulty.faults);
    (Arc::new(over(faulty, ttl, STEP)), faults)
}

fn over(faulty: FaultyStore, ttl: Duration, step: Duration) -> ArtifactStore {
    ArtifactStore::over(Backing { objects: Arc::new(faulty), folder: None }, ttl, step)
}

async fn both(path: &std::path::Path) -> [Arc<ArtifactStore>; 2] {
    [folder(path).await, bucket(&Arc::default(), HOUR).0]
}

fn large() -> Vec<u8> {
    (0..LARGE).map(|i| (i % 251) as u8).collect()
}

fn files(path: &std::path::Path) -> usize {
    let folders = std::fs::read_dir(path).unwrap().flatten().filter(|folder| folder.path().is_dir());
    folders.map(|folder| std::fs::read_dir(folder.path()).unwrap().count()).sum()
}

#[tokio::test]
async fn content_comes_back_and_lies_are_refused() {
    let path = tempfile::tempdir().unwrap();
    for store in both(path.path()).await {
        let good = hash(b"hello");
        assert!(!store.contains(&good).await.unwrap());
        for (size, pieces) in [(5, &[b"hellO".as_slice()][..]), (5, &[b"hell"]), (5, &[b"hello", b"!"])] {
            let error = send(&store, &good, size, pieces).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidInput);
        }
        assert!(!store.contains(&good).await.unwrap());
        send(&store, &good, 5, &[b"he", b"llo"]).await.unwrap();
        send(&store, &good, 5, &[b"hello"]).await.unwrap();
        assert_eq!(content(&store, &good).await.unwrap(), b"hello");
        let empty = put(&store, b"").await;
        assert_eq!(content(&store, &empty).await.unwrap(), b"");
    }
    assert_eq!(files(path.path()), 2, "nothing but what is whole");
}

#[tokio::test]
async fn large_files_go_in_parts_and_what_is_given_up_leaves_nothing() {
    let path = tempfile::tempdir().unwrap();
    let large = large();
    let name = hash(&large);
    for store in both(path.path()).await {
        let pieces: Vec<&[u8]> = large.chunks(1 << 20).collect();
        let error = send(&store, &name, LARGE, &pieces[..11]).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidInput);
        let mut given_up = Upload::begin(&store, &name, LARGE as u64).await.unwrap();
        given_up.write(Bytes::copy_from_slice(pieces[0])).await.unwrap();
        drop(given_up);
        assert!(!store.contains(&name).await.unwrap());
        send(&store, &name, LARGE, &pieces).await.unwrap();
        assert!(content(&store, &name).await.unwrap() == large);
    }
    let gone = async {
        while files(path.path()) != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("parts are removed");
}

#[tokio::test]
async fn hashes_are_no_paths() {
    let path = tempfile::tempdir().unwrap();
    for store in both(path.path()).await {
        for bad in ["", "../../etc/passwd", &"A".repeat(64), &"/".repeat(64)] {
            assert!(!store.contains(bad).await.unwrap() && !store.reserve(bad, None).await.unwrap());
            assert_eq!(store.read(bad).await.err().unwrap().code(), ErrorCode::InvalidInput);
        }
        let error = store.read(&"0".repeat(64)).await.err().unwrap();
        assert_eq!(error.code(), ErrorCode::ArtifactMissing);
        let error = Upload::begin(&store, &"0".repeat(64), MAX_ARTIFACT_BYTES + 1).await.err().unwrap();
        assert_eq!(error.code(), ErrorCode::LimitExceeded);
    }
}

/// Data folders of earlier versions stay readable: the content lies where it always lay.
#[tokio::test]
async fn the_folder_is_laid_out_as_ever() {
    let path = tempfile::tempdir().unwrap();
    let good = hash(b"hello");
    let place = path.path().join(&good[..2]).join(&good);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::create_dir_all(path.path().join("incoming")).unwrap();
    std::fs::write(path.path().join("incoming/.tmpX"), "half").unwrap();
    std::fs::write(&place, "hello").unwrap();
    let store = folder(path.path()).await;
    assert!(store.reserve(&good, Some(5)).await.unwrap());
    assert_eq!(content(&store, &good).await.unwrap(), b"hello");
    assert!(!path.path().join("incoming").exists(), "what earlier versions left");
    let other = put(&store, b"other").await;
    assert_eq!(std::fs::read(path.path().join(&other[..2]).join(&other)).unwrap(), b"other");
}

#[tokio::test]
async fn a_damaged_file_is_found_when_it_is_needed_and_can_be_sent_again() {
    let path = tempfile::tempdir().unwrap();
    let good = hash(b"hello");
    for damage in [b"".as_slice(), b"hellO", b"hell"] {
        put(&folder(path.path()).await, b"hello").await;
        std::fs::write(path.path().join(&good[..2]).join(&good), damage).unwrap();
        let store = folder(path.path()).await;
        assert_eq!(store.read(&good).await.err().unwrap().code(), ErrorCode::ArtifactMissing);
        assert!(!store.reserve(&good, None).await.unwrap(), "Missing asks for it");
        put(&store, b"hello").await;
        assert_eq!(content(&store, &good).await.unwrap(), b"hello");
    }
}

#[tokio::test]
async fn a_damaged_object_is_found_when_it_is_read_or_its_size_is_wrong() {
    let objects = Arc::<InMemory>::default();
    let (store, _) = bucket(&objects, HOUR);
    let good = put(&store, b"hello").await;
    objects.put(&place(&good), "hellO".into()).await.unwrap();
    assert_eq!(content(&store, &good).await.unwrap_err().code(), ErrorCode::ArtifactMissing);
    assert!(!store.reserve(&good, None).await.unwrap(), "Missing asks for it");
    put(&store, b"hello").await;
    objects.put(&place(&good), "".into()).await.unwrap();
    assert!(!store.reserve(&good, Some(5)).await.unwrap(), "a registration knows the size");
    put(&store, b"hello").await;
    assert!(store.reserve(&good, Some(6)).await.unwrap(), "one that is mistaken breaks nothing");
    assert_eq!(content(&store, &good).await.unwrap(), b"hello");
}

#[tokio::test]
async fn a_store_that_is_away_is_retryable_and_serves_again_when_it_is_back() {
    let (store, faults) = bucket(&Arc::default(), HOUR);
    let good = put(&store, b"hello").await;
    let other = hash(&large());
    faults.away.store(true, Ordering::SeqCst);
    let errors = [
        store.reserve(&good, Some(5)).await.unwrap_err(),
        store.read(&good).await.err().unwrap(),
        send(&store, &hash(b"x"), 1, &[b"x"]).await.unwrap_err(),
        Upload::begin(&store, &other, LARGE as u64).await.err().unwrap(),
        store.collect(HashSet::new).await.unwrap_err(),
    ];
    for error in errors {
        assert!(error.code() == ErrorCode::NoCapacity && !error.info().hint.is_empty(), "{error}");
    }
    faults.away.store(false, Ordering::SeqCst);
    assert!(store.reserve(&good, Some(5)).await.unwrap());
    assert_eq!(content(&store, &good).await.unwrap(), b"hello");
}

#[tokio::test]
async fn a_store_that_hangs_is_waited_for_within_bounds() {
    let faulty = FaultyStore::new(Arc::default());
    let faults = Arc::clone(&faulty.faults);
    let store = Arc::new(over(faulty, HOUR, Duration::from_millis(20)));
    let good = put(&store, b"hello").await;
    faults.hangs.store(true, Ordering::SeqCst);
    let told = async {
        assert_eq!(store.reserve(&good, Some(6)).await.unwrap_err().code(), ErrorCode::NoCapacity);
        assert_eq!(store.read(&good).await.err().unwrap().code(), ErrorCode::NoCapacity);
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("it does not wait for ever");
}

#[tokio::test]
async fn a_disk_that_fills_up_keeps_nothing_and_takes_it_once_there_is_room() {
    let (store, faults) = bucket(&Arc::default(), HOUR);
    let large = large();
    let (name, pieces) = (hash(&large), large.chunks(1 << 20).collect::<Vec<_>>());
    for taken in 0..3 {
        faults.parts.store(taken, Ordering::SeqCst);
        let error = send(&store, &name, LARGE, &pieces).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NoCapacity, "room may be made: {error}");
        assert!(!store.contains(&name).await.unwrap());
    }
    faults.parts.store(usize::MAX, Ordering::SeqCst);
    send(&store, &name, LARGE, &pieces).await.unwrap();
    assert!(content(&store, &name).await.unwrap() == large);
    let told = async {
        while faults.aborted.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("the store is told to remove the parts");
}

#[tokio::test]
async fn old_and_unused_goes_young_used_and_reserved_stays() {
    let path = tempfile::tempdir().unwrap();
    let sent = folder(path.path()).await;
    let mut hashes = Vec::new();
    for content in [b"1", b"2", b"3", b"4"] {
        hashes.push(put(&sent, content).await);
    }
    let [young, used, reserved, unused] = hashes.try_into().unwrap();
    for hash in [&used, &reserved, &unused] {
        let file = File::open(path.path().join(&hash[..2]).join(hash)).unwrap();
        file.set_modified(SystemTime::now() - 2 * HOUR).unwrap();
    }
    // Two coordinators that know nothing of each other's callers.
    let (asked, collecting) = (folder(path.path()).await, folder(path.path()).await);
    assert!(asked.reserve(&reserved, None).await.unwrap());
    let in_use = HashSet::from([used.clone()]);
    assert_eq!(collecting.collect(|| in_use).await.unwrap(), 1);
    for hash in [&young, &used, &reserved] {
        assert!(collecting.contains(hash).await.unwrap());
    }
    assert!(!collecting.contains(&unused).await.unwrap() && !asked.reserve(&unused, None).await.unwrap());
}

#[tokio::test]
async fn marks_go_with_what_they_stand_for() {
    let objects = Arc::<InMemory>::default();
    let (store, _) = bucket(&objects, Duration::ZERO);
    let (first, second) = (put(&store, b"1").await, put(&store, b"2").await);
    assert!(store.reserve(&first, None).await.unwrap());
    objects.put(&used(&"0".repeat(64)), "".into()).await.unwrap();
    assert_eq!(store.collect(|| HashSet::from([second.clone()])).await.unwrap(), 1);
    let left: Vec<String> = objects.list(None).map_ok(|found| found.location.to_string()).try_collect().await.unwrap();
    assert_eq!(left.iter().collect::<HashSet<_>>(), HashSet::from([&"clock".to_owned(), &place(&second).to_string()]));
}

#[tokio::test]
async fn what_becomes_used_while_it_is_looked_at_stays() {
    let objects = Arc::<InMemory>::default();
    let (collecting, _) = bucket(&objects, Duration::from_millis(1));
    let hash = put(&collecting, b"1").await;
    std::thread::sleep(Duration::from_millis(5));
    // Another coordinator marks it after the inventory, before it would go.
    let mark = || {
        let objects = Arc::clone(&objects);
        futures::executor::block_on(async { objects.put(&used(&hash), "".into()).await.unwrap() });
        HashSet::new()
    };
    assert_eq!(collecting.collect(mark).await.unwrap(), 0);
    assert!(collecting.contains(&hash).await.unwrap());
}
