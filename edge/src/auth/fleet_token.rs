//! The fleet's own token: whoever shows it may do everything. It is what a fleet begins with, before it has tokens with
//! roles.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tonic::metadata::{Ascii, MetadataValue};
use udfleet_proto::error::Error;

use super::gate::{Authenticator, LoginFailure};
use super::principal::{Principal, PrincipalKind};
use super::send::{BearerSource, header};
use super::token::SecretHash;
use crate::secret::Secret;

/// How often its file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is known now.
#[derive(Debug)]
struct KnownTokens {
    /// As the file has them.
    tokens: Vec<Secret>,
    /// None: everybody is let in.
    hashes: Vec<SecretHash>,
    /// What this process shows to others.
    shown: Option<MetadataValue<Ascii>>,
}

impl KnownTokens {
    fn new(tokens: Vec<Secret>) -> Self {
        Self {
            hashes: tokens.iter().map(|token| SecretHash::of(token.expose())).collect(),
            shown: tokens.first().and_then(|token| header(token).ok()),
            tokens,
        }
    }
}

/// Knows the fleet's token; everybody, where there is none.
#[derive(Debug)]
pub struct FleetToken {
    known: ArcSwap<KnownTokens>,
    file: Option<PathBuf>,
    anyone: Arc<Principal>,
    holder: Arc<Principal>,
}

impl FleetToken {
    /// `None` lets everybody in.
    #[must_use]
    pub fn new(token: Option<&Secret>) -> Self {
        Self {
            known: ArcSwap::from_pointee(KnownTokens::new(token.cloned().into_iter().collect())),
            file: None,
            anyone: Arc::new(Principal::unlimited(PrincipalKind::Anonymous)),
            holder: Arc::new(Principal::unlimited(PrincipalKind::FleetToken)),
        }
    }

    /// What a file holds: the token that is shown, and in further lines those that are still let in. [`FleetToken::watch`]
    /// reads it again when it changes.
    ///
    /// # Errors
    /// `INVALID_CONFIG` where the file can't be read or holds no token.
    pub fn of_file(file: &Path) -> Result<Self, Error> {
        let known = ArcSwap::from_pointee(KnownTokens::new(Secret::tokens_in(file)?));
        Ok(Self { known, file: Some(file.to_owned()), ..Self::new(None) })
    }

    /// Follows the file, where there is one; returns where there is none. What can't be used changes nothing.
    pub async fn watch(&self) {
        let Some(file) = &self.file else { return };
        let mut last_error = None;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let error = match Secret::tokens_in(file) {
                Ok(tokens) if tokens == self.known.load().tokens => None,
                Ok(tokens) => {
                    self.known.store(Arc::new(KnownTokens::new(tokens)));
                    tracing::info!(file = %file.display(), "the fleet's token has been read anew");
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = &error
                && Some(error) != last_error.as_ref()
            {
                tracing::error!(error, "the fleet's token stays as it was");
            }
            last_error = error;
        }
    }

    /// True where there is one.
    #[must_use]
    pub fn is_set(&self) -> bool {
        !self.known.load().hashes.is_empty()
    }

    /// Who shows this token, where it is the fleet's.
    #[must_use]
    pub fn holder(&self, token: &str) -> Option<Arc<Principal>> {
        let (known, shown) = (self.known.load(), SecretHash::of(token));
        // All of them are compared, whichever it is.
        let matching = known.hashes.iter().filter(|hash| hash.matches(&shown)).count();
        (matching > 0).then(|| Arc::clone(&self.holder))
    }

    /// Who shows nothing, where nobody has to.
    #[must_use]
    pub fn anyone(&self) -> Arc<Principal> {
        Arc::clone(&self.anyone)
    }
}

impl BearerSource for FleetToken {
    fn bearer(&self) -> Option<MetadataValue<Ascii>> {
        self.known.load().shown.clone()
    }
}

impl Authenticator for FleetToken {
    fn authenticate(&self, token: Option<&str>) -> Result<Arc<Principal>, LoginFailure> {
        match token {
            _ if !self.is_set() => Ok(self.anyone()),
            Some(token) => self.holder(token).ok_or(LoginFailure::Wrong),
            None => Err(LoginFailure::Missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_token_passes() {
        let kind = |set: Option<&str>, shown| {
            FleetToken::new(set.map(Secret::new).as_ref()).authenticate(shown).map(|caller| caller.kind)
        };
        assert_eq!(kind(Some("s3cret"), Some("s3cret")), Ok(PrincipalKind::FleetToken));
        for wrong in ["", "other", "s3cre", "s3crets", "S3cret"] {
            assert_eq!(kind(Some("s3cret"), Some(wrong)), Err(LoginFailure::Wrong), "{wrong:?}");
        }
        assert_eq!(kind(Some("s3cret"), None), Err(LoginFailure::Missing));
        for shown in [None, Some("any")] {
            assert_eq!(kind(None, shown), Ok(PrincipalKind::Anonymous));
        }
    }

    #[tokio::test]
    async fn a_file_that_changes_is_read_again_and_its_former_token_let_in() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "old\n").unwrap();
        let token = Arc::new(FleetToken::of_file(file.path()).unwrap());
        let watched = Arc::clone(&token);
        let task = tokio::spawn(async move { watched.watch().await });
        let known = |text: &str| token.holder(text).is_some();
        let until = async |condition: &dyn Fn() -> bool| {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(known("old") && !known("new"));
        let shows = |text: &str| token.bearer().unwrap().to_str().unwrap() == format!("Bearer {text}");
        for (content, shown, good, bad) in
            [("new\nold\n", "new", "old", "other"), ("\n", "new", "old", "other"), ("new\n", "new", "new", "old")]
        {
            std::fs::write(file.path(), content).unwrap();
            let taken = || shows(shown) && known(good) && !known(bad);
            tokio::time::timeout(Duration::from_secs(60), until(&taken)).await.expect(content);
        }
        task.abort();
    }
}
