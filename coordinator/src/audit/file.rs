//! The files of the log: the one that is written, and those before it, bounded in size and number.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::chain::ChainEnd;
use super::event::AuditEvent;

/// The file that is written.
const CURRENT: &str = "audit.jsonl";
/// A file that is larger is put aside.
const MOST_BYTES: u64 = 16 << 20;
/// Files that are kept besides the one that is written; the oldest goes first.
const MOST_FILES: usize = 15;

#[derive(Debug)]
pub(super) struct AuditFile {
    folder: PathBuf,
    file: File,
    bytes: u64,
    end: ChainEnd,
    most_bytes: u64,
}

impl AuditFile {
    /// Goes on with the log of this folder.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let current = folder.join(CURRENT);
        let (end, whole) = match fs::read_to_string(&current) {
            Ok(text) => end_of(&text, folder)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => (end_of_older(folder)?, 0),
            Err(e) => return Err(e),
        };
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&current)?;
        // A line that the last process could not finish.
        file.set_len(whole)?;
        Ok(Self { folder: folder.to_owned(), file, bytes: whole, end, most_bytes: MOST_BYTES })
    }

    /// Writes these events, durably. After an error the chain goes on from what was written.
    pub fn append(&mut self, events: &[AuditEvent]) -> io::Result<()> {
        if self.bytes >= self.most_bytes {
            self.put_aside()?;
        }
        let (mut end, mut text) = (self.end.clone(), String::new());
        for event in events {
            text.push_str(&end.next(event)?);
        }
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // Part of it may be there.
            self.file.set_len(self.bytes)?;
            return written;
        }
        self.end = end;
        self.bytes += text.len() as u64;
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let current = self.folder.join(CURRENT);
        // Names are in the order of the lines.
        fs::rename(&current, self.folder.join(format!("audit-{:020}.jsonl", self.end.sequence)))?;
        self.file = OpenOptions::new().create(true).append(true).mode(0o600).open(&current)?;
        self.bytes = 0;
        let older = older(&self.folder)?;
        for oldest in older.iter().take(older.len().saturating_sub(MOST_FILES)) {
            fs::remove_file(oldest)?;
        }
        Ok(())
    }
}

/// Files that were put aside, oldest first.
fn older(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("audit-") && name.ends_with(".jsonl") {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

fn end_of_older(folder: &Path) -> io::Result<ChainEnd> {
    match older(folder)?.last() {
        None => Ok(ChainEnd::default()),
        Some(path) => {
            let text = fs::read_to_string(path)?;
            last_line(&text).ok_or_else(|| broken(path))
        }
    }
}

/// Where the chain of a file ends, and how many of its bytes are whole lines.
fn end_of(text: &str, folder: &Path) -> io::Result<(ChainEnd, u64)> {
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    if whole == 0 {
        return Ok((end_of_older(folder)?, 0));
    }
    let end = last_line(&text[..whole]).ok_or_else(|| broken(&folder.join(CURRENT)))?;
    Ok((end, whole as u64))
}

fn last_line(text: &str) -> Option<ChainEnd> {
    ChainEnd::of_line(text.lines().last()?)
}

fn broken(path: &Path) -> io::Error {
    let message = format!("{} does not end with a line of an audit log: move it away to begin another", path.display());
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use udfleet_edge::auth::{Principal, PrincipalKind};

    use super::*;

    fn event(subject: &str) -> AuditEvent {
        AuditEvent::new(&Principal::unlimited(PrincipalKind::FleetToken), None, "DropFunction", subject)
    }

    /// Checks all lines of all files, in order; how many there are.
    fn verified(folder: &Path) -> u64 {
        let mut end: Option<ChainEnd> = None;
        let mut paths = older(folder).unwrap();
        paths.push(folder.join(CURRENT));
        for path in paths {
            for line in fs::read_to_string(path).unwrap().lines() {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                let next = ChainEnd::of_line(line).unwrap();
                if let Some(end) = &end {
                    assert_eq!(
                        (next.sequence, value["previous"].as_str()),
                        (end.sequence + 1, Some(end.hash.as_str()))
                    );
                }
                end = Some(next);
            }
        }
        end.map_or(0, |end| end.sequence)
    }

    #[test]
    fn the_chain_goes_on_over_restarts_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let audit = folder.path().join("audit");
        for number in 0..3 {
            let mut file = AuditFile::open(&audit).unwrap();
            file.append(&[event("f"), event(&number.to_string())]).unwrap();
        }
        assert_eq!(verified(&audit), 6);
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&audit), mode(&audit.join(CURRENT))), (0o700, 0o600));
        // What was cut off is dropped, and the next line follows the last whole one.
        let mut text = fs::read_to_string(audit.join(CURRENT)).unwrap();
        text.push_str("{\"sequence\":7,\"prev");
        fs::write(audit.join(CURRENT), text).unwrap();
        AuditFile::open(&audit).unwrap().append(&[event("g")]).unwrap();
        assert_eq!(verified(&audit), 7);
    }

    #[test]
    fn files_are_bounded_in_size_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = AuditFile { most_bytes: 1, ..AuditFile::open(folder.path()).unwrap() };
        for _ in 0..MOST_FILES + 5 {
            file.append(&[event("f")]).unwrap();
        }
        assert_eq!(older(folder.path()).unwrap().len(), MOST_FILES);
        assert_eq!(verified(folder.path()), MOST_FILES as u64 + 5);
        fs::remove_file(folder.path().join(CURRENT)).unwrap();
        AuditFile::open(folder.path()).unwrap().append(&[event("f")]).unwrap();
        assert_eq!(verified(folder.path()), MOST_FILES as u64 + 5, "it goes on from the file before");
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(CURRENT), "nonsense\n").unwrap();
        assert_eq!(AuditFile::open(folder.path()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_changed_line_has_another_hash() {
        let line = ChainEnd::default().next(&event("f")).unwrap();
        assert!(ChainEnd::of_line(line.trim_end()).is_some());
        assert_eq!(ChainEnd::of_line(line.trim_end().replace("\"f\"", "\"g\"").as_str()), None);
    }
}
