//! Embeds the dashboard where it has been built (`make dashboard`). Nothing is run here: who has no Node builds a
//! coordinator all the same.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let missing = |name: &str| io::Error::other(format!("cargo did not set {name}"));
    let manifest = env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| missing("CARGO_MANIFEST_DIR"))?;
    let out = env::var_os("OUT_DIR").ok_or_else(|| missing("OUT_DIR"))?;
    let built = Path::new(&manifest).join("dashboard/dist");
    // A folder that is missing would count as changed at every build: `make dashboard` touches this file instead.
    println!("cargo::rerun-if-changed=dashboard/package.json");
    if built.is_dir() {
        println!("cargo::rerun-if-changed=dashboard/dist");
    }
    let mut text = "&[\n".to_owned();
    for file in files(&built)? {
        let name = file.strip_prefix(&built).map_err(io::Error::other)?;
        writeln!(text, "    (\"/{}\", include_bytes!({:?})),", name.display(), file).map_err(io::Error::other)?;
    }
    text.push_str("]\n");
    fs::write(Path::new(&out).join("dashboard_files.rs"), text)
}

/// All files below a folder, in order; none where there is no folder.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() { all.extend(files(&path)?) } else { all.push(path) }
        }
    }
    all.sort();
    Ok(all)
}
