//! The folders of one interpreter, of which it sees no more: its functions' files, a working folder, and one for
//! temporary files. They are gone with it.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use crate::disk;
use crate::sandbox::{give, show};

/// Below one folder with a random name.
#[derive(Debug)]
pub(super) struct InterpreterFolders {
    all: TempDir,
    /// The interpreter's own user; none: the executor's.
    user: Option<u32>,
}

impl InterpreterFolders {
    /// In `parent`. The environment's archives, which lie in `archives` for all of its interpreters, appear in the working
    /// folder; what functions write there is their own. `user` is the interpreter's, where that is not the executor's.
    pub(super) fn make(parent: &Path, archives: &Path, user: Option<u32>) -> io::Result<Self> {
        let this = Self { all: tempfile::Builder::new().prefix("interpreter-").tempdir_in(parent)?, user };
        for folder in [this.loads(), this.working(), this.temporary()] {
            std::fs::create_dir(folder)?;
        }
        if let Some(user) = user {
            show(this.all.path(), user)?;
            show(&this.loads(), user)?;
            give(&this.working(), user)?;
            give(&this.temporary(), user)?;
        }
        for entry in std::fs::read_dir(archives).into_iter().flatten().flatten() {
            std::os::unix::fs::symlink(entry.path(), this.working().join(entry.file_name()))?;
        }
        Ok(this)
    }

    /// Read by the interpreter: what functions are loaded from.
    pub(super) fn loads(&self) -> PathBuf {
        self.all.path().join("functions")
    }

    /// Read by the interpreter: the secrets that its functions name.
    pub(super) fn secrets(&self) -> PathBuf {
        self.all.path().join("secrets")
    }

    /// Where it runs.
    pub(super) fn working(&self) -> PathBuf {
        self.all.path().join("working")
    }

    /// For temporary files.
    pub(super) fn temporary(&self) -> PathBuf {
        self.all.path().join("tmp")
    }

    /// Makes a file of the artifact store visible, without copying it where that is possible; gives its path.
    ///
    /// # Errors
    /// `NO_CAPACITY` where the disk is full, `LOAD_FAILED` with what else it says.
    pub(super) async fn lay(&self, file: &Path) -> Result<String, Error> {
        let target = self.loads().join(file.file_name().unwrap_or(file.as_os_str()));
        let laid = match self.user {
            // The store's own is for the executor only, whoever has a link to it.
            Some(_) if !target.exists() => self.copy(file, &target).await,
            Some(_) => Ok(()),
            None => match tokio::fs::hard_link(file, &target).await {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => self.copy(file, &target).await,
                _ => Ok(()),
            },
        };
        laid.map_err(|error| {
            let what = format!("{} can't be laid out for an interpreter", target.display());
            disk::refused(ErrorCode::LoadFailed, &what, &error)
        })?;
        Ok(target.display().to_string())
    }

    /// Under another name first: what is there under its own is whole, and is the interpreter's user's.
    async fn copy(&self, file: &Path, target: &Path) -> io::Result<()> {
        let part = tempfile::NamedTempFile::new_in(self.loads())?;
        tokio::fs::copy(file, part.path()).await?;
        if let Some(user) = self.user {
            show(part.path(), user)?;
        }
        part.persist(target).map(drop).map_err(|error| error.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn archives_appear_and_files_are_laid_out_once() {
        let parent = tempfile::tempdir().unwrap();
        let archives = parent.path().join("archives");
        std::fs::create_dir_all(archives.join("models")).unwrap();
        std::fs::write(archives.join("models/a"), "weights").unwrap();
        let folders = InterpreterFolders::make(parent.path(), &archives, None).unwrap();
        assert_eq!(std::fs::read_to_string(folders.working().join("models/a")).unwrap(), "weights");
        let artifact = parent.path().join("artifact");
        std::fs::write(&artifact, "payload").unwrap();
        for _ in 0..2 {
            let laid = folders.lay(&artifact).await.unwrap();
            assert_eq!(std::fs::read_to_string(laid).unwrap(), "payload");
        }
    }
}
