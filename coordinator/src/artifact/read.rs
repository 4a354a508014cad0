//! Artifacts on their way out, checked while they are read.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::{GetResultPayload, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use udfleet_proto::error::Error;
use udfleet_proto::limits::ARTIFACT_CHUNK_BYTES;
use udfleet_proto::v1::ErrorCode;

use super::failure::Medium;
use super::{ArtifactStore, check_hash, place};

/// Pieces of a file, in order.
pub(super) type Chunks = BoxStream<'static, Result<Bytes, Error>>;

impl ArtifactStore {
    /// Opens the content for reading; also returns its size. A stream that ends without an error has given what the hash
    /// says; damage removes the artifact, so that it can be sent again.
    ///
    /// # Errors
    /// [`ErrorCode::ArtifactMissing`] where it isn't here.
    pub async fn read(self: &Arc<Self>, hash: &str) -> Result<(Chunks, u64), Error> {
        check_hash(hash)?;
        let missing = || missing(&format!("the coordinator has no artifact {hash}"));
        // Files are found to be damaged before the first chunk goes out.
        if self.medium == Medium::Folder && self.whole(hash, None).await?.is_none() {
            return Err(missing());
        }
        let (chunks, size) = self.chunks(hash).await?.ok_or_else(missing)?;
        Ok((Arc::clone(self).checked(hash.to_owned(), chunks), size))
    }

    fn checked(self: Arc<Self>, hash: String, mut chunks: Chunks) -> Chunks {
        let checked = async_stream::try_stream! {
            let mut digest = Sha256::new();
            while let Some(chunk) = self.bounded(chunks.try_next()).await?? {
                digest.update(&chunk);
                yield chunk;
            }
            let content = hex::encode(digest.finalize());
            if content != hash {
                self.remove_damaged(&hash, &content).await?;
                Err(missing(&format!("artifact {hash} was damaged: its content had the hash {content}")))?;
            }
        };
        checked.boxed()
    }

    /// The pieces of what is stored, and its size; none where there is nothing.
    pub(super) async fn chunks(&self, hash: &str) -> Result<Option<(Chunks, u64)>, Error> {
        let got = match self.bounded(self.objects.get(&place(hash))).await? {
            Ok(got) => got,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failed(&error)),
        };
        let (size, medium) = (got.meta.size, self.medium);
        let chunks = match got.payload {
            // The library would read 8 KiB at a time.
            GetResultPayload::File(file, _) => file_chunks(tokio::fs::File::from_std(file)),
            GetResultPayload::Stream(stream) => stream.map_err(move |error| super::failure::of(medium, &error)).boxed(),
        };
        Ok(Some((chunks, size)))
    }
}

fn file_chunks(file: tokio::fs::File) -> Chunks {
    let chunks = futures::stream::try_unfold(file, |mut file| async move {
        let mut data = BytesMut::with_capacity(ARTIFACT_CHUNK_BYTES);
        let read = file.read_buf(&mut data).await;
        let read = read.map_err(|e| Error::internal(format!("reading an artifact: {e}")))?;
        Ok((read > 0).then(|| (data.freeze(), file)))
    });
    chunks.boxed()
}

fn missing(message: &str) -> Error {
    Error::new(ErrorCode::ArtifactMissing, message).hint("register the function again: its files are sent along")
}
