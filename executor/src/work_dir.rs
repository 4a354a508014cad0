//! The executor's work folder: locked by one executor at a time; it holds the id, which survives restarts.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rand::Rng;
use rustix::fs::{FlockOperation, flock};
use udfleet_edge::private;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// The folder, locked as long as this lives.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    _lock: File,
}

impl WorkDir {
    /// Makes and locks the folder, and removes temporary files of an earlier run.
    ///
    /// # Errors
    /// `INVALID_CONFIG` when another executor has it, or it can't be used.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bad = |e: io::Error| unusable(path, &e);
        private::create_folder(path).map_err(bad)?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join("lock")).map_err(bad)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            let message = format!("work_dir {} is in use by another executor", path.display());
            Error::new(ErrorCode::InvalidConfig, message).hint("give each executor its own --work-dir")
        })?;
        let this = Self { path: path.to_owned(), _lock: lock };
        let _ = std::fs::remove_dir_all(this.temporary());
        std::fs::create_dir_all(this.temporary()).map_err(bad)?;
        Ok(this)
    }

    /// For temporary files.
    #[must_use]
    pub fn temporary(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// For artifacts.
    #[must_use]
    pub fn artifacts(&self) -> PathBuf {
        self.path.join("artifacts")
    }

    /// The executor's name: the configured one, else one that is made once and kept here.
    ///
    /// # Errors
    /// `INVALID_CONFIG` when it can't be kept.
    pub fn id(&self, configured: &str) -> Result<String, Error> {
        if !configured.is_empty() {
            return Ok(configured.to_owned());
        }
        let file = self.path.join("id");
        match std::fs::read_to_string(&file).map(|id| id.trim().to_owned()) {
            Ok(id) if !id.is_empty() => Ok(id),
            _ => {
                let id = format!("executor-{:08x}", rand::rng().random::<u32>());
                std::fs::write(&file, &id).map_err(|e| unusable(&self.path, &e))?;
                Ok(id)
            }
        }
    }
}

fn unusable(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorCode::InvalidConfig, format!("work_dir {} can't be used: {error}", path.display()))
        .hint("name a folder that this user may write to with --work-dir")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_executor_at_a_time_and_a_name_that_stays() {
        let folder = tempfile::tempdir().unwrap();
        let first = WorkDir::open(folder.path()).unwrap();
        let id = first.id("").unwrap();
        assert_eq!(first.id("mine").unwrap(), "mine");
        assert!(WorkDir::open(folder.path()).unwrap_err().info().hint.contains("--work-dir"));
        drop(first);
        assert_eq!(WorkDir::open(folder.path()).unwrap().id("").unwrap(), id);
    }
}
