//! Unpacks zip, tar and tar.gz archives. Entries that would leave the folder are refused. What an archive may cost is bounded:
//! bytes, entries, and the lengths of names.

mod contained;
mod folder;
mod tarball;
mod zipped;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

pub(super) use contained::unpack_contained;
pub use contained::{TASK, unpack_here};
use folder::{Problem, TargetFolder};

/// Whether the file is a zip (a wheel is one too), by content: names don't decide.
pub(super) fn is_zip(file: &File) -> io::Result<bool> {
    let mut magic = [0; 4];
    let read = file.read_at(&mut magic, 0)?;
    Ok(read == magic.len() && matches!(&magic, b"PK\x03\x04" | b"PK\x05\x06"))
}

/// Unpacks the archive `name`, whose content is `file`, into the folder `inside` of `root`. Both are made if need be;
/// no link below `root`, which an earlier archive may have brought, is followed.
///
/// # Errors
/// `ENVIRONMENT_FAILED` for what is no archive or leaves its folder, `LIMIT_EXCEEDED` for one that is too large.
fn unpack(file: &File, root: &Path, inside: &Path, name: &str) -> Result<(), Error> {
    let unpack = || {
        let mut folder = TargetFolder::new(root, inside)?;
        if is_zip(file)? {
            zipped::unpack(file, &mut folder)?
        } else {
            tarball::unpack(file, &mut folder)?
        }
        folder.finish()
    };
    unpack().map_err(|problem| {
        let message = |why: &str| format!("can't unpack {name:?} of the environment: {why}");
        match problem {
            Problem::TooLarge(why) => Error::new(ErrorCode::LimitExceeded, message(&why))
                .hint("send less in one archive, or mount it on the executors' machines"),
            Problem::Broken(why) => Error::new(ErrorCode::EnvironmentFailed, message(&why))
                .hint("archives are zip, tar, tar.gz or tgz, with relative paths that stay inside"),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write};
    use std::os::unix::fs::PermissionsExt as _;

    use super::folder::MAX_ENTRIES;
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
        let result = unpack(&File::open(&archive).unwrap(), &inside, Path::new(""), "a.zip");
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

    fn link(tar: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &str, to: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        tar.append_link(&mut header, name, to).unwrap();
    }

    fn file(tar: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o6755);
        tar.append_data(&mut header, name, content).unwrap();
    }

    #[test]
    fn a_second_archive_writes_through_no_link_of_the_first() {
        for kind in [tar::EntryType::Symlink, tar::EntryType::Link] {
            let folder = tempfile::tempdir().unwrap();
            let (inside, outside) = (folder.path().join("inside"), folder.path().join("outside"));
            std::fs::create_dir(&outside).unwrap();
            std::fs::write(outside.join("file"), "kept").unwrap();
            let archive = folder.path().join("archive");
            let put = |tar: tar::Builder<Vec<u8>>, at: &str| {
                std::fs::write(&archive, tar.into_inner().unwrap()).unwrap();
                unpack(&File::open(&archive).unwrap(), &inside, Path::new(at), "a.tar")
            };
            let mut first = tar::Builder::new(Vec::new());
            link(&mut first, tar::EntryType::Symlink, "models/out", outside.to_str().unwrap());
            link(&mut first, kind, "models/file", "models/out/file");
            let put_first = put(first, "");
            if kind == tar::EntryType::Link {
                assert!(put_first.is_err(), "a hard link to what lies behind a link");
                continue;
            }
            put_first.unwrap();
            let mut second = tar::Builder::new(Vec::new());
            file(&mut second, "models/out/evil", b"evil");
            assert!(put(second, "").is_err(), "through a folder");
            let mut third = tar::Builder::new(Vec::new());
            file(&mut third, "evil", b"evil");
            assert!(put(third, "models/out").is_err(), "as the target itself");
            let mut fourth = tar::Builder::new(Vec::new());
            file(&mut fourth, "models/file", b"evil");
            put(fourth, "").unwrap();
            assert_eq!(std::fs::read(inside.join("models/file")).unwrap(), b"evil", "the link is replaced");
            assert_eq!(std::fs::read(outside.join("file")).unwrap(), b"kept");
            assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
        }
    }

    #[test]
    fn hard_links_stay_inside_and_no_file_is_set_uid() {
        let mut tar = tar::Builder::new(Vec::new());
        file(&mut tar, "a", b"content");
        link(&mut tar, tar::EntryType::Link, "b", "a");
        let (folder, result) = unpacked(&tar.into_inner().unwrap());
        result.unwrap();
        let inside = folder.path().join("inside");
        assert_eq!(std::fs::read(inside.join("b")).unwrap(), b"content");
        assert_eq!(inside.join("a").metadata().unwrap().permissions().mode() & 0o7777, 0o755);
        let mut tar = tar::Builder::new(Vec::new());
        link(&mut tar, tar::EntryType::Link, "b", "../archive");
        assert!(unpacked(&tar.into_inner().unwrap()).1.is_err());
        let (folder, result) = unpacked(&zip_entry("tool", 0o6755));
        result.unwrap();
        assert_eq!(folder.path().join("inside/tool").metadata().unwrap().permissions().mode() & 0o7777, 0o755);
    }

    #[test]
    fn names_of_any_length_up_to_a_bound() {
        let long = format!("{}/x", "folder".repeat(30));
        let mut tar = tar::Builder::new(Vec::new());
        file(&mut tar, &long, b"content");
        let mut pax = tar::Header::new_ustar();
        pax.set_entry_type(tar::EntryType::XHeader);
        let records = format!("130 path={}\n13 mtime=1.5\n", "p".repeat(120));
        pax.set_size(records.len() as u64);
        pax.set_cksum();
        tar.append(&pax, records.as_bytes()).unwrap();
        file(&mut tar, "short", b"content");
        let (folder, result) = unpacked(&tar.into_inner().unwrap());
        result.unwrap();
        assert!(folder.path().join("inside").join(&long).is_file());
        assert!(folder.path().join("inside").join("p".repeat(120)).is_file());
    }

    /// A tar of one header for a name of so many bytes, which are zeros: gzip makes nearly nothing of them.
    fn long_name(kind: tar::EntryType, bytes: u64) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(bytes);
        header.set_cksum();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(header.as_bytes()).unwrap();
        io::copy(&mut io::repeat(b'n').take(bytes), &mut encoder).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn headers_that_would_fill_memory_are_refused() {
        use tar::EntryType::{GNULongLink, GNULongName, XGlobalHeader, XHeader};
        for kind in [GNULongName, GNULongLink, XHeader, XGlobalHeader] {
            let error = unpacked(&long_name(kind, 64 << 20)).1.unwrap_err();
            assert_eq!(error.code(), ErrorCode::LimitExceeded, "{kind:?}");
        }
    }

    #[test]
    fn so_many_entries_and_so_many_bytes() {
        let mut tar = tar::Builder::new(Vec::new());
        for _ in 0..=MAX_ENTRIES {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            header.set_mode(0o755);
            tar.append_data(&mut header, "same", io::empty()).unwrap();
        }
        let error = unpacked(&gzip(&tar.into_inner().unwrap())).1.unwrap_err();
        assert_eq!(error.code(), ErrorCode::LimitExceeded);
        let mut header = tar::Header::new_gnu();
        header.set_size(1 << 50);
        header.set_path("large").unwrap();
        header.set_cksum();
        let error = unpacked(&gzip(header.as_bytes())).1.unwrap_err();
        assert_eq!(error.code(), ErrorCode::LimitExceeded);
        let many = b"PK\x03\x04".iter().copied().chain(b"PK\x01\x02".repeat(MAX_ENTRIES + 1)).collect::<Vec<_>>();
        assert_eq!(unpacked(&many).1.unwrap_err().code(), ErrorCode::LimitExceeded);
    }
}
