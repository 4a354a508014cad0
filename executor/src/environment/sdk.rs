//! The SDK's Python package, which interpreters import: embedded in this binary, written beside the environments.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// File names below `udfleet/` and their text.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));

/// Writes the package below `parent`, unless this very content is there, and returns the folder for `sys.path`.
///
/// # Errors
/// What the file system says.
pub(super) fn install(parent: &Path) -> io::Result<PathBuf> {
    let root = parent.join("runtime");
    let folder = root.join(format!("{}-{}", udfleet_proto::VERSION, digest()));
    if folder.is_dir() {
        return Ok(folder);
    }
    std::fs::create_dir_all(&root)?;
    let temporary = tempfile::tempdir_in(&root)?;
    for (name, text) in FILES {
        let path = temporary.path().join("udfleet").join(name);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, text)?;
    }
    match std::fs::rename(temporary.path(), &folder) {
        // Another executor of this machine was faster.
        Err(error) if !folder.is_dir() => Err(error),
        _ => Ok(folder),
    }
}

fn digest() -> String {
    let mut digest = Sha256::new();
    for (name, text) in FILES {
        digest.update(name);
        digest.update([0]);
        digest.update(text);
        digest.update([0]);
    }
    hex::encode(&digest.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_written_once() {
        let work = tempfile::tempdir().unwrap();
        let folder = install(work.path()).unwrap();
        assert!(folder.join("udfleet/__init__.py").is_file());
        assert_eq!(install(work.path()).unwrap(), folder);
        assert_eq!(std::fs::read_dir(work.path().join("runtime")).unwrap().count(), 1);
    }
}
