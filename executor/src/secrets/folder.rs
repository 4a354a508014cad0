//! The folder of secrets: which there are, and their values, read anew for each interpreter.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use udfleet_proto::error::Error;
use udfleet_proto::secrets::{MAX_SECRET_BYTES, is_secret_name};
use udfleet_proto::v1::ErrorCode;

use crate::sandbox::give;

/// All secrets of one function, bytes: with its variables less than what a process can be started with, 2 MiB.
const MAX_ALL_BYTES: usize = 1 << 20;
/// Between two looks for files that have come or gone.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// One secret. It shows its name only.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue {
    name: String,
    value: Vec<u8>,
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=<redacted>", self.name)
    }
}

impl SecretValue {
    /// A value by its name.
    #[must_use]
    pub fn new(name: &str, value: Vec<u8>) -> Self {
        Self { name: name.to_owned(), value }
    }

    /// Its file's content.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.value
    }

    /// As a variable: without the line end that editors put at the end of files. `None` where it can't be one.
    #[must_use]
    pub fn variable(&self) -> Option<(String, OsString)> {
        let value = self.value.strip_suffix(b"\n").unwrap_or(&self.value);
        let value = value.strip_suffix(b"\r").unwrap_or(value);
        (!value.contains(&0)).then(|| (self.name.clone(), OsString::from_vec(value.to_vec())))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct SecretsFolder {
    path: Option<PathBuf>,
    /// Names as of the last look.
    known: Mutex<BTreeSet<String>>,
}

impl SecretsFolder {
    /// Of this folder; without one there are no secrets.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        let this = Self { path, known: Mutex::default() };
        this.look();
        this
    }

    /// Looks for what has come and gone; true where that is news.
    pub fn look(&self) -> bool {
        let entries = self.path.iter().filter_map(|path| std::fs::read_dir(path).ok()).flatten().flatten();
        let files = entries.filter(|entry| std::fs::metadata(entry.path()).is_ok_and(|file| file.is_file()));
        let names = files.filter_map(|entry| entry.file_name().into_string().ok());
        let now: BTreeSet<String> = names.filter(|name| is_secret_name(name)).collect();
        let mut known = self.known.lock();
        let news = *known != now;
        *known = now;
        news
    }

    /// Looks again and again.
    pub async fn watch(self: Arc<Self>) {
        if self.path.is_none() {
            return;
        }
        loop {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            let this = Arc::clone(&self);
            // Reports say what has changed. Fails only while the executor stops.
            let _ = tokio::task::spawn_blocking(move || this.look()).await;
        }
    }

    /// Which there are, as of the last look.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.known.lock().iter().cloned().collect()
    }

    /// The values of these, as they are now.
    ///
    /// # Errors
    /// Names the one that is missing or can't be read; [`ErrorCode::LimitExceeded`] where they are too large together.
    pub fn read(&self, names: &[String]) -> Result<Vec<SecretValue>, Error> {
        let values: Vec<SecretValue> = names.iter().map(|name| self.one(name)).collect::<Result<_, _>>()?;
        let bytes: usize = values.iter().map(|secret| secret.name.len() + secret.value.len()).sum();
        if bytes > MAX_ALL_BYTES {
            let message = format!(
                "the {} secrets of the function have {bytes} bytes, at most {MAX_ALL_BYTES} are allowed together",
                values.len()
            );
            return Err(Error::new(ErrorCode::LimitExceeded, message)
                .hint("ask for fewer, or keep a key in the secret and what it opens elsewhere"));
        }
        Ok(values)
    }

    fn one(&self, name: &str) -> Result<SecretValue, Error> {
        let refused = |why: String| {
            Error::new(ErrorCode::EnvironmentFailed, format!("secret {name} {why}"))
                .hint("put a file of that name into the executor's --secrets-dir")
        };
        let Some(folder) = self.path.as_ref().filter(|_| is_secret_name(name)) else {
            return Err(refused("is not there: this executor has no folder of secrets".to_owned()));
        };
        let size = std::fs::metadata(folder.join(name)).map(|file| file.len());
        let size = size.map_err(|e| refused(format!("can't be read: {}", e.kind())))?;
        if size > MAX_SECRET_BYTES as u64 {
            return Err(refused(format!("has {size} bytes, at most {MAX_SECRET_BYTES} are allowed")));
        }
        let value = std::fs::read(folder.join(name)).map_err(|e| refused(format!("can't be read: {}", e.kind())))?;
        Ok(SecretValue { name: name.to_owned(), value })
    }
}

/// Writes secrets as files that only `user` can read; none: the executor's.
///
/// # Errors
/// When the folder can't be made or written.
pub fn write(folder: &Path, secrets: &[SecretValue], user: Option<u32>) -> std::io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(folder)?;
    for secret in secrets {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let path = folder.join(&secret.name);
        options.open(&path)?.write_all(&secret.value)?;
        user.map_or(Ok(()), |user| give(&path, user))?;
    }
    user.map_or(Ok(()), |user| give(folder, user))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_are_secrets_and_are_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, value: &str| std::fs::write(folder.path().join(name), value).unwrap();
        put("KEY", "one\n");
        put("..data", "of Kubernetes");
        put("no variable", "x");
        std::fs::create_dir(folder.path().join("FOLDER")).unwrap();
        let secrets = SecretsFolder::new(Some(folder.path().to_owned()));
        assert_eq!(secrets.names(), ["KEY"]);
        let key = || secrets.read(&["KEY".to_owned()]).unwrap()[0].clone();
        assert_eq!(key().variable(), Some(("KEY".to_owned(), "one".into())));
        assert!(!secrets.look());
        put("KEY", "two");
        put("OTHER", "3");
        assert!(secrets.look());
        assert_eq!((key().expose(), secrets.names().len()), (&b"two"[..], 2));
        assert_eq!(format!("{:?}", key()), "KEY=<redacted>");
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |secrets: SecretsFolder| secrets.read(&["KEY".to_owned()]).unwrap_err();
        let error = missing(SecretsFolder::default());
        assert!(error.code() == ErrorCode::EnvironmentFailed && error.info().message.contains("KEY"));
        let folder = tempfile::tempdir().unwrap();
        assert!(missing(SecretsFolder::new(Some(folder.path().to_owned()))).info().message.contains("KEY"));
    }

    #[test]
    fn all_together_have_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..16).map(|n| format!("KEY_{n}")).collect();
        let large = vec![b'x'; MAX_SECRET_BYTES - 16];
        names.iter().for_each(|name| std::fs::write(folder.path().join(name), &large).unwrap());
        let secrets = SecretsFolder::new(Some(folder.path().to_owned()));
        assert_eq!(secrets.read(&names).unwrap().len(), 16);
        std::fs::write(folder.path().join("ONE_MORE"), "a few bytes beyond it: ".repeat(20)).unwrap();
        let error = secrets.read(&[names, vec!["ONE_MORE".to_owned()]].concat()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::LimitExceeded, "{error}");
    }

    #[test]
    fn files_are_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("secrets");
        write(&target, &[SecretValue::new("KEY", b"value".to_vec())], None).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&target), mode(&target.join("KEY"))), (0o700, 0o600));
    }
}
