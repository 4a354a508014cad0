//! The folder that an archive is unpacked into: what is written stays in it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

/// The most that one archive may unpack to, bytes.
pub(super) const MAX_BYTES: u64 = 8 << 30;
/// The most files, folders and links of one archive.
pub(super) const MAX_ENTRIES: usize = 250_000;
/// The longest name of an entry, or target of a link, bytes: what the kernel takes.
pub(super) const MAX_NAME: u64 = 4096;

/// Why an archive can't be unpacked.
#[derive(Debug)]
pub(super) enum Problem {
    /// It is beyond a bound.
    TooLarge(String),
    /// It is no archive, or writing has failed.
    Broken(String),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkKind {
    Symbolic,
    /// To another entry of the archive.
    Hard,
}

/// See the module.
#[derive(Debug)]
pub(super) struct TargetFolder {
    root: PathBuf,
    /// Where entries go, below the root.
    inside: PathBuf,
    /// The last folder that was found to be one.
    known: PathBuf,
    entries: usize,
    room: u64,
    /// Made last: nothing is ever written through one.
    links: Vec<(LinkKind, PathBuf, PathBuf)>,
    /// Modes of folders, set last: one may forbid to write into it.
    modes: Vec<(PathBuf, u32)>,
}

/// A path of plain components.
fn plain(name: &Path) -> Result<PathBuf, Problem> {
    let mut path = PathBuf::new();
    for component in name.components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return Err(Problem::Broken(format!("{name:?} leaves the archive"))),
        }
    }
    Ok(path)
}

impl TargetFolder {
    pub fn new(root: &Path, inside: &Path) -> Result<Self, Problem> {
        std::fs::create_dir_all(root)?;
        let inside = plain(inside)?;
        let mut folder = Self {
            root: root.to_owned(),
            inside,
            known: PathBuf::new(),
            entries: 0,
            room: MAX_BYTES,
            links: Vec::new(),
            modes: Vec::new(),
        };
        folder.make(&folder.inside.clone())?;
        Ok(folder)
    }

    /// Counts an entry.
    pub fn entry(&mut self) -> Result<(), Problem> {
        self.entries += 1;
        if self.entries <= MAX_ENTRIES { Ok(()) } else { Err(too_many()) }
    }

    fn path(&self, name: &Path) -> Result<PathBuf, Problem> {
        let path = plain(name)?;
        if path.as_os_str().len() as u64 > MAX_NAME {
            return Err(Problem::TooLarge(format!("a name has more than {MAX_NAME} bytes")));
        }
        Ok(self.inside.join(path))
    }

    /// Makes a folder below the root, and those that it lies in. None of them may be a link.
    fn make(&mut self, folder: &Path) -> Result<(), Problem> {
        if folder == self.known {
            return Ok(());
        }
        let mut path = self.root.clone();
        for part in folder.components() {
            path.push(part);
            match std::fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => {}
                Ok(_) => return Err(Problem::Broken(format!("{folder:?} lies behind what is no folder: {path:?}"))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::create_dir(&path)?,
                Err(error) => return Err(error.into()),
            }
        }
        folder.clone_into(&mut self.known);
        Ok(())
    }

    /// The place of an entry that is no folder, whose parents are made; what was there is removed.
    fn place(&mut self, path: &Path) -> Result<PathBuf, Problem> {
        self.make(path.parent().unwrap_or(Path::new("")))?;
        let place = self.root.join(path);
        match std::fs::remove_file(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(place),
        }
    }

    /// True for a file in folders, none of which is a link.
    fn is_file(&self, path: &Path) -> bool {
        let found = |path: &Path| std::fs::symlink_metadata(self.root.join(path));
        let folders = path.ancestors().skip(1).all(|folder| found(folder).is_ok_and(|found| found.is_dir()));
        folders && found(path).is_ok_and(|found| found.is_file())
    }

    pub fn folder(&mut self, name: &Path, mode: u32) -> Result<(), Problem> {
        let path = self.path(name)?;
        self.make(&path)?;
        self.modes.push((path, (mode & 0o777) | 0o700));
        Ok(())
    }

    /// Writes a file. Its mode loses set-uid, set-gid and sticky bits.
    pub fn file(
        &mut self,
        name: &Path,
        mode: u32,
        modified: Option<SystemTime>,
        content: &mut impl Read,
    ) -> Result<(), Problem> {
        let path = self.path(name)?;
        let place = self.place(&path)?;
        let mode = (mode & 0o777) | 0o600;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(place)?;
        let written = io::copy(&mut content.take(self.room + 1), &mut file)?;
        self.room = self.room.checked_sub(written).ok_or_else(too_large)?;
        finish(&file, mode, modified)?;
        Ok(())
    }

    /// Refuses a file of so many bytes, as far as its header says, before anything is written.
    pub fn expect(&self, bytes: u64) -> Result<(), Problem> {
        if bytes <= self.room { Ok(()) } else { Err(too_large()) }
    }

    pub fn link(&mut self, kind: LinkKind, name: &Path, to: &Path) -> Result<(), Problem> {
        let path = self.path(name)?;
        let to = match kind {
            LinkKind::Hard => self.path(to)?,
            LinkKind::Symbolic => to.to_owned(),
        };
        self.links.push((kind, path, to));
        Ok(())
    }

    /// Makes links, hard ones first.
    pub fn finish(mut self) -> Result<(), Problem> {
        let (symbolic, hard): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.links).into_iter().partition(|(kind, ..)| *kind == LinkKind::Symbolic);
        for (_, path, to) in hard {
            if !self.is_file(&to) {
                return Err(Problem::Broken(format!("{path:?} is a hard link to what is no file: {to:?}")));
            }
            if path != to {
                let place = self.place(&path)?;
                std::fs::hard_link(self.root.join(to), place)?;
            }
        }
        for (_, path, to) in symbolic {
            // Others may be made now, so what was a folder may be none any more.
            self.known = PathBuf::new();
            let place = self.place(&path)?;
            std::os::unix::fs::symlink(to, place)?;
        }
        for (path, mode) in self.modes.iter().rev() {
            let place = self.root.join(path);
            if std::fs::symlink_metadata(&place)?.is_dir() {
                std::fs::set_permissions(place, Permissions::from_mode(*mode))?;
            }
        }
        Ok(())
    }
}

fn finish(file: &File, mode: u32, modified: Option<SystemTime>) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))?;
    modified.map_or(Ok(()), |modified| file.set_modified(modified))
}

pub(super) fn too_many() -> Problem {
    Problem::TooLarge(format!("it has more than {MAX_ENTRIES} entries"))
}

fn too_large() -> Problem {
    Problem::TooLarge(format!("it unpacks to more than {} GiB", MAX_BYTES >> 30))
}
