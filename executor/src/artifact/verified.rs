//! Files named by the SHA-256 of their content, and their verification.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// Files that are remembered as whole; what is forgotten is read once more.
const REMEMBERED: usize = 65_536;

/// The identity of the file, without its time, which is updated on use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
}

/// Reads each file once in the life of the process, and again when another one is in its place. All of it blocks.
#[derive(Debug, Default)]
pub struct VerifiedFiles {
    whole: Mutex<HashMap<String, Stamp>>,
}

impl VerifiedFiles {
    /// Whether the file at `path` is there and has this hash. One that has not is removed, so that it can be fetched or
    /// sent again.
    ///
    /// # Errors
    /// When it can't be read or removed.
    pub fn check(&self, hash: &str, path: &Path) -> io::Result<bool> {
        let metadata = match path.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let stamp = Stamp { inode: metadata.ino(), size: metadata.len() };
        if self.whole.lock().get(hash) == Some(&stamp) {
            return Ok(true);
        }
        let found = hash_file(path)?;
        if found != hash {
            tracing::error!(file = %path.display(), found, "a file is damaged and is removed");
            std::fs::remove_file(path)?;
            return Ok(false);
        }
        let mut whole = self.whole.lock();
        if whole.len() >= REMEMBERED {
            whole.clear();
        }
        whole.insert(hash.to_owned(), stamp);
        Ok(true)
    }
}

/// The SHA-256 of the file's content, in lower-case hex.
fn hash_file(path: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    io::copy(&mut File::open(path)?, &mut digest)?;
    Ok(hex::encode(digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_go_and_whole_ones_are_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let files = VerifiedFiles::default();
        assert!(!files.check(hello, &path).unwrap(), "missing");
        for damage in ["", "hellO", "hell"] {
            std::fs::write(&path, "hello").unwrap();
            assert!(files.check(hello, &path).unwrap() && files.check(hello, &path).unwrap());
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, damage).unwrap();
            assert!(!VerifiedFiles::default().check(hello, &path).unwrap());
            assert!(!path.exists(), "it can be fetched again");
        }
    }
}
