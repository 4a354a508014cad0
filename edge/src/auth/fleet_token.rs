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
    /// Of each, with who shows it. None: everybody is let in.
    holders: Vec<(SecretHash, Arc<Principal>)>,
    /// What this process shows to others.
    shown: Option<MetadataValue<Ascii>>,
}

impl KnownTokens {
    /// Who has shown a token that was known `before` is the same caller still.
    fn new(tokens: Vec<Secret>, before: &[(SecretHash, Arc<Principal>)]) -> Self {
        let holder = |token: &Secret| {
            let hash = SecretHash::of(token.expose());
            let same = before.iter().find(|(held, _)| held.matches(&hash)).map(|(_, holder)| Arc::clone(holder));
            (hash, same.unwrap_or_else(|| Arc::new(Principal::unlimited(PrincipalKind::FleetToken))))
        };
        Self {
            holders: tokens.iter().map(holder).collect(),
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
}

impl FleetToken {
    /// `None` lets everybody in.
    #[must_use]
    pub fn new(token: Option<&Secret>) -> Self {
        Self {
            known: ArcSwap::from_pointee(KnownTokens::new(token.cloned().into_iter().collect(), &[])),
            file: None,
            anyone: Arc::new(Principal::unlimited(PrincipalKind::Anonymous)),
        }
    }

    /// What a file holds: the token that is shown, and in further lines those that are still let in. [`FleetToken::watch`]
    /// reads it again when it changes.
    ///
    /// # Errors
    /// `INVALID_CONFIG` where the file can't be read or holds no token.
    pub fn of_file(file: &Path) -> Result<Self, Error> {
        let known = ArcSwap::from_pointee(KnownTokens::new(Secret::tokens_in(file)?, &[]));
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
                    let known = KnownTokens::new(tokens, &self.known.load().holders);
                    self.known.store(Arc::new(known));
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
        !self.known.load().holders.is_empty()
    }

    /// Who shows this token, where it is the fleet's.
    #[must_use]
    pub fn holder(&self, token: &str) -> Option<Arc<Principal>> {
        let (known, shown) = (self.known.load(), SecretHash::of(token));
        // All of them are compared, whichever it is.
        let matching = known.holders.iter().filter(|(hash, _)| hash.matches(&shown));
        matching.fold(None, |_, (_, holder)| Some(Arc::clone(holder)))
    }

    /// True while the token is let in that this caller has shown; callers that were let in otherwise have shown none.
    #[must_use]
    pub fn still_knows(&self, caller: &Arc<Principal>) -> bool {
        self.known.load().holders.iter().any(|(_, holder)| Arc::ptr_eq(holder, caller))
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
        let first = token.holder("old").unwrap();
        let mut stays = Vec::new();
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
            stays.push(token.still_knows(&first));
        }
        assert_eq!(stays, [true, true, false], "who has shown the former token, until that is dropped");
        task.abort();
    }
}
