//! Finds the Pythons of this node.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Executables worth running, in order of preference, each once: extras, PATH, then where pyenv and uv install.
pub(super) fn candidates(extra: &[PathBuf]) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = extra.to_vec();
    let search = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> =
        std::env::split_paths(&search).chain(["/usr/local/bin".into(), "/usr/bin".into()]).collect();
    for name in ["python3", "python"] {
        paths.extend(folders.iter().map(|folder| folder.join(name)));
    }
    paths.extend(folders.iter().flat_map(|folder| listed(folder, is_versioned)));
    for root in installed_roots() {
        paths.extend(listed(&root, |_| true).into_iter().map(|version| version.join("bin/python3")));
    }
    let mut unique = Vec::new();
    for path in paths.into_iter().filter(|path| path.is_file()) {
        // A pyenv shim picks a Python by folder and settings, which are not those of an environment; its targets are listed.
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if !is_shim(&real) && !unique.contains(&real) {
            unique.push(real);
        }
    }
    unique
}

/// Folders with one Python installation per entry.
fn installed_roots() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let under_home = |rest: &str| home.as_ref().map(|home| home.join(rest));
    let variable = |name: &str, rest: &str| std::env::var_os(name).map(|value| PathBuf::from(value).join(rest));
    let roots = [
        variable("PYENV_ROOT", "versions"),
        under_home(".pyenv/versions"),
        variable("UV_PYTHON_INSTALL_DIR", ""),
        variable("XDG_DATA_HOME", "uv/python"),
        under_home(".local/share/uv/python"),
    ];
    roots.into_iter().flatten().collect()
}

fn listed(folder: &Path, wanted: impl Fn(&OsStr) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        entries.flatten().filter(|entry| wanted(&entry.file_name())).map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// `python3.11`, not `python3.11-config`.
fn is_versioned(name: &OsStr) -> bool {
    let minor = name.to_str().and_then(|name| name.strip_prefix("python3."));
    minor.is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()))
}

fn is_shim(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.ends_with("shims"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_interpreters_are_candidates() {
        assert!(is_versioned(OsStr::new("python3.12")));
        for name in ["python3.11-config", "python3.", "python3", "pythonw"] {
            assert!(!is_versioned(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn each_executable_is_listed_once_and_extras_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let extra = folder.path().canonicalize().unwrap().join("my-python");
        std::fs::write(&extra, "").unwrap();
        let found = candidates(&[extra.clone(), extra.clone(), folder.path().join("absent")]);
        assert_eq!(found[0], extra);
        assert_eq!(found.iter().filter(|path| **path == extra).count(), 1);
        assert!(found.iter().all(|path| path.is_file() && !is_shim(path)));
    }
}
