//! What the functions of one interpreter keep on the disk: its working folder and its temporary files, with those of the
//! processes that they have started. The kernel bounds single files only.

use std::collections::BTreeSet;
use std::fs;
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
        let measure = move || used(pid, &[held.working(), held.temporary()]);
        // Fails only while the executor ends.
        let Ok(used) = tokio::task::spawn_blocking(measure).await else { return };
        if used > limit {
            tracing::warn!(pid, used, limit, "interpreter whose functions keep too much on the disk is killed");
            interpreter.kill_for_disk(used, limit);
            return;
        }
    }
}

/// The bytes in these folders, and in files that were deleted there and are still open.
fn used(pid: u32, folders: &[PathBuf]) -> u64 {
    let mut seen = BTreeSet::new();
    let mut sum = 0;
    let mut count = |file: &fs::Metadata| {
        if seen.insert((file.dev(), file.ino())) {
            sum += (file.blocks() * BLOCK).max(LEAST);
        }
    };
    let mut open: Vec<PathBuf> = folders.to_vec();
    while let Some(folder) = open.pop() {
        // What is deleted meanwhile is passed over.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else { continue };
            count(&found);
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
        {
            count(&file);
        }
    }
    sum
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

    use super::*;

    #[test]
    fn files_folders_and_what_is_deleted_and_open_count_once() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        let own = std::process::id();
        assert_eq!(used(own, &folders), 0);
        fs::create_dir(folder.path().join("inner")).unwrap();
        fs::write(folder.path().join("inner/file"), vec![1; 1 << 20]).unwrap();
        fs::hard_link(folder.path().join("inner/file"), folder.path().join("again")).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("root")).unwrap();
        let whole = used(own, &folders);
        assert!(((1 << 20) + 2 * LEAST..(1 << 20) + (64 << 10)).contains(&whole), "{whole}");
        let mut deleted = tempfile::tempfile_in(folder.path()).unwrap();
        deleted.write_all(&vec![1; 1 << 20]).unwrap();
        let more = used(own, &folders);
        assert!(more >= whole + (1 << 20), "{whole} {more}");
        drop(deleted);
        assert_eq!(used(own, &folders), whole);
    }
}
