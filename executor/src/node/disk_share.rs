//! What the functions of one interpreter keep on the disk: its working folder and its temporary files, with those of the
//! processes that they have started. The kernel bounds single files only.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::folders::InterpreterFolders;
use crate::link::Interpreter;

/// How often it is measured.
const PERIOD: Duration = Duration::from_secs(1);
/// What `st_blocks` counts in, bytes.
const BLOCK: u64 = 512;
/// What each file and folder counts at least, bytes: empty ones fill a disk too.
const LEAST: u64 = 4096;

/// Measures until the interpreter ends; kills it beyond `limit` bytes.
pub(super) async fn watch(interpreter: Interpreter, folders: Arc<InterpreterFolders>, limit: u64) {
    loop {
        tokio::select! {
            _ = interpreter.exited() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
        let (pid, held) = (interpreter.pid(), Arc::clone(&folders));
        let measure = move || used(pid, &[held.working(), held.temporary()], limit);
        // Fails only while the executor ends.
        let Ok(used) = tokio::task::spawn_blocking(measure).await else { return };
        if used.is_none_or(|used| used > limit) {
            tracing::warn!(pid, used, limit, "interpreter whose functions keep too much on the disk is killed");
            interpreter.kill_for_disk(used, limit);
            return;
        }
    }
}

/// What has been counted so far.
#[derive(Default)]
struct DiskCount {
    sum: u64,
    /// Files with several names, by device and number.
    seen: BTreeSet<(u64, u64)>,
}

impl DiskCount {
    fn add(&mut self, file: &fs::Metadata) {
        // A folder's links are those of the folders in it.
        if file.is_dir() || file.nlink() == 1 || self.seen.insert((file.dev(), file.ino())) {
            self.sum += (file.blocks() * BLOCK).max(LEAST);
        }
    }
}

/// The bytes in these folders, and in files that were deleted there and are still open; it stops counting beyond `limit`.
/// None: there is a folder that can't be looked into, since its mode or its path's length hides it.
fn used(pid: u32, folders: &[PathBuf], limit: u64) -> Option<u64> {
    let mut count = DiskCount::default();
    let mut open: Vec<PathBuf> = folders.to_vec();
    while let Some(folder) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // What is deleted meanwhile is passed over.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(_) => return None,
        };
        for entry in entries.flatten() {
            let found = match entry.metadata() {
                Ok(found) => found,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(_) => return None,
            };
            count.add(&found);
            if count.sum > limit {
                return Some(count.sum);
            }
            if found.is_dir() {
                open.push(entry.path());
            }
        }
    }
    for descriptor in
        started(pid).into_iter().flat_map(|pid| fs::read_dir(format!("/proc/{pid}/fd"))).flatten().flatten()
    {
        let inside = |link: &Path| folders.iter().any(|folder| link.starts_with(folder));
        if fs::read_link(descriptor.path()).is_ok_and(|link| inside(&link))
            && let Ok(file) = fs::metadata(descriptor.path())
            // Others were found by their names.
            && (file.nlink() == 0 && count.seen.insert((file.dev(), file.ino())))
        {
            count.sum += (file.blocks() * BLOCK).max(LEAST);
        }
    }
    Some(count.sum)
}

/// The process and all below it.
fn started(pid: u32) -> Vec<u32> {
    let (mut found, mut next) = (vec![pid], 0);
    while let Some(pid) = found.get(next).copied() {
        next += 1;
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rustix::fs::{Mode, OFlags};

    use super::*;

    const NO_LIMIT: u64 = u64::MAX;

    #[test]
    fn files_folders_and_what_is_deleted_and_open_count_once() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        let own = std::process::id();
        let bytes = |limit| used(own, &folders, limit).unwrap();
        assert_eq!(bytes(NO_LIMIT), 0);
        fs::create_dir(folder.path().join("inner")).unwrap();
        fs::write(folder.path().join("inner/file"), vec![1; 1 << 20]).unwrap();
        fs::hard_link(folder.path().join("inner/file"), folder.path().join("again")).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("root")).unwrap();
        let whole = bytes(NO_LIMIT);
        assert!(((1 << 20) + 2 * LEAST..(1 << 20) + (64 << 10)).contains(&whole), "{whole}");
        let mut deleted = tempfile::tempfile_in(folder.path()).unwrap();
        deleted.write_all(&vec![1; 1 << 20]).unwrap();
        let also = deleted.try_clone().unwrap();
        let more = bytes(NO_LIMIT);
        assert!((whole + (1 << 20)..whole + (2 << 20)).contains(&more), "{whole} {more}");
        drop((deleted, also));
        assert_eq!(bytes(NO_LIMIT), whole);
        assert!((1..=whole).contains(&bytes(0)), "the first file beyond the limit is enough");
    }

    #[test]
    fn a_folder_whose_path_is_too_long_to_be_looked_into_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let name = "n".repeat(255);
        let mut inside = rustix::fs::open(folder.path(), OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap();
        for _ in 0..18 {
            rustix::fs::mkdirat(&inside, name.as_str(), Mode::RWXU).unwrap();
            inside =
                rustix::fs::openat(&inside, name.as_str(), OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap();
        }
        assert_eq!(used(std::process::id(), &[folder.path().to_owned()], NO_LIMIT), None);
    }
}
