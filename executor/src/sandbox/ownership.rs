//! Who owns what contained processes read and write, where they run as users of their own.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown};
use std::path::Path;

/// Makes a file or folder this user's, and nobody else's.
///
/// # Errors
/// What the file system says.
pub fn give(path: &Path, user: u32) -> io::Result<()> {
    let mode = if path.is_dir() { 0o700 } else { 0o600 };
    chown(path, Some(user), Some(user))?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Lets this user read what stays the executor's: files, and folders without what lies in them.
///
/// # Errors
/// What the file system says.
pub fn show(path: &Path, user: u32) -> io::Result<()> {
    let mode = if path.is_dir() { 0o750 } else { 0o640 };
    chown(path, None, Some(user))?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Takes what `builder` has made in a folder of the executor's over from it: read by all, written by the executor alone.
/// What other users own in there is left as it is: a link to it may have been planted. A folder changes hands before its
/// content, so that nothing of the builder's which still runs can put links in the way.
///
/// # Errors
/// What the file system says.
pub fn take_over(path: &Path, builder: u32) -> io::Result<()> {
    // However deep a build has nested its folders, one at a time is open.
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        if take_over_one(&path, builder)? {
            for entry in std::fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        }
    }
    Ok(())
}

/// True for a folder whose content has to change hands as well.
fn take_over_one(path: &Path, builder: u32) -> io::Result<bool> {
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let executor = rustix::process::geteuid().as_raw();
    if found.uid() == builder {
        lchown(path, Some(executor), Some(rustix::process::getegid().as_raw()))?;
        if !found.is_symlink() {
            std::fs::set_permissions(path, Permissions::from_mode(readable(found.mode())))?;
        }
    }
    Ok(found.is_dir() && (found.uid() == builder || found.uid() == executor))
}

/// What the owner may do others may too, but write; without set-uid bits.
fn readable(mode: u32) -> u32 {
    let own = mode & 0o500;
    (mode & 0o700) | (own >> 3) | (own >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILDER: u32 = 1_900_000_000;

    #[test]
    fn others_may_do_what_the_owner_may_but_write() {
        for (before, after) in [(0o600, 0o644), (0o6755, 0o755), (0o700, 0o755), (0o222, 0o200), (0o444, 0o444)] {
            assert_eq!(readable(before), after, "{before:o}");
        }
    }

    #[test]
    fn what_a_build_has_made_is_the_executors_afterwards_and_what_it_links_to_stays() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("left out: only root gives files away");
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let (secret, made) = (root.path().join("secret"), root.path().join("made"));
        std::fs::write(&secret, "x").unwrap();
        std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        std::fs::create_dir_all(made.join("inner")).unwrap();
        std::fs::write(made.join("inner/file"), "x").unwrap();
        std::os::unix::fs::symlink(&secret, made.join("link")).unwrap();
        std::fs::hard_link(&secret, made.join("hard")).unwrap();
        for path in ["", "inner", "inner/file"] {
            give(&made.join(path), BUILDER).unwrap();
        }
        lchown(made.join("link"), Some(BUILDER), Some(BUILDER)).unwrap();
        take_over(&made, BUILDER).unwrap();
        let owner = |path: &Path| {
            let found = std::fs::symlink_metadata(path).unwrap();
            (found.uid(), found.mode() & 0o7777)
        };
        assert_eq!(owner(&made), (0, 0o755));
        assert_eq!(owner(&made.join("inner/file")), (0, 0o644));
        assert_eq!(owner(&made.join("link")).0, 0);
        assert_eq!(owner(&secret), (0, 0o600));
        take_over(&root.path().join("missing"), BUILDER).unwrap();
    }
}
