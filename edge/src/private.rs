//! Files and folders that only this process's user may read.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::Mode;

/// Makes a folder, and those that it lies in, where they are missing. An existing one stays as it is: its owner may have
/// shared it on purpose.
///
/// # Errors
/// When it can't be made.
pub fn create_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(folder_mode()).create(path)
}

/// Takes the rights of other users to a file.
///
/// # Errors
/// When it is another user's.
pub fn restrict_file(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

/// From now on, files that this process makes are its user's only, whoever makes them.
pub fn restrict_new_files() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// root's interpreters may run as other users: these pass through folders whose content they can't list.
fn folder_mode() -> u32 {
    if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_private_and_what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("a/b");
        create_folder(&new).unwrap();
        assert_eq!(mode(&new), folder_mode());
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
        create_folder(&new).unwrap();
        assert_eq!(mode(&new), 0o755);
        let file = new.join("file");
        std::fs::write(&file, "x").unwrap();
        restrict_file(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
    }
}
