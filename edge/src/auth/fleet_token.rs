//! The fleet's own token: whoever shows it may do everything. It is what a fleet begins with, before it has tokens with
//! roles.

use std::sync::Arc;

use super::gate::{Authenticator, LoginFailure};
use super::principal::{Principal, PrincipalKind};
use super::token::SecretHash;
use crate::secret::Secret;

/// Knows the fleet's token; everybody, where there is none.
#[derive(Debug)]
pub struct FleetToken {
    hash: Option<SecretHash>,
    anyone: Arc<Principal>,
    holder: Arc<Principal>,
}

impl FleetToken {
    /// `None` lets everybody in.
    #[must_use]
    pub fn new(token: Option<&Secret>) -> Self {
        Self {
            hash: token.map(|token| SecretHash::of(token.expose())),
            anyone: Arc::new(Principal::unlimited(PrincipalKind::Anonymous)),
            holder: Arc::new(Principal::unlimited(PrincipalKind::FleetToken)),
        }
    }

    /// True where there is one.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.hash.is_some()
    }

    /// Who shows this token, where it is the fleet's.
    #[must_use]
    pub fn holder(&self, token: &str) -> Option<Arc<Principal>> {
        let hash = self.hash.as_ref()?;
        hash.matches(&SecretHash::of(token)).then(|| Arc::clone(&self.holder))
    }

    /// Who shows nothing, where nobody has to.
    #[must_use]
    pub fn anyone(&self) -> Arc<Principal> {
        Arc::clone(&self.anyone)
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
}
