//! Environments on this node's disk, addressed by content: built once however many functions and executors ask.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use udfleet_proto::error::Error;
use udfleet_proto::v1::{Environment, ErrorCode};

use super::build::{BuildLog, Builder, failed};
use super::lease::{Lease, Mode};
use super::marker::{self, Built};
use super::pythons::Pythons;
use crate::artifact::ArtifactStore;

/// The longest that building one environment may take, waiting for others included.
const LONGEST_BUILD: Duration = Duration::from_secs(15 * 60);

/// Builds, keeps and collects environments below one folder.
pub struct EnvironmentStore {
    dir: PathBuf,
    uv: Option<PathBuf>,
    pythons: Pythons,
    artifacts: Arc<ArtifactStore>,
}

/// A built environment in use: as long as it is held it is neither removed nor rebuilt.
#[derive(Debug)]
pub struct Held {
    /// What interpreters need to know.
    pub built: Built,
    dir: PathBuf,
    _lease: Lease,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Unused from now on. Should this fail, the environment is merely collected earlier.
        let _ = marker::touch(&self.dir);
    }
}

impl EnvironmentStore {
    /// A store in `dir`, which is made if need be.
    ///
    /// # Errors
    /// `ENVIRONMENT_FAILED` when the folder can't be made.
    pub fn new(
        dir: PathBuf,
        uv: Option<PathBuf>,
        pythons: Pythons,
        artifacts: Arc<ArtifactStore>,
    ) -> Result<Self, Error> {
        std::fs::create_dir_all(&dir).map_err(|e| failed(&dir, &e))?;
        Ok(Self { dir, uv, pythons, artifacts })
    }

    /// The environment `hash`, built if it is not there yet. Dropping the future cancels the build.
    ///
    /// # Errors
    /// `ENVIRONMENT_FAILED` naming the package, Python, file or bound at fault; what fetching artifacts says.
    pub async fn obtain(&self, hash: &str, environment: &Environment, log: &BuildLog) -> Result<Held, Error> {
        let minutes = LONGEST_BUILD.as_secs() / 60;
        tokio::time::timeout(LONGEST_BUILD, self.obtain_unbounded(hash, environment, log)).await.unwrap_or_else(|_| {
            let message = format!("building the environment took longer than the limit of {minutes} minutes");
            Err(Error::new(ErrorCode::EnvironmentFailed, message)
                .hint("pin versions that have wheels, or prepare the packages in a requirements cache"))
        })
    }

    async fn obtain_unbounded(&self, hash: &str, environment: &Environment, log: &BuildLog) -> Result<Held, Error> {
        let (dir, lock) = (self.dir.join(hash), self.lock_file(hash));
        loop {
            if let Some(held) = self.complete(&dir, &lock).await? {
                return Ok(held);
            }
            let lease = match Lease::try_acquire(&lock, Mode::Exclusive).map_err(|e| failed(&dir, &e))? {
                Some(lease) => lease,
                None => {
                    log("waiting for another build of this environment on this node");
                    Lease::acquire(&lock, Mode::Exclusive).await.map_err(|e| failed(&dir, &e))?
                }
            };
            if marker::read(&dir).is_none() {
                wipe(&dir).await?;
                let builder =
                    Builder { uv: self.uv.as_deref(), pythons: &self.pythons, artifacts: &self.artifacts, log };
                builder.build(&dir, environment).await?;
            }
            // A lock can't be weakened in one step: somebody may come in between, so the loop looks again.
            drop(lease);
        }
    }

    async fn complete(&self, dir: &Path, lock: &Path) -> Result<Option<Held>, Error> {
        if marker::read(dir).is_none() {
            return Ok(None);
        }
        let lease = Lease::acquire(lock, Mode::Shared).await.map_err(|e| failed(dir, &e))?;
        Ok(marker::read(dir).map(|built| Held { built, dir: dir.to_owned(), _lease: lease }))
    }

    fn lock_file(&self, hash: &str) -> PathBuf {
        self.dir.join(format!("{hash}.lock"))
    }

    /// Hashes of complete environments, sorted.
    #[must_use]
    pub fn built(&self) -> Vec<String> {
        let mut hashes: Vec<String> =
            self.hashes().filter(|hash| marker::read(&self.dir.join(hash)).is_some()).collect();
        hashes.sort();
        hashes
    }

    fn hashes(&self) -> impl Iterator<Item = String> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir()));
        folders.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_hash(name))
    }

    /// Removes environments that nobody has used for `ttl`; returns their hashes. Those in use, here or by another
    /// executor, stay.
    pub fn collect(&self, ttl: Duration) -> Vec<String> {
        let unused = |hash: &String| {
            let used = marker::last_used(&self.dir.join(hash)).unwrap_or_else(|_| SystemTime::now());
            used.elapsed().is_ok_and(|age| age >= ttl)
        };
        self.hashes().filter(unused).filter(|hash| self.remove_unused(hash)).collect()
    }

    fn remove_unused(&self, hash: &str) -> bool {
        let (dir, lock) = (self.dir.join(hash), self.lock_file(hash));
        let Ok(Some(_lease)) = Lease::try_acquire(&lock, Mode::Exclusive) else { return false };
        let removed = std::fs::remove_dir_all(&dir);
        if let Err(error) = &removed {
            tracing::warn!(environment = hash, "can't remove an unused environment: {error}");
        }
        let _ = std::fs::remove_file(&lock);
        removed.is_ok()
    }
}

fn is_hash(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

async fn wipe(dir: &Path) -> Result<(), Error> {
    match tokio::fs::remove_dir_all(dir).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(dir, &error)),
        _ => {}
    }
    tokio::fs::create_dir_all(dir).await.map_err(|e| failed(dir, &e))
}
