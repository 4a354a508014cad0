//! Paths of an environment's files and archives.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use udfleet_proto::error::Error;
use udfleet_proto::v1::{Artifact, ErrorCode};

use super::{paths, unpack};
use crate::sandbox::Sandbox;

/// How the name of a folder among the files ends: clients send folders as tars.
const FOLDER: &str = ".tar";

/// Mode of a file that interpreters read.
const SHARED: u32 = 0o644;

/// An artifact and where its content lies on this node.
pub(super) type Local = (Artifact, PathBuf);

/// Puts each file into its own folder below `root` and returns the folders for `sys.path`, in order: zips and folders
/// are unpacked, anything else is copied under its name, so that the folder is what Python searches.
pub(super) fn place_files(sandbox: &Sandbox, root: &Path, files: &[Local]) -> Result<Vec<PathBuf>, Error> {
    let mut folders = Vec::new();
    for (index, (artifact, content)) in files.iter().enumerate() {
        let folder = root.join(index.to_string());
        std::fs::create_dir_all(&folder).map_err(|e| failed(&artifact.name, &e))?;
        let is_zip = File::open(content).and_then(|file| unpack::is_zip(&file));
        if artifact.name.ends_with(FOLDER) || is_zip.map_err(|e| failed(&artifact.name, &e))? {
            unpack::unpack_contained(sandbox, content, &folder, Path::new(""), &artifact.name)?;
        } else {
            let target = folder.join(paths::file_name(&artifact.name)?);
            let copied = std::fs::copy(content, &target);
            // The store's own are for the executor only.
            let copied = copied.and_then(|_| std::fs::set_permissions(target, Permissions::from_mode(SHARED)));
            copied.map_err(|e| failed(&artifact.name, &e))?;
        }
        folders.push(folder);
    }
    Ok(folders)
}

/// Unpacks each archive into its target below the working folder.
pub(super) fn place_archives(sandbox: &Sandbox, working: &Path, archives: &[Local]) -> Result<(), Error> {
    std::fs::create_dir_all(working).map_err(|e| failed("working folder", &e))?;
    for (artifact, content) in archives {
        unpack::unpack_contained(sandbox, content, working, &paths::relative(&artifact.name)?, &artifact.name)?;
    }
    Ok(())
}

fn failed(name: &str, error: &std::io::Error) -> Error {
    Error::new(ErrorCode::EnvironmentFailed, format!("can't lay out {name:?} of the environment: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn zip_of(path: &Path, name: &str, text: &str) {
        let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
        zip.finish().unwrap();
    }

    fn artifact(name: &str) -> Artifact {
        Artifact { name: name.to_owned(), ..Artifact::default() }
    }

    #[test]
    fn modules_lie_in_their_own_folder_and_zips_are_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let (module, package) = (folder.path().join("m"), folder.path().join("p"));
        std::fs::write(&module, "x = 1").unwrap();
        zip_of(&package, "pkg/__init__.py", "y = 2");
        let root = folder.path().join("files");
        let files = [(artifact("mod.py"), module), (artifact("lib.zip"), package)];
        let folders = place_files(&Sandbox::off(), &root, &files).unwrap();
        assert!(folders[0].join("mod.py").is_file());
        assert!(folders[1].join("pkg/__init__.py").is_file());
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        tar.append_data(&mut header, "pkg/__init__.py", &b"z = 3"[..]).unwrap();
        let bundle = folder.path().join("b");
        std::fs::write(&bundle, tar.into_inner().unwrap()).unwrap();
        let unpacked =
            place_files(&Sandbox::off(), &folder.path().join("tars"), &[(artifact("folder.tar"), bundle)]).unwrap();
        assert!(unpacked[0].join("pkg/__init__.py").is_file());
        let escape = [(artifact("../mod.py"), files[0].1.clone())];
        assert!(place_files(&Sandbox::off(), &root, &escape).is_err());
    }

    #[test]
    fn archives_go_to_their_targets_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data.zip");
        zip_of(&data, "model.bin", "weights");
        let working = folder.path().join("working");
        place_archives(&Sandbox::off(), &working, &[(artifact("models"), data.clone())]).unwrap();
        assert!(working.join("models/model.bin").is_file());
        let error = place_archives(&Sandbox::off(), &working, &[(artifact("../models"), data)]).unwrap_err();
        assert!(error.to_string().contains(".."), "{error}");
    }
}
