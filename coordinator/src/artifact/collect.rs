//! Removes artifacts that no function needs.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{ArtifactStore, check_hash};

/// Makes a file young: its age counts from the last time that somebody asked for it.
pub(super) async fn touch(path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    blocking(move || File::open(path)?.set_modified(SystemTime::now())).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

impl ArtifactStore {
    /// Removes what is older than `ttl` and not among `used`, which is asked for once the old ones are known: what
    /// becomes used in between has been made young before. Returns how many went.
    ///
    /// # Errors
    /// When the folder can't be read or a file can't be removed.
    pub async fn collect(&self, ttl: Duration, used: impl FnOnce() -> HashSet<String>) -> io::Result<usize> {
        let root = self.root.clone();
        let old = blocking(move || old_artifacts(&root, ttl)).await?;
        if old.is_empty() {
            return Ok(0);
        }
        let used = used();
        blocking(move || {
            let mut removed = 0;
            for (hash, path) in old.into_iter().filter(|(hash, _)| !used.contains(hash)) {
                // Somebody may have asked for it since.
                if age(&path)? >= ttl {
                    std::fs::remove_file(&path)?;
                    tracing::info!(hash, "removed an artifact that no function needs");
                    removed += 1;
                }
            }
            Ok(removed)
        })
        .await
    }
}

fn age(path: &Path) -> io::Result<Duration> {
    // A clock that was set back makes files young.
    Ok(path.metadata()?.modified()?.elapsed().unwrap_or_default())
}

fn old_artifacts(root: &Path, ttl: Duration) -> io::Result<Vec<(String, PathBuf)>> {
    let mut old = Vec::new();
    for folder in std::fs::read_dir(root)? {
        for file in std::fs::read_dir(folder?.path())? {
            let file = file?;
            // Uploads on their way have other names.
            let hash = file.file_name().to_string_lossy().into_owned();
            if check_hash(&hash).is_ok() && age(&file.path())? >= ttl {
                old.push((hash, file.path()));
            }
        }
    }
    Ok(old)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::artifact::Upload;

    const HOUR: Duration = Duration::from_secs(3600);

    async fn put(store: &ArtifactStore, content: &[u8]) -> String {
        let hash = hex::encode(Sha256::digest(content));
        let mut upload = Upload::begin(store, &hash, content.len() as u64).await.unwrap();
        upload.write(content).await.unwrap();
        upload.finish().await.unwrap();
        hash
    }

    fn age_by(store: &ArtifactStore, hash: &str, age: Duration) {
        File::open(store.path(hash)).unwrap().set_modified(SystemTime::now() - age).unwrap();
    }

    #[tokio::test]
    async fn old_and_unused_goes_young_used_and_reserved_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(folder.path()).await.unwrap();
        let (young, used, reserved, unused) =
            (put(&store, b"1").await, put(&store, b"2").await, put(&store, b"3").await, put(&store, b"4").await);
        for hash in [&used, &reserved, &unused] {
            age_by(&store, hash, 2 * HOUR);
        }
        assert!(store.reserve(&reserved).await);
        let in_use = HashSet::from([used.clone()]);
        assert_eq!(store.collect(HOUR, || in_use).await.unwrap(), 1);
        for hash in [&young, &used, &reserved] {
            assert!(store.contains(hash).await);
        }
        assert!(!store.contains(&unused).await && !store.reserve(&unused).await);
    }
}
