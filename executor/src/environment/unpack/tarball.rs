//! tar and tar.gz. Long names are read here and not by the tar crate, which takes them at any length.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tar::{Entry, EntryType};

use super::folder::{LinkKind, MAX_BYTES, MAX_NAME, Problem, TargetFolder};

/// Mode of an entry that has none.
const PLAIN_MODE: u32 = 0o644;
/// The largest block of further attributes of an entry, bytes.
const MAX_ATTRIBUTES: u64 = 64 << 10;

pub(super) fn unpack(mut file: &File, folder: &mut TargetFolder) -> Result<(), Problem> {
    let mut magic = [0; 2];
    let gzip = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    file.seek(SeekFrom::Start(0))?;
    let file = BufReader::new(file);
    if gzip { read(flate2::read::GzDecoder::new(file), folder) } else { read(file, folder) }
}

/// What was said about the next entry in front of it.
#[derive(Debug, Default)]
struct Said {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

fn read(content: impl Read, folder: &mut TargetFolder) -> Result<(), Problem> {
    // Headers count too.
    let mut archive = tar::Archive::new(content.take(2 * MAX_BYTES));
    let mut said = Said::default();
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry.map_err(|e| Problem::Broken(format!("not an archive: {e}")))?;
        folder.entry()?;
        match entry.header().entry_type() {
            EntryType::GNULongName => said.name = Some(without_end(bytes(&mut entry, MAX_NAME + 1)?)),
            EntryType::GNULongLink => said.link = Some(without_end(bytes(&mut entry, MAX_NAME + 1)?)),
            EntryType::XHeader => attributes(&bytes(&mut entry, MAX_ATTRIBUTES)?, &mut said)?,
            EntryType::XGlobalHeader => drop(bytes(&mut entry, MAX_ATTRIBUTES)?),
            kind => write(kind, &mut entry, std::mem::take(&mut said), folder)?,
        }
    }
    Ok(())
}

fn bytes(entry: &mut Entry<'_, impl Read>, limit: u64) -> Result<Vec<u8>, Problem> {
    if entry.size() > limit {
        let (size, kind) = (entry.size(), entry.header().entry_type());
        return Err(Problem::TooLarge(format!("a header ({kind:?}) has {size} bytes, more than {limit}")));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn without_end(mut name: Vec<u8>) -> Vec<u8> {
    if let Some(end) = name.iter().position(|byte| *byte == 0) {
        name.truncate(end);
    }
    name
}

/// Reads `LENGTH KEY=VALUE\n`, any number of times.
fn attributes(mut text: &[u8], said: &mut Said) -> Result<(), Problem> {
    let broken = || Problem::Broken("its attributes are malformed".to_owned());
    while !text.is_empty() {
        let digits = text.iter().position(|byte| *byte == b' ').ok_or_else(broken)?;
        let length = std::str::from_utf8(&text[..digits]).ok().and_then(|digits| digits.parse::<usize>().ok());
        let length = length.filter(|length| (digits + 1..=text.len()).contains(length)).ok_or_else(broken)?;
        let (record, rest) = text.split_at(length);
        let record = record[digits + 1..].strip_suffix(b"\n").ok_or_else(broken)?;
        let key = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
        let value = record[key + 1..].to_vec();
        match &record[..key] {
            b"path" => said.name = Some(value),
            b"linkpath" => said.link = Some(value),
            b"size" => return Err(Problem::TooLarge("a file is larger than the header of a tar can say".to_owned())),
            key if key.starts_with(b"GNU.sparse") => return Err(Problem::Broken("it has sparse files".to_owned())),
            _ => {}
        }
        text = rest;
    }
    Ok(())
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

fn write(
    kind: EntryType,
    entry: &mut Entry<'_, impl Read>,
    said: Said,
    folder: &mut TargetFolder,
) -> Result<(), Problem> {
    let name = path(&said.name.unwrap_or_else(|| entry.path_bytes().into_owned()));
    // Links may have none.
    let mode = entry.header().mode().unwrap_or(PLAIN_MODE);
    let link = said.link.or_else(|| entry.link_name_bytes().map(std::borrow::Cow::into_owned));
    let link = || link.filter(|to| !to.is_empty()).ok_or_else(|| Problem::Broken(format!("{name:?} links to nothing")));
    match kind {
        EntryType::Directory => folder.folder(&name, mode),
        EntryType::Symlink => folder.link(LinkKind::Symbolic, &name, &path(&link()?)),
        EntryType::Link => folder.link(LinkKind::Hard, &name, &path(&link()?)),
        // Old archives mark folders by their names only.
        EntryType::Regular | EntryType::Continuous if name.as_os_str().as_bytes().ends_with(b"/") => {
            folder.folder(&name, mode)
        }
        EntryType::Regular | EntryType::Continuous => {
            folder.expect(entry.size())?;
            let modified = entry.header().mtime().ok();
            let modified = modified.and_then(|at| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(at)));
            folder.file(&name, mode, modified, entry)
        }
        other => Err(Problem::Broken(format!("{name:?} is neither file, folder nor link: {other:?}"))),
    }
}
