//! The Artifacts service.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{Stream, StreamExt as _, TryStreamExt as _};
use tonic::{Request, Response, Status, Streaming};
use udfleet_edge::auth::Principal;
use udfleet_proto::error::Error;
use udfleet_proto::v1::artifacts_server::Artifacts;
use udfleet_proto::v1::{
    ArtifactChunk, ErrorCode, GetArtifactRequest, MissingArtifactsRequest, MissingArtifactsResponse,
    PutArtifactResponse,
};

use super::{ArtifactStore, Upload, UploadQuota};

/// Artifacts that are looked for at the same time.
const LOOKUPS: usize = 16;
/// The longest wait for a client's next chunk.
const STALL: Duration = Duration::from_secs(60);

/// Serves an [`ArtifactStore`] to clients and executors.
pub struct ArtifactsService {
    store: Arc<ArtifactStore>,
    quota: UploadQuota,
}

impl ArtifactsService {
    /// Serves this store; tenants may send so much.
    #[must_use]
    pub fn new(store: Arc<ArtifactStore>, quota: UploadQuota) -> Self {
        Self { store, quota }
    }
}

#[tonic::async_trait]
impl Artifacts for ArtifactsService {
    async fn missing(
        &self,
        request: Request<MissingArtifactsRequest>,
    ) -> Result<Response<MissingArtifactsResponse>, Status> {
        let look = |hash: String| async move {
            let here = self.store.reserve(&hash, None).await?;
            Ok::<_, Error>((!here).then_some(hash))
        };
        let looked = futures::stream::iter(request.into_inner().hashes).map(look).buffered(LOOKUPS);
        let hashes: Vec<Option<String>> = looked.try_collect().await?;
        Ok(Response::new(MissingArtifactsResponse { hashes: hashes.into_iter().flatten().collect() }))
    }

    async fn put(&self, request: Request<Streaming<ArtifactChunk>>) -> Result<Response<PutArtifactResponse>, Status> {
        let caller = Principal::of(&request);
        let mut chunks = request.into_inner();
        let first = next(&mut chunks).await?;
        let first = first.ok_or_else(|| Error::new(ErrorCode::InvalidInput, "the upload holds no chunk"))?;
        if self.store.reserve(&first.hash, Some(first.size)).await? {
            return Ok(Response::new(PutArtifactResponse { already_present: true }));
        }
        let counted = self.quota.begin(&caller, &first.hash, first.size)?;
        let mut upload = Upload::begin(&self.store, &first.hash, first.size).await?;
        upload.write(first.data).await?;
        while let Some(chunk) = next(&mut chunks).await? {
            upload.write(chunk.data).await?;
        }
        upload.finish().await?;
        counted.keep();
        Ok(Response::new(PutArtifactResponse { already_present: false }))
    }

    type GetStream = Pin<Box<dyn Stream<Item = Result<ArtifactChunk, Status>> + Send>>;

    async fn get(&self, request: Request<GetArtifactRequest>) -> Result<Response<Self::GetStream>, Status> {
        let hash = request.into_inner().hash;
        let (chunks, size) = self.store.read(&hash).await?;
        let head = ArtifactChunk { hash, size, data: bytes::Bytes::new() };
        let chunks = chunks.map_ok(|data| ArtifactChunk { data, ..ArtifactChunk::default() });
        let chunks = futures::stream::once(std::future::ready(Ok(head))).chain(chunks.err_into());
        Ok(Response::new(Box::pin(chunks)))
    }
}

async fn next(chunks: &mut Streaming<ArtifactChunk>) -> Result<Option<ArtifactChunk>, Status> {
    let next = tokio::time::timeout(STALL, chunks.message()).await;
    next.map_err(|_| {
        let message = format!("an upload sent nothing for {} s", STALL.as_secs());
        Error::new(ErrorCode::NoCapacity, message).hint("send it again")
    })?
}
