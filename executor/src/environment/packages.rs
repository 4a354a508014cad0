//! What an environment holds, as its packages' own folders say.

use std::path::Path;

/// Packages of one list; an environment has a few hundred at most.
const MOST_PACKAGES: usize = 2000;

/// `numpy==2.1.0`, sorted. `python` is the environment's `bin/python`; what can't be read is left out.
pub(super) fn of(python: &Path) -> Vec<String> {
    let Some(venv) = python.parent().and_then(Path::parent) else { return Vec::new() };
    let pythons = std::fs::read_dir(venv.join("lib")).into_iter().flatten().flatten();
    let folders = pythons.map(|python| python.path().join("site-packages"));
    let entries = folders.flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut all: Vec<String> = names.filter_map(|name| requirement(&name)).take(MOST_PACKAGES).collect();
    all.sort_unstable();
    all
}

/// `numpy-2.1.0.dist-info`
fn requirement(folder: &str) -> Option<String> {
    let (name, version) = folder.strip_suffix(".dist-info")?.split_once('-')?;
    Some(format!("{name}=={version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_off_their_folders() {
        let venv = tempfile::tempdir().unwrap();
        let site = venv.path().join("lib/python3.11/site-packages");
        for folder in ["numpy-2.1.0.dist-info", "numpy", "attrs-25.1.0.dist-info", "x.dist-info"] {
            std::fs::create_dir_all(site.join(folder)).unwrap();
        }
        assert_eq!(of(&venv.path().join("bin/python")), ["attrs==25.1.0", "numpy==2.1.0"]);
        assert!(of(Path::new("python")).is_empty());
    }
}
