//! Unpacks zip, tar and tar.gz archives. Entries that would leave the folder are refused; modes are kept.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// The most that one archive may unpack to, bytes.
const MAX_UNPACKED_BYTES: u64 = 32 << 30;

/// Room for archives without the mode of a file.
const PLAIN_MODE: u32 = 0o644;

/// Whether the file is a zip (a wheel is one too), by content: names don't decide.
pub(super) fn is_zip(path: &Path) -> io::Result<bool> {
    let mut magic = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut magic)?;
    Ok(matches!(magic.as_slice(), b"PK\x03\x04" | b"PK\x05\x06"))
}

/// Unpacks the archive `name`, whose content lies at `path`, into `folder`.
pub(super) fn unpack(path: &Path, folder: &Path, name: &str) -> Result<(), Error> {
    let result =
        if is_zip(path).map_err(|e| failed(name, &e.to_string()))? { unzip(path, folder) } else { untar(path, folder) };
    result.map_err(|problem| failed(name, &problem))
}

fn failed(name: &str, problem: &str) -> Error {
    Error::new(ErrorCode::EnvironmentFailed, format!("can't unpack {name:?} of the environment: {problem}"))
        .hint("archives are zip, tar, tar.gz or tgz, with relative paths that stay inside")
}

fn unzip(path: &Path, folder: &Path) -> Result<(), String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|e| e.to_string())?;
    // Links come last: nothing is ever written through one.
    let (mut links, mut room) = (Vec::new(), MAX_UNPACKED_BYTES);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|e| e.to_string())?;
        let inside = entry.enclosed_name().ok_or_else(|| format!("{:?} leaves the archive", entry.name()))?;
        let target = folder.join(inside);
        if entry.is_dir() {
            std::fs::create_dir_all(&target).map_err(|e| e.to_string())?;
        } else if entry.is_symlink() {
            let mut text = String::new();
            entry.by_ref().take(4096).read_to_string(&mut text).map_err(|e| e.to_string())?;
            links.push((PathBuf::from(text), target));
        } else {
            let mode = entry.unix_mode().unwrap_or(PLAIN_MODE);
            room = write_file(&mut entry, &target, mode, room).map_err(|e| e.to_string())?;
        }
    }
    for (to, link) in links {
        parent(&link).and_then(|()| std::os::unix::fs::symlink(to, &link)).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)
}

/// Returns the room that is left.
fn write_file(content: &mut impl Read, target: &Path, mode: u32, room: u64) -> io::Result<u64> {
    parent(target)?;
    let mode = (mode & 0o777) | 0o600;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(target)?;
    let written = io::copy(&mut content.take(room + 1), &mut file)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    room.checked_sub(written)
        .ok_or_else(|| io::Error::other(format!("it unpacks to more than {} GiB", MAX_UNPACKED_BYTES >> 30)))
}

fn untar(path: &Path, folder: &Path) -> Result<(), String> {
    let mut file = File::open(path).map_err(|e| e.to_string())?;
    let mut magic = [0; 2];
    let gzip = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    file.seek(SeekFrom::Start(0)).map_err(|e| e.to_string())?;
    let file = BufReader::new(file);
    if gzip { untar_from(flate2::read::GzDecoder::new(file), folder) } else { untar_from(file, folder) }
}

fn untar_from(content: impl Read, folder: &Path) -> Result<(), String> {
    let mut archive = tar::Archive::new(content.take(MAX_UNPACKED_BYTES));
    archive.set_preserve_permissions(true);
    archive.set_overwrite(true);
    for entry in archive.entries().map_err(|e| e.to_string())? {
        let mut entry = entry.map_err(|e| format!("not an archive: {e}"))?;
        let name = entry.path().map_err(|e| e.to_string())?.into_owned();
        if name.is_absolute() || !entry.unpack_in(folder).map_err(|e| full(&e))? {
            return Err(format!("{name:?} leaves the archive"));
        }
    }
    Ok(())
}

/// With the cause, which the tar crate leaves out of its message.
fn full(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(std::error::Error::source);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn zip_entry(name: &str, mode: u32) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        zip.start_file(name, zip::write::SimpleFileOptions::default().unix_permissions(mode)).unwrap();
        zip.write_all(b"content").unwrap();
        zip.finish().unwrap().into_inner()
    }

    fn tar_entry(name: &str, mode: u32) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        // Written directly: the crate itself refuses bad names.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(7);
        header.set_mode(mode);
        header.set_cksum();
        let mut tar = tar::Builder::new(Vec::new());
        tar.append(&header, &b"content"[..]).unwrap();
        tar.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(bytes: &[u8]) -> (tempfile::TempDir, Result<(), Error>) {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("archive");
        std::fs::write(&archive, bytes).unwrap();
        let inside = folder.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        let result = unpack(&archive, &inside, "a.zip");
        (folder, result)
    }

    #[test]
    fn every_format_unpacks_and_keeps_modes() {
        for bytes in [zip_entry("bin/tool", 0o755), tar_entry("bin/tool", 0o755), gzip(&tar_entry("./bin/tool", 0o755))]
        {
            let (folder, result) = unpacked(&bytes);
            result.unwrap();
            let tool = folder.path().join("inside/bin/tool");
            assert_eq!(std::fs::read(&tool).unwrap(), b"content");
            assert_eq!(tool.metadata().unwrap().permissions().mode() & 0o111, 0o111);
        }
    }

    #[test]
    fn tars_bring_empty_folders_links_and_names_of_any_bytes() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o750);
        header.set_size(0);
        tar.append_data(&mut header, "empty", io::empty()).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "link", "real").unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o640);
        header.set_size(7);
        tar.append_data(&mut header, Path::new(OsStr::from_bytes(b"real/\xff.bin")), &b"content"[..]).unwrap();
        let (folder, result) = unpacked(&tar.into_inner().unwrap());
        result.unwrap();
        let inside = folder.path().join("inside");
        assert_eq!(inside.join("empty").metadata().unwrap().permissions().mode() & 0o777, 0o750);
        let file = inside.join("link").join(OsStr::from_bytes(b"\xff.bin"));
        assert_eq!(std::fs::read(&file).unwrap(), b"content");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn nothing_leaves_the_folder() {
        for bytes in [zip_entry("../evil", 0o644), tar_entry("../evil", 0o644), tar_entry("/tmp/udfleet-evil", 0o644)] {
            let (folder, result) = unpacked(&bytes);
            assert!(result.unwrap_err().to_string().contains("leaves the archive"));
            assert!(!folder.path().join("evil").exists());
        }
    }

    #[test]
    fn nothing_is_written_through_links() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        tar.append_link(&mut link, "out", "..").unwrap();
        let mut file = tar::Header::new_gnu();
        file.set_size(4);
        file.set_mode(0o644);
        tar.append_data(&mut file, "out/evil", &b"evil"[..]).unwrap();
        let (folder, result) = unpacked(&tar.into_inner().unwrap());
        assert!(result.is_err());
        assert!(!folder.path().join("evil").exists());
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        for bytes in [&b"hello"[..], &[0x1f, 0x8b, 1, 2], &b"PK\x03\x04 and no more"[..]] {
            let error = unpacked(bytes).1.unwrap_err();
            assert_eq!(error.code(), ErrorCode::EnvironmentFailed);
        }
        let random: Vec<u8> = (0..2000u32).map(|i| (i * 7 % 251) as u8).collect();
        assert!(unpacked(&random).1.is_err());
    }
}
