use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt as _;
use redb::StorageBackend;
use redb::backends::InMemoryBackend;

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
    conformance::conditions(&fresh().open().await).await;
    conformance::all_or_nothing(&fresh().open().await).await;
    conformance::rules_of_transactions(&fresh().open().await).await;
    conformance::one_of_many_racers_wins(fresh().open().await).await;
    conformance::watching(&fresh().open().await).await;
    conformance::leases(&fresh().open().await).await;
    conformance::ownership(&fresh().open().await).await;
    conformance::large_values(&fresh().open().await).await;
    let store = fresh().open().await;
    conformance::two_clients(&store, &store).await;
    conformance::survives_reopening(&fresh()).await;
}

#[tokio::test]
async fn changes_from_before_it_was_opened_are_not_kept() {
    let files = InFile(tempfile::tempdir().unwrap());
    let store = files.open().await;
    let revision = store.transact(&[], vec![Write::put("a", "1")]).await.unwrap().unwrap();
    drop(store);
    let store = files.open().await;
    assert!(matches!(store.watch("", 0).await, Err(StoreError::Compacted(0))));
    assert!(store.watch("", revision).await.is_ok());
}

#[tokio::test]
async fn the_file_has_one_owner() {
    let files = InFile(tempfile::tempdir().unwrap());
    let _first = files.open().await;
    assert!(EmbeddedStore::open(files.0.path().join("meta.redb")).await.is_err());
}

/// A disk that can be full for a while; what is stored stays over opening it again.
#[derive(Debug, Clone)]
struct Disk {
    content: Arc<InMemoryBackend>,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn room(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.content.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.content.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.room()?;
        self.content.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.room()?;
        self.content.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.room()?;
        self.content.write(offset, data)
    }
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_heals() {
    let disk = Disk { content: Arc::default(), full: Arc::default() };
    let file = disk.clone();
    let open = move || {
        let database = Database::builder().create_with_backend(file.clone());
        let database = database.map_err(|e| StoreError::Failed(e.to_string()))?;
        let found = tables::prepare(&database)?;
        Ok((database, found))
    };
    let store = EmbeddedStore::start(Box::new(open)).await.unwrap();
    let put = |key: &'static str| store.transact(&[], vec![Write::put(key, key)]);
    let before = put("a").await.unwrap().unwrap();
    let lease = store.grant_lease(Duration::from_secs(600)).await.unwrap();
    let mut watcher = store.watch("", before).await.unwrap();

    disk.full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(matches!(put("b").await, Err(StoreError::Unavailable(_))));
        assert!(store.outage().is_some());
    }
    disk.full.store(false, Ordering::SeqCst);

    put("b").await.unwrap();
    assert_eq!(store.list("").await.unwrap().entries.len(), 2);
    assert_eq!(store.outage(), None);
    store.keep_alive(lease).await.unwrap();
    match watcher.next().await.unwrap() {
        Ok(changes) => assert!(changes.revision > before),
        Err(error) => assert!(matches!(error, StoreError::Compacted(_)), "{error}"),
    }
}
