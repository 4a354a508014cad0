//! The Artifacts service.

use std::pin::Pin;

use bytes::BytesMut;
use futures::Stream;
use tokio::io::AsyncReadExt as _;
use tonic::{Request, Response, Status, Streaming};
use udfleet_proto::error::Error;
use udfleet_proto::limits::ARTIFACT_CHUNK_BYTES;
use udfleet_proto::v1::artifacts_server::Artifacts;
use udfleet_proto::v1::{
    ArtifactChunk, ErrorCode, GetArtifactRequest, MissingArtifactsRequest, MissingArtifactsResponse,
    PutArtifactResponse,
};

use super::{ArtifactStore, Upload};

/// Serves an [`ArtifactStore`] to clients and executors.
pub struct ArtifactsService {
    store: ArtifactStore,
}

impl ArtifactsService {
    /// Serves this store.
    #[must_use]
    pub fn new(store: ArtifactStore) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl Artifacts for ArtifactsService {
    async fn missing(
        &self,
        request: Request<MissingArtifactsRequest>,
    ) -> Result<Response<MissingArtifactsResponse>, Status> {
        let mut hashes = Vec::new();
        for hash in request.into_inner().hashes {
            if !self.store.reserve(&hash).await {
                hashes.push(hash);
            }
        }
        Ok(Response::new(MissingArtifactsResponse { hashes }))
    }

    async fn put(&self, request: Request<Streaming<ArtifactChunk>>) -> Result<Response<PutArtifactResponse>, Status> {
        let mut chunks = request.into_inner();
        let first = chunks.message().await?;
        let first = first.ok_or_else(|| Error::new(ErrorCode::InvalidInput, "the upload holds no chunk"))?;
        if self.store.reserve(&first.hash).await {
            return Ok(Response::new(PutArtifactResponse { already_present: true }));
        }
        let mut upload = Upload::begin(&self.store, &first.hash, first.size).await?;
        upload.write(&first.data).await?;
        while let Some(chunk) = chunks.message().await? {
            upload.write(&chunk.data).await?;
        }
        upload.finish().await?;
        Ok(Response::new(PutArtifactResponse { already_present: false }))
    }

    type GetStream = Pin<Box<dyn Stream<Item = Result<ArtifactChunk, Status>> + Send>>;

    async fn get(&self, request: Request<GetArtifactRequest>) -> Result<Response<Self::GetStream>, Status> {
        let hash = request.into_inner().hash;
        let (file, size) = self.store.read(&hash).await?;
        let head = ArtifactChunk { hash, size, data: bytes::Bytes::new() };
        let chunks = futures::stream::try_unfold((file, Some(head)), |(mut file, head)| async move {
            if let Some(head) = head {
                return Ok(Some((head, (file, None))));
            }
            let mut data = BytesMut::with_capacity(ARTIFACT_CHUNK_BYTES);
            let read = file.read_buf(&mut data).await;
            let read = read.map_err(|e| Error::internal(format!("reading an artifact: {e}")))?;
            let chunk = ArtifactChunk { data: data.freeze(), ..ArtifactChunk::default() };
            Ok((read > 0).then_some((chunk, (file, None))))
        });
        Ok(Response::new(Box::pin(chunks)))
    }
}
