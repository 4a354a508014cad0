//! One artifact on its way in: written beside its place, verified, then moved.

use std::path::PathBuf;

use sha2::{Digest, Sha256};
use tempfile::TempPath;
use tokio::io::AsyncWriteExt as _;
use udfleet_edge::content::hash_file;
use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_ARTIFACT_BYTES;
use udfleet_proto::v1::ErrorCode;

use super::{ArtifactStore, broken, check_hash};

/// Dropped before [`Upload::finish`], it leaves nothing.
pub struct Upload {
    hash: String,
    size: u64,
    written: u64,
    digest: Sha256,
    file: tokio::fs::File,
    temporary: TempPath,
    target: PathBuf,
}

impl Upload {
    /// Begins an upload of `size` bytes whose SHA-256 is `hash`.
    ///
    /// # Errors
    /// For a malformed hash or a size beyond the limit.
    pub async fn begin(store: &ArtifactStore, hash: &str, size: u64) -> Result<Self, Error> {
        check_hash(hash)?;
        if size > MAX_ARTIFACT_BYTES {
            return Err(Error::new(
                ErrorCode::LimitExceeded,
                format!("artifact {hash} of {size} bytes is larger than the limit of {MAX_ARTIFACT_BYTES} bytes"),
            )
            .hint("install large data from a package or an image instead of shipping it with the function"));
        }
        let folder = store.incoming();
        let made = tokio::task::spawn_blocking(move || tempfile::NamedTempFile::new_in(folder)).await;
        let made = made.map_err(|e| Error::internal(e.to_string()))?;
        let (file, temporary) = made.map_err(|e| broken(&store.incoming(), &e))?.into_parts();
        Ok(Self {
            hash: hash.to_owned(),
            size,
            written: 0,
            digest: Sha256::new(),
            file: file.into(),
            temporary,
            target: store.path(hash),
        })
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// When more comes than was announced, or the disk refuses.
    pub async fn write(&mut self, data: &[u8]) -> Result<(), Error> {
        self.written += data.len() as u64;
        if self.written > self.size {
            return Err(self.mismatch(&format!("more than the announced {} bytes came", self.size)));
        }
        self.digest.update(data);
        self.file.write_all(data).await.map_err(|e| broken(&self.temporary, &e))
    }

    /// Verifies and puts the file in its place, durably.
    ///
    /// # Errors
    /// When size or content are not what was announced, or the disk has not taken all of it.
    pub async fn finish(mut self) -> Result<(), Error> {
        if self.written != self.size {
            return Err(self.mismatch(&format!("{} of {} bytes came", self.written, self.size)));
        }
        let found = hex::encode(std::mem::take(&mut self.digest).finalize());
        if found != self.hash {
            return Err(self.mismatch(&format!("its content has the hash {found}")));
        }
        // A write returns before it has happened: only now is it known to have worked.
        self.file.flush().await.map_err(|e| broken(&self.temporary, &e))?;
        self.file.sync_all().await.map_err(|e| broken(&self.temporary, &e))?;
        let path = self.temporary.to_path_buf();
        let stored = tokio::task::spawn_blocking(move || hash_file(&path)).await.map_err(std::io::Error::other);
        let stored = stored.flatten().map_err(|e| broken(&self.temporary, &e))?;
        if stored != self.hash {
            let lost = std::io::Error::other(format!("what was stored has the hash {stored}"));
            return Err(broken(&self.temporary, &lost));
        }
        if let Some(folder) = self.target.parent() {
            tokio::fs::create_dir_all(folder).await.map_err(|e| broken(folder, &e))?;
        }
        // Two uploads of the same content may meet here: either file is as good.
        tokio::fs::rename(&self.temporary, &self.target).await.map_err(|e| broken(&self.target, &e))
    }

    fn mismatch(&self, why: &str) -> Error {
        Error::new(ErrorCode::InvalidInput, format!("artifact {}: {why}", self.hash)).hint("send it again")
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn hash(data: &[u8]) -> String {
        hex::encode(Sha256::digest(data))
    }

    async fn upload(store: &ArtifactStore, hash: &str, size: u64, pieces: &[&[u8]]) -> Result<(), Error> {
        let mut upload = Upload::begin(store, hash, size).await?;
        for piece in pieces {
            upload.write(piece).await?;
        }
        upload.finish().await
    }

    #[tokio::test]
    async fn content_comes_back_and_lies_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(folder.path()).await.unwrap();
        let good = hash(b"hello");
        assert!(!store.contains(&good).await);
        assert!(upload(&store, &good, 5, &[b"hellO"]).await.is_err());
        assert!(upload(&store, &good, 5, &[b"hell"]).await.is_err());
        assert!(upload(&store, &good, 5, &[b"hello", b"!"]).await.is_err());
        assert!(!store.contains(&good).await);
        upload(&store, &good, 5, &[b"he", b"llo"]).await.unwrap();
        upload(&store, &good, 5, &[b"hello"]).await.unwrap();
        let (mut file, size) = store.read(&good).await.unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).await.unwrap();
        assert_eq!((text.as_str(), size), ("hello", 5));
        let left = std::fs::read_dir(store.incoming()).unwrap().count();
        assert_eq!(left, 0, "temporary files are gone");
    }

