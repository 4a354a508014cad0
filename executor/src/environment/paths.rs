//! Paths made of names from outside: none may leave its folder.

use std::path::{Component, Path, PathBuf};

use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// A relative path of plain components.
///
/// # Errors
/// `ENVIRONMENT_FAILED` for an absolute path, `..`, or nothing at all.
pub fn relative(text: &str) -> Result<PathBuf, Error> {
    let mut clean = PathBuf::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(escapes(text)),
        }
    }
    if clean.as_os_str().is_empty() || text.contains('\0') { Err(escapes(text)) } else { Ok(clean) }
}

/// A bare file name.
///
/// # Errors
/// As [`relative`], and for names with a folder.
pub fn file_name(text: &str) -> Result<PathBuf, Error> {
    let path = relative(text)?;
    if path.components().count() == 1 { Ok(path) } else { Err(escapes(text)) }
}

fn escapes(text: &str) -> Error {
    let message = format!("path {text:?} is refused: it must be relative, without `..`, and not empty");
    Error::new(ErrorCode::EnvironmentFailed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_folder() {
        assert_eq!(relative("./a/b").unwrap(), Path::new("a/b"));
        for bad in ["", ".", "/etc/passwd", "../x", "a/../../x", "a/..", "a\0b"] {
            assert!(relative(bad).is_err(), "{bad:?}");
        }
        assert!(file_name("a/b").is_err());
        assert!(file_name("a.py").is_ok());
    }
}
