//! Stores that are slow, full, unreachable or damaged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use std::fmt::{self, Display, Formatter};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use common::{commit, entry, record};
use futures::stream::BoxStream;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use tempfile::tempdir;
use udfleet_state_store::{PartitionStore, StatePlace, StoreError, StoreOptions, local_object_store};

const SOUND: u8 = 0;
const FULL: u8 = 1;
const AWAY: u8 = 2;
const SILENT: u8 = 3;
/// Writes are done, and then answered with an error.
const LANDS_UNANSWERED: u8 = 4;

/// A store whose writes fail on demand.
#[derive(Debug)]
struct BadMedium {
    inner: Arc<dyn ObjectStore>,
    mode: AtomicU8,
}

impl Display for BadMedium {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "bad medium")
    }
}

fn failure(kind: ErrorKind) -> object_store::Error {
    object_store::Error::Generic { store: "bad medium", source: Box::new(std::io::Error::from(kind)) }
}

#[async_trait]
impl ObjectStore for BadMedium {
    async fn put_opts(&self, location: &ObjectPath, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.mode.load(Ordering::SeqCst) {
            FULL => Err(failure(ErrorKind::StorageFull)),
            AWAY => Err(failure(ErrorKind::ConnectionRefused)),
            SILENT => std::future::pending().await,
            LANDS_UNANSWERED => {
                self.inner.put_opts(location, payload, options).await?;
                Err(failure(ErrorKind::TimedOut))
            }
            _ => self.inner.put_opts(location, payload, options).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &ObjectPath,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<ObjectPath>>,
    ) -> BoxStream<'static, Result<ObjectPath>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &ObjectPath, to: &ObjectPath, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A medium, and a place on it.
fn medium(folder: &Path) -> (Arc<BadMedium>, StatePlace) {
    let inner = local_object_store(folder).unwrap();
    let medium = Arc::new(BadMedium { inner, mode: AtomicU8::new(SOUND) });
    let place = StatePlace { objects: medium.clone(), folder: "function/0".into() };
    (medium, place)
}

fn options(patience: Duration) -> StoreOptions {
    StoreOptions { patience, ..StoreOptions::default() }
}

/// Commits once, then again in `mode`; gives the error, and the bundle that the next owner finds.
async fn fail_in(mode: u8, patience: Duration) -> (StoreError, u64) {
    let folder = tempdir().unwrap();
    let (medium, place) = medium(folder.path());
    let store = PartitionStore::open(&place, 1, options(patience)).await.unwrap();
    store.commit(commit("s", 1, vec![entry("a", "1")])).await.unwrap();
    medium.mode.store(mode, Ordering::SeqCst);
    let error = store.commit(commit("s", 2, vec![entry("a", "2")])).await.unwrap_err();
    assert!(matches!(store.position("s").await.unwrap_err(), StoreError::Closed { .. }));
    medium.mode.store(SOUND, Ordering::SeqCst);

    let next = PartitionStore::open(&place, 2, options(patience)).await.unwrap();
    let found = next.position("s").await.unwrap();
    assert_eq!(found, record(found.bundle));
    let value = next.read("s", &[b"a".to_vec()]).await.unwrap();
    assert_eq!(value, [Some(found.bundle.to_string().into())], "changes and record are one write");
    (error, found.bundle)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_full() {
    let (error, bundle) = fail_in(FULL, Duration::from_secs(1)).await;
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert_eq!(bundle, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_unreachable() {
    let (error, bundle) = fail_in(AWAY, Duration::from_secs(1)).await;
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    assert_eq!(bundle, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_an_answer_is_slow() {
    let (error, bundle) = fail_in(SILENT, Duration::ZERO).await;
    assert!(matches!(error, StoreError::Slow { .. }), "{error:?}");
    assert_eq!(bundle, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_write_that_landed_unanswered_the_next_owner_knows() {
    let (_, bundle) = fail_in(LANDS_UNANSWERED, Duration::from_secs(1)).await;
    assert_eq!(bundle, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_for_a_while_is_waited_for() {
    let folder = tempdir().unwrap();
    let (medium, place) = medium(folder.path());
    let store = PartitionStore::open(&place, 1, options(Duration::from_secs(60))).await.unwrap();
    medium.mode.store(AWAY, Ordering::SeqCst);
    let back = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        medium.mode.store(SOUND, Ordering::SeqCst);
    };
    let (committed, ()) = tokio::join!(store.commit(commit("s", 1, vec![entry("a", "1")])), back);
    committed.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_zeros_are_damage() {
    let folder = tempdir().unwrap();
    let (_, place) = medium(folder.path());
    let store = PartitionStore::open(&place, 1, options(Duration::from_secs(1))).await.unwrap();
    store.commit(commit("s", 1, vec![entry("a", "1")])).await.unwrap();
    drop(store);
    let newest = write_ahead_logs(folder.path()).into_iter().max().unwrap();
    let length = std::fs::metadata(&newest).unwrap().len();
    std::fs::write(&newest, vec![0; usize::try_from(length).unwrap()]).unwrap();

    let error = PartitionStore::open(&place, 2, options(Duration::from_secs(1))).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}

fn write_ahead_logs(folder: &Path) -> Vec<PathBuf> {
    let wal = folder.join("function/0/db/wal");
    std::fs::read_dir(wal).unwrap().map(|entry| entry.unwrap().path()).collect()
}
