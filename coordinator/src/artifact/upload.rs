//! One artifact on its way in: checked while it comes, visible only when whole.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{ObjectStoreExt as _, PutPayloadMut, WriteMultipart};
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedSemaphorePermit;
use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_ARTIFACT_BYTES;
use udfleet_proto::v1::ErrorCode;

use super::failure::Medium;
use super::{ArtifactStore, check_hash, place};

/// Parts of a large artifact: S3's smallest.
const PART_BYTES: usize = 5 << 20;
/// Parts on their way at the same time.
const PARTS_IN_FLIGHT: usize = 2;

/// Dropped before [`Upload::finish`], it leaves nothing.
pub struct Upload {
    store: Arc<ArtifactStore>,
    hash: String,
    size: u64,
    written: u64,
    digest: Sha256,
    body: UploadBody,
    _turn: OwnedSemaphorePermit,
}

enum UploadBody {
    /// Small: held until it is whole.
    Held(PutPayloadMut),
    /// Large: parts go out as they come. None once they are ended.
    Parts(Option<WriteMultipart>),
}

impl Upload {
    /// Begins an upload of `size` bytes whose SHA-256 is `hash`, once few enough others are under way.
    ///
    /// # Errors
    /// For a malformed hash, a size beyond the limit, or when the store can't take it now.
    pub async fn begin(store: &Arc<ArtifactStore>, hash: &str, size: u64) -> Result<Self, Error> {
        check_hash(hash)?;
        if size > MAX_ARTIFACT_BYTES {
            return Err(Error::new(
                ErrorCode::LimitExceeded,
                format!("artifact {hash} of {size} bytes is larger than the limit of {MAX_ARTIFACT_BYTES} bytes"),
            )
            .hint("install large data from a package or an image instead of shipping it with the function"));
        }
        let turn = store.bounded(Arc::clone(&store.uploads).acquire_owned()).await?;
        let turn = turn.map_err(|e| Error::internal(e.to_string()))?;
        let body = if size > PART_BYTES as u64 {
            let parts = store.bounded(store.objects.put_multipart(&place(hash))).await?;
            let parts = parts.map_err(|error| store.failed(&error))?;
            UploadBody::Parts(Some(WriteMultipart::new_with_chunk_size(parts, PART_BYTES)))
        } else {
            UploadBody::Held(PutPayloadMut::new())
        };
        let (store, hash) = (Arc::clone(store), hash.to_owned());
        Ok(Self { store, hash, size, written: 0, digest: Sha256::new(), body, _turn: turn })
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When more comes than was announced, or the store refuses.
    pub async fn write(&mut self, data: Bytes) -> Result<(), Error> {
        self.written += data.len() as u64;
        if self.written > self.size {
            return Err(self.mismatch(&format!("more than the announced {} bytes came", self.size)));
        }
        self.digest.update(&data);
        match &mut self.body {
            UploadBody::Held(held) => held.push(data),
            UploadBody::Parts(Some(parts)) => {
                let room = self.store.bounded(parts.wait_for_capacity(PARTS_IN_FLIGHT)).await?;
                room.map_err(|error| self.store.failed(&error))?;
                parts.put(data);
            }
            UploadBody::Parts(None) => {}
        }
        Ok(())
    }

    /// Verifies and puts the content in its place, durably.
    ///
    /// # Errors
    /// When size or content are not what was announced, or the store has not taken all of it.
    pub async fn finish(mut self) -> Result<(), Error> {
        if self.written != self.size {
            return Err(self.mismatch(&format!("{} of {} bytes came", self.written, self.size)));
        }
        let content = hex::encode(std::mem::take(&mut self.digest).finalize());
        if content != self.hash {
            return Err(self.mismatch(&format!("its content has the hash {content}")));
        }
        // Two uploads of the same content may meet here: either is as good.
        match &mut self.body {
            UploadBody::Held(held) => self.store.put(&place(&self.hash), std::mem::take(held).freeze()).await?,
            UploadBody::Parts(parts) => {
                if let Some(parts) = parts.take() {
                    let ended = self.store.bounded(parts.finish()).await?;
                    ended.map_err(|error| self.store.failed(&error))?;
                }
            }
        }
        // What a disk says it has written is read once more.
        if self.store.medium == Medium::Folder && self.store.whole(&self.hash, None).await?.is_none() {
            return Err(Error::internal(format!("artifact {}: what was stored is not what was sent", self.hash))
                .hint("check the disk of the coordinator's artifact store"));
        }
        self.store.reserved.note(&self.hash);
        Ok(())
    }

    fn mismatch(&self, why: &str) -> Error {
        Error::new(ErrorCode::InvalidInput, format!("artifact {}: {why}", self.hash)).hint("send it again")
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // A bucket keeps parts until it is told.
        if let UploadBody::Parts(parts) = &mut self.body
            && let Some(parts) = parts.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                if let Err(error) = parts.abort().await {
                    tracing::debug!(%error, "parts of an upload that was given up can't be removed");
                }
            });
        }
    }
}
