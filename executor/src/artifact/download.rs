//! Fetches one artifact from a coordinator: checked while it streams in, visible only when whole.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use udfleet_proto::error::Error;
use udfleet_proto::limits::{ARTIFACT_CHUNK_BYTES, MAX_ARTIFACT_BYTES};
use udfleet_proto::v1::artifacts_client::ArtifactsClient;
use udfleet_proto::v1::{Artifact, ErrorCode, GetArtifactRequest};

use udfleet_edge::auth::SendToken;
use udfleet_edge::channel::reason;

use super::FetchError;
use crate::coordinators::Coordinators;
use crate::disk;

/// Tries of one download while the coordinator can't be reached.
const ATTEMPTS: u32 = 6;
/// Before the second try; doubled before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest wait for the next chunk.
const STALL: Duration = Duration::from_secs(60);

/// Where artifacts come from.
#[derive(Clone)]
pub struct Source {
    coordinators: Arc<Coordinators>,
    bearer: SendToken,
}

impl Source {
    /// Fetches from these.
    #[must_use]
    pub fn new(coordinators: Arc<Coordinators>, bearer: SendToken) -> Self {
        Self { coordinators, bearer }
    }

    /// Fetches `artifact` to `path`.
    pub(super) async fn download(&self, artifact: &Artifact, path: &Path) -> Result<(), FetchError> {
        let mut pause = FIRST_PAUSE;
        let mut others = self.coordinators.count() - 1;
        for _ in 1..ATTEMPTS {
            match self.once(artifact, path).await {
                // It may lie at the one that it was sent to only.
                Err(FetchError::Failed(error)) if error.code() == ErrorCode::ArtifactMissing && others > 0 => {
                    others -= 1;
                    self.coordinators.pass_over();
                }
                Err(FetchError::Away(error)) => {
                    tracing::debug!(artifact = artifact.name, "download is tried again: {error}");
                    self.coordinators.pass_over();
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                other => return other,
            }
        }
        self.once(artifact, path).await
    }

    async fn once(&self, artifact: &Artifact, path: &Path) -> Result<(), FetchError> {
        let request = GetArtifactRequest { hash: artifact.hash.clone() };
        let refused = |status: tonic::Status| refused(artifact, &status);
        let client = ArtifactsClient::with_interceptor(self.coordinators.channel(), self.bearer.clone());
        let mut client = client.max_decoding_message_size(2 * ARTIFACT_CHUNK_BYTES);
        let mut chunks = client.get(request).await.map_err(refused)?.into_inner();
        let folder = path.parent().unwrap_or(path);
        std::fs::create_dir_all(folder).map_err(|e| disk(artifact, &e))?;
        let mut file = NamedTempFile::new_in(folder).map_err(|e| disk(artifact, &e))?;
        let (mut digest, mut size) = (Sha256::new(), 0u64);
        loop {
            let next = tokio::time::timeout(STALL, chunks.message()).await;
            let next = next.map_err(|_| unreachable(artifact, "it stopped sending"))?.map_err(refused)?;
            let Some(chunk) = next else { break };
            size += chunk.data.len() as u64;
            if size > MAX_ARTIFACT_BYTES {
                let message =
                    format!("artifact {:?} is larger than the limit of {MAX_ARTIFACT_BYTES} bytes", artifact.name);
                return Err(Error::new(ErrorCode::LimitExceeded, message).into());
            }
            digest.update(&chunk.data);
            file.write_all(&chunk.data).map_err(|e| disk(artifact, &e))?;
        }
        let hash = hex::encode(digest.finalize());
        if hash != artifact.hash {
            let message = format!("artifact {:?} arrived with hash {hash}, expected {}", artifact.name, artifact.hash);
            let hint = "the coordinator's artifact store is damaged: register again";
            return Err(Error::internal(message).hint(hint).into());
        }
        file.as_file().sync_all().map_err(|e| disk(artifact, &e))?;
        file.persist(path).map_err(|e| disk(artifact, &e.error))?;
        Ok(())
    }
}

/// Typed errors stay as they are; a broken connection is worth another try.
fn refused(artifact: &Artifact, status: &tonic::Status) -> FetchError {
    match status.code() {
        tonic::Code::Unavailable | tonic::Code::Cancelled | tonic::Code::Unknown if status.details().is_empty() => {
            unreachable(artifact, &reason(status))
        }
        _ => Error::from(status).into(),
    }
}

fn unreachable(artifact: &Artifact, why: &str) -> FetchError {
    let message = format!("artifact {:?} can't be fetched from the coordinator: {why}", artifact.name);
    FetchError::Away(Error::new(ErrorCode::NoCapacity, message))
}

fn disk(artifact: &Artifact, error: &std::io::Error) -> FetchError {
    let what = format!("artifact {:?} can't be stored", artifact.name);
    FetchError::Failed(disk::refused(ErrorCode::Internal, &what, error))
}
