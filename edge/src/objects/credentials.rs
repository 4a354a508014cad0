//! Credentials out of the file that Amazon's tools keep them in, read again when it changes.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use parking_lot::Mutex;
use udfleet_proto::error::Error;

use crate::config::invalid;

/// Variables that say credentials, or who has them, by themselves.
const BY_VARIABLE: [&str; 4] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// A profile of a file of credentials.
#[derive(Debug)]
pub(super) struct CredentialsFile {
    path: PathBuf,
    profile: String,
    read: Mutex<Option<(SystemTime, Arc<AwsCredential>)>>,
}

/// The file in use: the one that `AWS_SHARED_CREDENTIALS_FILE` names, else `~/.aws/credentials` where it has the profile
/// (`AWS_PROFILE`, else `default`). None where variables say who we are, or there is no file: then the machine's role counts.
pub(super) fn file() -> Result<Option<CredentialsFile>, Error> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if BY_VARIABLE.iter().any(|name| variable(name).is_some()) {
        return Ok(None);
    }
    let named = variable("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".aws/credentials"));
    let Some(path) = named.clone().or_else(home) else { return Ok(None) };
    let file = CredentialsFile::new(path, variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned()));
    match file.current() {
        Ok(_) => Ok(Some(file)),
        Err(_) if named.is_none() => Ok(None),
        Err(problem) => {
            Err(invalid(problem).hint("AWS_SHARED_CREDENTIALS_FILE names the file, AWS_PROFILE the profile"))
        }
    }
}

impl CredentialsFile {
    fn new(path: PathBuf, profile: String) -> Self {
        Self { path, profile, read: Mutex::default() }
    }

    fn current(&self) -> Result<Arc<AwsCredential>, String> {
        let named = |problem: &str| format!("credentials file {}: {problem}", self.path.display());
        let changed = self.path.metadata().and_then(|metadata| metadata.modified());
        let changed = changed.map_err(|e| named(&e.to_string()))?;
        let mut read = self.read.lock();
        if let Some((when, credential)) = read.as_ref()
            && *when == changed
        {
            return Ok(Arc::clone(credential));
        }
        let text = std::fs::read_to_string(&self.path).map_err(|e| named(&e.to_string()))?;
        let credential = Arc::new(credential(&text, &self.profile).map_err(|problem| named(&problem))?);
        *read = Some((changed, Arc::clone(&credential)));
        Ok(credential)
    }
}

#[async_trait::async_trait]
impl CredentialProvider for CredentialsFile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        self.current().map_err(|problem| object_store::Error::Generic { store: "S3", source: problem.into() })
    }
}

/// Reads a profile. Errors hold no line of the file: it holds secrets.
fn credential(text: &str, profile: &str) -> Result<AwsCredential, String> {
    let (mut within, mut values) = (false, HashMap::new());
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            within = section.trim() == profile;
        } else if within && let Some((key, value)) = line.split_once('=') {
            values.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let mut take = |key: &str| values.remove(key).filter(|value| !value.is_empty());
    let lacks = |key: &str| format!("profile {profile:?} has no {key}");
    Ok(AwsCredential {
        key_id: take("aws_access_key_id").ok_or_else(|| lacks("aws_access_key_id"))?,
        secret_key: take("aws_secret_access_key").ok_or_else(|| lacks("aws_secret_access_key"))?,
        token: take("aws_session_token"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\n[default]\naws_access_key_id = A\naws_secret_access_key=s=1\n\n\
                        [other]\nAWS_ACCESS_KEY_ID = B\naws_secret_access_key = t\naws_session_token = u\n[half]\naws_access_key_id = C\n";

    #[test]
    fn profiles_are_told_apart() {
        let found = |profile: &str| credential(FILE, profile).map(|c| (c.key_id, c.secret_key, c.token));
        assert_eq!(found("default"), Ok(("A".to_owned(), "s=1".to_owned(), None)));
        assert_eq!(found("other"), Ok(("B".to_owned(), "t".to_owned(), Some("u".to_owned()))));
        for profile in ["half", "none"] {
            let problem = found(profile).unwrap_err();
            assert!(problem.contains(profile) && !problem.contains("= C"), "{problem}");
        }
    }

    #[test]
    fn a_file_that_changes_is_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), FILE).unwrap();
        let credentials = CredentialsFile::new(file.path().to_owned(), "default".to_owned());
        assert_eq!(credentials.current().unwrap().key_id, "A");
        std::fs::write(file.path(), FILE.replace("= A", "= Z")).unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(2);
        std::fs::File::open(file.path()).unwrap().set_modified(later).unwrap();
        assert_eq!(credentials.current().unwrap().key_id, "Z");
        drop(file);
        assert!(credentials.current().unwrap_err().contains("credentials file"));
    }
}
