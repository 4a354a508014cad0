//! Where the programs under test are.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A program that lies where cargo puts it: beside the folder of this test.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let folder = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --release` first (`make test` does)", path.display());
    path
}

/// `uv`, with which executors build environments: from PATH, else from the repository's own `.venv`.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn uv() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository");
    let folders = std::env::split_paths(&path).chain([repository.join(".venv/bin")]);
    let found = folders.map(|folder| folder.join(OsStr::new("uv"))).find(|path| path.is_file());
    found.expect("uv is neither on PATH nor in .venv/bin: run `make setup` first")
}
