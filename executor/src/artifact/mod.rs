//! Artifacts on this node, addressed by content; missing ones are fetched from the coordinator.

mod download;
mod verified;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_ARTIFACT_BYTES;
use udfleet_proto::v1::{Artifact, ErrorCode};

pub use download::Source;
use verified::VerifiedFiles;

/// Why an artifact is not on this node.
#[derive(Debug)]
pub enum FetchError {
    /// No coordinator can be reached, or none has its store for now: it can be waited for.
    Away(Error),
    /// Another reason: that it does not exist, or what this node's disk says.
    Failed(Error),
}

impl From<Error> for FetchError {
    /// Of what coordinators say.
    fn from(error: Error) -> Self {
        if error.code().retryable() { Self::Away(error) } else { Self::Failed(error) }
    }
}

impl From<FetchError> for Error {
    fn from((FetchError::Away(error) | FetchError::Failed(error)): FetchError) -> Self {
        error
    }
}

/// The artifacts of this node.
pub struct ArtifactStore {
    dir: PathBuf,
    source: Source,
    verified: Arc<VerifiedFiles>,
    /// One lock per hash that is being fetched.
    fetching: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

impl ArtifactStore {
    /// A store in `dir`, which is made if need be.
    ///
    /// # Errors
    /// `INTERNAL` when the folder can't be made.
    pub fn new(dir: PathBuf, source: Source) -> Result<Self, Error> {
        std::fs::create_dir_all(&dir)
            .map_err(|e| Error::internal(format!("can't make the artifacts folder {}: {e}", dir.display())))?;
        Ok(Self { dir, source, verified: Arc::default(), fetching: Mutex::new(HashMap::new()) })
    }

    /// Where the artifact lies on this node; it is fetched first if it is missing, once for all who ask.
    ///
    /// # Errors
    /// `ARTIFACT_MISSING` when the coordinator lacks it, `LIMIT_EXCEEDED` beyond the size limit, `INVALID_DEFINITION` for
    /// a hash that is none, `NO_CAPACITY` when the coordinator can't be reached or the disk is full, `INTERNAL` for what
    /// else the disk says.
    pub async fn fetch(&self, artifact: &Artifact) -> Result<PathBuf, FetchError> {
        let path = self.path(artifact)?;
        if self.present(artifact, &path).await {
            return Ok(path);
        }
        let turn = self.turn(&artifact.hash);
        let _turn = turn.lock().await;
        if !self.present(artifact, &path).await {
            self.source.download(artifact, &path).await?;
        }
        Ok(path)
    }

    fn path(&self, artifact: &Artifact) -> Result<PathBuf, Error> {
        let Artifact { hash, name, size } = artifact;
        if hash.len() != 64 || !hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            let message = format!("artifact {name:?}: {hash:?} is no SHA-256 in lower-case hex");
            return Err(Error::new(ErrorCode::InvalidDefinition, message));
        }
        if *size > MAX_ARTIFACT_BYTES {
            let message = format!("artifact {name:?} of {size} bytes is larger than the limit of {MAX_ARTIFACT_BYTES}");
            return Err(Error::new(ErrorCode::LimitExceeded, message));
        }
        Ok(self.dir.join(hash))
    }

    /// Whether it lies here, whole: what is damaged is removed and fetched again. Notes the use, since unused ones are
    /// collected.
    async fn present(&self, artifact: &Artifact, path: &Path) -> bool {
        let (verified, hash, file) = (Arc::clone(&self.verified), artifact.hash.clone(), path.to_owned());
        let check = move || {
            let whole = verified.check(&hash, &file)?;
            if whole {
                std::fs::File::open(&file)?.set_modified(SystemTime::now())?;
            }
            Ok::<_, std::io::Error>(whole)
        };
        match tokio::task::spawn_blocking(check).await.map_err(std::io::Error::other).flatten() {
            Ok(whole) => whole,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "an artifact can't be read");
                false
            }
        }
    }

    fn turn(&self, hash: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut fetching = self.fetching.lock();
        fetching.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = fetching.get(hash).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        fetching.insert(hash.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// Removes artifacts that are not in `wanted` and were not used for `ttl`.
    pub fn collect(&self, wanted: &BTreeSet<String>, ttl: Duration) {
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let used = entry.metadata().and_then(|m| m.modified());
            let old = used.is_ok_and(|used| used.elapsed().is_ok_and(|age| age >= ttl));
            let name = entry.file_name().to_string_lossy().into_owned();
            if old && !wanted.contains(&name) {
                // Fetched again when it is wanted again.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests;
