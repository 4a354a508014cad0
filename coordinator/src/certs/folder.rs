//! Files of certificates and keys.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use udfleet_edge::config::invalid;
use udfleet_proto::error::Error;

/// A folder that only its owner reads.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|e| invalid(format!("--dir {}: {e}", path.display())))?;
        Ok(Self(path.to_owned()))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The text of a file; `None` where there is none.
    pub fn read(&self, name: &str) -> Result<Option<String>, Error> {
        match std::fs::read_to_string(self.path(name)) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(invalid(format!("{}: {e}", self.path(name).display()))),
        }
    }

    /// Writes NAME.crt for everybody and NAME.key for its owner alone. Each is replaced as a whole: who reads it while it
    /// is written reads the former one.
    pub fn write_pair(&self, name: &str, certificate: &str, key: &str) -> Result<(), Error> {
        self.write(&format!("{name}.key"), key, 0o600)?;
        self.write(&format!("{name}.crt"), certificate, 0o644)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), Error> {
        let (path, temporary) = (self.path(name), self.path(&format!(".{name}.new")));
        let written = || -> io::Result<()> {
            // A file of an earlier try may have another mode.
            if let Err(e) = std::fs::remove_file(&temporary)
                && e.kind() != io::ErrorKind::NotFound
            {
                return Err(e);
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            File::open(&self.0)?.sync_all()
        };
        written().map_err(|e| invalid(format!("{}: {e}", path.display())))
    }
}
