//! The last file written into an environment: without it the environment is incomplete and is rebuilt.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

const NAME: &str = "complete.json";

/// What interpreters need to know of a built environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// The environment's own `bin/python`.
    pub python: PathBuf,
    /// "3.11.7"
    pub version: String,
    /// The shared library of its Python, if it has one.
    pub libpython: Option<PathBuf>,
    /// Folders to put in front of `sys.path`, in order.
    pub sys_path: Vec<PathBuf>,
    /// Where archives lie unpacked, and interpreters run.
    pub working_dir: PathBuf,
    /// There are no archives: the working folder may be made anew, should it be deleted.
    #[serde(default)]
    pub no_archives: bool,
}

/// Reads the marker of the environment in `dir`; none when it is incomplete, or its Python or one of its folders is gone.
pub(super) fn read(dir: &Path) -> Option<Built> {
    let text = std::fs::read(dir.join(NAME)).ok()?;
    let built: Built = serde_json::from_slice(&text).ok()?;
    let files = built.python.is_file() && built.libpython.as_ref().is_none_or(|path| path.is_file());
    let folders = (built.no_archives || built.working_dir.is_dir()) && built.sys_path.iter().all(|path| path.exists());
    (files && folders).then_some(built)
}

/// Declares the environment in `dir` complete.
pub(super) fn write(dir: &Path, built: &Built) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&serde_json::to_vec_pretty(built)?)?;
    file.as_file().sync_all()?;
    file.persist(dir.join(NAME))?;
    Ok(())
}

/// Notes that the environment was in use just now.
pub(super) fn touch(dir: &Path) -> io::Result<()> {
    std::fs::File::options().append(true).open(dir.join(NAME))?.set_modified(SystemTime::now())
}

/// When the environment was last known to be in use; for incomplete ones, when its folder last changed.
pub(super) fn last_used(dir: &Path) -> io::Result<SystemTime> {
    std::fs::metadata(dir.join(NAME)).or_else(|_| std::fs::metadata(dir))?.modified()
}
