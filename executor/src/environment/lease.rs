//! File locks that let the executors of one machine share built environments.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// In use: it is neither removed nor rebuilt.
    Shared,
    /// Being built or removed.
    Exclusive,
}

/// A held lock; ends when dropped, or with the process.
#[derive(Debug)]
pub(super) struct Lease(#[allow(dead_code, reason = "closing the file ends the lock")] File);

impl Lease {
    /// Takes the lock, unless a conflicting one is held.
    pub(super) fn try_acquire(path: &Path, mode: Mode) -> io::Result<Option<Self>> {
        let operation = match mode {
            Mode::Shared => FlockOperation::NonBlockingLockShared,
            Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
        };
        loop {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            match flock(&file, operation) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            // The file may have been removed between opening and locking: then the lock is on a file nobody else sees.
            let current = std::fs::metadata(path).map(|m| m.ino()).ok();
            if current == Some(file.metadata()?.ino()) {
                return Ok(Some(Self(file)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharers_keep_builders_out_and_removed_locks_count_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.lock");
        let one = Lease::try_acquire(&path, Mode::Shared).unwrap().unwrap();
        let two = Lease::try_acquire(&path, Mode::Shared).unwrap().unwrap();
        assert!(Lease::try_acquire(&path, Mode::Exclusive).unwrap().is_none());
        drop((one, two));
        let builder = Lease::try_acquire(&path, Mode::Exclusive).unwrap().unwrap();
        assert!(Lease::try_acquire(&path, Mode::Shared).unwrap().is_none());
        std::fs::remove_file(&path).unwrap();
        assert!(Lease::try_acquire(&path, Mode::Shared).unwrap().is_some());
        drop(builder);
    }
}