    #[tokio::test]
    async fn hashes_are_no_paths() {
        let folder = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(folder.path()).await.unwrap();
        for bad in ["", "../../etc/passwd", &"A".repeat(64), &"/".repeat(64)] {
            assert!(!store.contains(bad).await);
            assert_eq!(store.read(bad).await.unwrap_err().code(), ErrorCode::InvalidInput);
        }
        let error = store.read(&"0".repeat(64)).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::ArtifactMissing);
        let error = Upload::begin(&store, &"0".repeat(64), MAX_ARTIFACT_BYTES + 1).await.err().unwrap();
        assert_eq!(error.code(), ErrorCode::LimitExceeded);
    }

    #[tokio::test]
    async fn what_was_damaged_is_found_when_it_is_needed_and_can_be_sent_again() {
        let folder = tempfile::tempdir().unwrap();
        let good = hash(b"hello");
        for damage in [b"".as_slice(), b"hellO", b"hell"] {
            let store = ArtifactStore::open(folder.path()).await.unwrap();
            upload(&store, &good, 5, &[b"hello"]).await.unwrap();
            assert!(store.contains(&good).await);
            drop(store);
            std::fs::write(ArtifactStore::open(folder.path()).await.unwrap().path(&good), damage).unwrap();

            let store = ArtifactStore::open(folder.path()).await.unwrap();
            assert_eq!(store.read(&good).await.unwrap_err().code(), ErrorCode::ArtifactMissing);
            assert!(!store.reserve(&good).await, "Missing asks for it");
            upload(&store, &good, 5, &[b"hello"]).await.unwrap();
            assert_eq!(store.read(&good).await.unwrap().1, 5);
        }
    }

    /// `/dev/full` takes what is written into buffers and refuses it in the end, as a full disk does.
    #[tokio::test]
    async fn what_the_disk_has_not_taken_is_not_stored() {
        let folder = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(folder.path()).await.unwrap();
        let good = hash(b"hello");
        let mut upload = Upload::begin(&store, &good, 5).await.unwrap();
        upload.file = tokio::fs::OpenOptions::new().write(true).open("/dev/full").await.unwrap();
        // This write may already say so; the last one of an upload does not.
        let written = upload.write(b"hello").await;
        let finished = upload.finish().await;
        let error = written.and(finished).unwrap_err();
        assert!(error.code().retryable(), "room may be made: {error}");
        assert!(!store.contains(&good).await);
        assert_eq!(std::fs::read_dir(store.incoming()).unwrap().count(), 0, "nothing is left");
    }
}
