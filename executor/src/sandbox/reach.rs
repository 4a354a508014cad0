//! Whether other users than root get to a file.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const SEARCH: u32 = 0o001;
const READ: u32 = 0o004;

/// The first path on the way to `path`, and to what it links to, that keeps users out who own nothing; `None`: they can
/// read it. What does not exist keeps nobody out.
#[must_use]
pub fn closed_at(path: &Path) -> Option<PathBuf> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let lacks = |path: &Path, bits: u32| path.metadata().is_ok_and(|found| found.permissions().mode() & bits != bits);
    let outermost =
        |path: &Path| path.ancestors().skip(1).filter(|folder| lacks(folder, SEARCH)).last().map(Path::to_owned);
    outermost(path).or_else(|| outermost(&real)).or_else(|| {
        // The folders of an executor need not be listed.
        let needed = if real.is_dir() { SEARCH } else { READ };
        lacks(&real, needed).then_some(real)
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn the_outermost_closed_folder_is_named() {
        let root = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let (a, b) = (root.path().join("a"), root.path().join("a/b"));
        let file = b.join("file");
        fs::create_dir_all(&b).unwrap();
        fs::write(&file, "x").unwrap();
        mode(root.path(), 0o711);
        mode(&file, 0o644);
        assert_eq!(closed_at(&file), None);
        mode(&file, 0o640);
        assert_eq!(closed_at(&file), Some(file.clone()));
        mode(&b, 0o750);
        assert_eq!(closed_at(&file), Some(b.clone()));
        assert_eq!(closed_at(&b), Some(b));
        mode(&a, 0o700);
        assert_eq!(closed_at(&file), Some(a.clone()));
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(closed_at(&link), Some(a), "what it links to counts");
        assert_eq!(closed_at(&root.path().join("missing")), None);
    }
}
