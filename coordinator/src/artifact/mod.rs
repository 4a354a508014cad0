//! Files that functions need, addressed by the SHA-256 of their content, in a folder or a bucket that several
//! coordinators may share.
//!
//! `AB/HASH` holds the content of a file whose hash begins with `AB`. It appears whole, or not at all. `used/HASH` tells
//! when somebody last asked for it, and `clock` what time it is by the store.

mod backing;
mod collect;
mod failure;
#[cfg(test)]
mod faulty;
mod memory;
mod read;
mod service;
#[cfg(test)]
mod tests;
mod upload;
mod upload_quota;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _, PutPayload};
use sha2::{Digest as _, Sha256};
use tokio::sync::{RwLock, Semaphore};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use crate::config::ArtifactStoreSettings;
use backing::Backing;
use failure::Medium;
use memory::{RecentReservations, VerifiedObjects};

pub use service::ArtifactsService;
pub use upload::Upload;
pub use upload_quota::{CountedUpload, UploadQuota};

/// The longest that the store may take for one step. Its own tries are within this.
const STEP: Duration = Duration::from_secs(30);
/// Uploads at the same time: each holds a few parts in memory.
const UPLOADS: usize = 8;

/// Content-addressed files in an object store.
#[derive(Debug)]
pub struct ArtifactStore {
    objects: Arc<dyn ObjectStore>,
    medium: Medium,
    /// Where they are files.
    folder: Option<PathBuf>,
    ttl: Duration,
    step: Duration,
    verified: VerifiedObjects,
    reserved: RecentReservations,
    /// Held for writing while something is removed: whoever reserves comes before or after that.
    removing: RwLock<()>,
    uploads: Arc<Semaphore>,
}

impl ArtifactStore {
    /// Opens the store. One that can't be reached now is used once it can.
    ///
    /// # Errors
    /// `INVALID_CONFIG` when it can't be used as it is set.
    pub async fn open(settings: &ArtifactStoreSettings) -> Result<Arc<Self>, Error> {
        let store = Arc::new(Self::over(backing::open(settings).await?, settings.ttl, STEP));
        match store.put(&clock(), "").await {
            Err(error) if error.code().retryable() => tracing::warn!(%error, "artifacts can't be stored for now"),
            Err(error) => {
                let text = format!("artifact_store {}: {}", settings.location, error.info().message);
                return Err(udfleet_edge::config::invalid(text).hint(error.info().hint.clone()));
            }
            Ok(()) => tracing::info!(place = %settings.location, "artifact store"),
        }
        Ok(store)
    }

    fn over(backing: Backing, ttl: Duration, step: Duration) -> Self {
        let medium = if backing.folder.is_some() { Medium::Folder } else { Medium::Bucket };
        Self {
            objects: backing.objects,
            medium,
            folder: backing.folder,
            ttl,
            step,
            verified: VerifiedObjects::default(),
            reserved: RecentReservations::new(ttl / 4),
            removing: RwLock::default(),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
        }
    }

    /// True where the content is here, whole. What is damaged is removed, so that it can be sent again. A malformed hash
    /// never is.
    ///
    /// # Errors
    /// When the store can't tell.
    pub async fn contains(&self, hash: &str) -> Result<bool, Error> {
        if check_hash(hash).is_err() {
            return Ok(false);
        }
        Ok(self.whole(hash, None).await?.is_some())
    }

    /// The same for content of this size, where it is known, that somebody is about to use: it is kept for a while, even
    /// if no function needs it.
    ///
    /// # Errors
    /// When the store can't tell.
    pub async fn reserve(&self, hash: &str, size: Option<u64>) -> Result<bool, Error> {
        if check_hash(hash).is_err() {
            return Ok(false);
        }
        let _not_removed_meanwhile = self.removing.read().await;
        if self.whole(hash, size).await?.is_none() {
            return Ok(false);
        }
        if self.reserved.lately(hash) {
            return Ok(true);
        }
        self.put(&used(hash), "").await?;
        self.reserved.note(hash);
        // Another coordinator may have removed it before it could see that.
        Ok(self.find(&place(hash)).await?.is_some())
    }

    /// What the store says of the content, if that is whole.
    async fn whole(&self, hash: &str, size: Option<u64>) -> Result<Option<ObjectMeta>, Error> {
        let Some(found) = self.find(&place(hash)).await? else { return Ok(None) };
        // A bucket keeps what it has taken; its content is checked whenever it is read. To read it here too would take
        // longer than many a registration.
        let trusted = self.medium == Medium::Bucket && size.is_none_or(|size| size == found.size);
        if trusted || self.verified.knows(hash, &found) {
            return Ok(Some(found));
        }
        let content = self.hash_of(hash).await?;
        if content.as_deref() == Some(hash) {
            self.verified.note(hash, &found);
            return Ok(Some(found));
        }
        // Unless a whole one has come in its place.
        if self.find(&place(hash)).await?.is_some_and(|now| now.e_tag == found.e_tag) {
            self.remove_damaged(hash, content.as_deref().unwrap_or_default()).await?;
        }
        Ok(None)
    }

    async fn remove_damaged(&self, hash: &str, content: &str) -> Result<(), Error> {
        tracing::error!(artifact = hash, content, "an artifact is damaged and is removed");
        self.verified.forget(hash);
        self.reserved.forget(hash);
        self.delete(&place(hash)).await
    }

    async fn hash_of(&self, hash: &str) -> Result<Option<String>, Error> {
        let Some((chunks, _)) = self.chunks(hash).await? else { return Ok(None) };
        let add = |mut digest: Sha256, chunk: bytes::Bytes| async move {
            digest.update(&chunk);
            Ok(digest)
        };
        Ok(Some(hex::encode(chunks.try_fold(Sha256::new(), add).await?.finalize())))
    }

    async fn find(&self, path: &Path) -> Result<Option<ObjectMeta>, Error> {
        match self.bounded(self.objects.head(path)).await? {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    async fn put(&self, path: &Path, content: impl Into<PutPayload>) -> Result<(), Error> {
        let put = self.bounded(self.objects.put(path, content.into())).await?;
        put.map(drop).map_err(|error| self.failed(&error))
    }

    async fn delete(&self, path: &Path) -> Result<(), Error> {
        match self.bounded(self.objects.delete(path)).await? {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Waits for one step of the store.
    async fn bounded<T>(&self, step: impl Future<Output = T>) -> Result<T, Error> {
        tokio::time::timeout(self.step, step).await.map_err(|_| failure::too_slow(self.step))
    }

    fn failed(&self, error: &object_store::Error) -> Error {
        failure::of(self.medium, error)
    }
}

/// Where the content lies. `hash` must have been checked.
fn place(hash: &str) -> Path {
    Path::from_iter([&hash[..2], hash])
}

/// What tells when it was last asked for.
fn used(hash: &str) -> Path {
    Path::from_iter(["used", hash])
}

/// What tells the store's time.
fn clock() -> Path {
    Path::from("clock")
}

/// A hash becomes a path: nothing but lower-case hex digits passes.
fn check_hash(hash: &str) -> Result<(), Error> {
    if hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::InvalidInput, format!("{hash:?} is no artifact hash: expected 64 lower-case hex digits")))
}
