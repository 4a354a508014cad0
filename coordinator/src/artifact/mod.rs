//! Files that functions need, addressed by the SHA-256 of their content.

mod collect;
mod service;
mod upload;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use udfleet_edge::content::VerifiedFiles;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

pub use service::ArtifactsService;
pub use upload::Upload;

/// A folder of content-addressed files.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    root: PathBuf,
    verified: Arc<VerifiedFiles>,
}

impl ArtifactStore {
    /// Opens the folder, creating it, and removes what interrupted uploads left.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub async fn open(root: impl Into<PathBuf>) -> std::io::Result<Self> {
        let store = Self { root: root.into(), verified: Arc::default() };
        if tokio::fs::try_exists(store.incoming()).await? {
            tokio::fs::remove_dir_all(store.incoming()).await?;
        }
        tokio::fs::create_dir_all(store.incoming()).await?;
        Ok(store)
    }

    fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// Where the content lies. `hash` must have been checked.
    fn path(&self, hash: &str) -> PathBuf {
        self.root.join(&hash[..2]).join(hash)
    }

    /// True where the content is here, whole. What is damaged is removed, so that it can be sent again. A malformed hash
    /// never is.
    pub async fn contains(&self, hash: &str) -> bool {
        if check_hash(hash).is_err() {
            return false;
        }
        self.whole(hash).await.unwrap_or_else(|error| {
            tracing::warn!("{error}");
            false
        })
    }

    async fn whole(&self, hash: &str) -> Result<bool, Error> {
        let (verified, path, name) = (Arc::clone(&self.verified), self.path(hash), hash.to_owned());
        let check = move || verified.check(&name, &path);
        let whole = tokio::task::spawn_blocking(check).await.map_err(std::io::Error::other).flatten();
        whole.map_err(|e| broken(&self.path(hash), &e))
    }

    /// The same for content that somebody is about to use: it is kept for a while, even if no function needs it.
    pub async fn reserve(&self, hash: &str) -> bool {
        self.contains(hash).await && collect::touch(&self.path(hash)).await.is_ok()
    }

    /// Opens the content for reading; also returns its size.
    ///
    /// # Errors
    /// [`ErrorCode::ArtifactMissing`] where it isn't here.
    pub async fn read(&self, hash: &str) -> Result<(tokio::fs::File, u64), Error> {
        check_hash(hash)?;
        let missing = || {
            Error::new(ErrorCode::ArtifactMissing, format!("the coordinator has no artifact {hash}"))
                .hint("register the function again: its files are sent along")
        };
        if !self.whole(hash).await? {
            return Err(missing());
        }
        let file = tokio::fs::File::open(self.path(hash)).await.map_err(|_| missing())?;
        let size = file.metadata().await.map_err(|e| broken(&self.path(hash), &e))?.len();
        Ok((file, size))
    }
}

/// A hash becomes a path: nothing but lower-case hex digits passes.
fn check_hash(hash: &str) -> Result<(), Error> {
    if hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::InvalidInput, format!("{hash:?} is no artifact hash: expected 64 lower-case hex digits")))
}

fn broken(path: &Path, error: &std::io::Error) -> Error {
    // Room may be made.
    let full = matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
    let code = if full { ErrorCode::NoCapacity } else { ErrorCode::Internal };
    Error::new(code, format!("artifact store: {}: {error}", path.display()))
        .hint("check space and permissions of the coordinator's data folder")
}
