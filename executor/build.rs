//! Embeds the SDK's Python package: interpreters import `udfleet` from what the executor writes beside its work.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manifest = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let package = manifest.join("../python-sdk/src/udfleet");
    let mut files = Vec::new();
    collect(&package, &package, &mut files)?;
    files.sort();
    let mut code = "&[\n".to_owned();
    for (name, path) in files {
        // Not the folder: CPython writes bytecode into it. A new file counts once another file imports it.
        println!("cargo:rerun-if-changed={path}");
        writeln!(code, "    ({name:?}, include_str!({path:?})),")?;
    }
    code.push_str("]\n");
    std::fs::write(PathBuf::from(std::env::var("OUT_DIR")?).join("sdk_files.rs"), code)?;
    Ok(())
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) -> Result<(), Box<dyn std::error::Error>> {
    let listing = std::fs::read_dir(folder).map_err(|e| format!("can't read {}: {e}", folder.display()))?;
    for entry in listing {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|e| e == "py") {
            let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
            files.push((name, std::fs::canonicalize(&path)?.to_string_lossy().into_owned()));
        }
    }
    Ok(())
}
