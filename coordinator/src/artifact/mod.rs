//! Files that functions need, addressed by the SHA-256 of their content.

mod collect;
mod service;
mod upload;

use std::path::{Path, PathBuf};

use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

pub use service::ArtifactsService;
pub use upload::Upload;

/// A folder of content-addressed files.
#[derive(Debug, Clone)]
pub struct ArtifactStore {
    root: PathBuf,
}

impl ArtifactStore {
    /// Opens the folder, creating it, and removes what interrupted uploads left.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub async fn open(root: impl Into<PathBuf>) -> std::io::Result<Self> {
        let store = Self { root: root.into() };
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

    /// True where the content is here. A malformed hash never is.
    pub async fn contains(&self, hash: &str) -> bool {
        check_hash(hash).is_ok() && tokio::fs::try_exists(self.path(hash)).await.unwrap_or(false)
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
        let missing = |_| {
            Error::new(ErrorCode::ArtifactMissing, format!("the coordinator has no artifact {hash}"))
                .hint("register the function again: its files are sent along")
        };
        let file = tokio::fs::File::open(self.path(hash)).await.map_err(missing)?;
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
    Error::internal(format!("artifact store: {}: {error}", path.display()))
        .hint("check space and permissions of the coordinator's data folder")
}
