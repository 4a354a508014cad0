//! zip, wheels among them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use super::folder::{LinkKind, MAX_ENTRIES, MAX_NAME, Problem, TargetFolder, too_many};

/// Mode of a file that has none in its archive.
const PLAIN_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;
/// With what an entry of a zip's directory begins.
const ENTRY: &[u8] = b"PK\x01\x02";

pub(super) fn unpack(file: &File, folder: &mut TargetFolder) -> Result<(), Problem> {
    // The zip crate reads the whole directory at once.
    if entries(file)? > MAX_ENTRIES {
        return Err(too_many());
    }
    let broken = |e: zip::result::ZipError| Problem::Broken(e.to_string());
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(broken)?;
    for index in 0..archive.len() {
        folder.entry()?;
        let mut entry = archive.by_index(index).map_err(broken)?;
        let leaves = || Problem::Broken(format!("{:?} leaves the archive", entry.name()));
        let name = entry.enclosed_name().ok_or_else(leaves)?;
        if entry.is_dir() {
            folder.folder(&name, entry.unix_mode().unwrap_or(FOLDER_MODE))?;
        } else if entry.is_symlink() {
            let mut to = String::new();
            entry.by_ref().take(MAX_NAME).read_to_string(&mut to)?;
            folder.link(LinkKind::Symbolic, &name, &PathBuf::from(to))?;
        } else {
            folder.expect(entry.size())?;
            folder.file(&name, entry.unix_mode().unwrap_or(PLAIN_MODE), None, &mut entry)?;
        }
    }
    Ok(())
}

/// At least as many as there are entries, counted without keeping any.
fn entries(mut file: &File) -> Result<usize, Problem> {
    file.seek(SeekFrom::Start(0))?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let (mut count, mut end) = (0, Vec::new());
    loop {
        let block = file.fill_buf()?;
        if block.is_empty() {
            return Ok(count);
        }
        // One may lie across two blocks.
        let head = &block[..block.len().min(ENTRY.len() - 1)];
        let across = [end.as_slice(), head].concat();
        count += across.windows(ENTRY.len()).filter(|window| *window == ENTRY).count();
        count += memchr::memmem::find_iter(block, ENTRY).count();
        let length = block.len();
        let kept = [end.as_slice(), &block[length.saturating_sub(ENTRY.len() - 1)..]].concat();
        end = kept[kept.len().saturating_sub(ENTRY.len() - 1)..].to_vec();
        file.consume(length);
    }
}
