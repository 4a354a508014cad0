//! Tokens as text: `KIND.NAME.SECRET`. The name is no secret; it says which record to compare with.
//!
//! The secret is 32 random bytes. Its SHA-256 is stored: a slow hash protects passwords, which people choose and others
//! guess, but nobody guesses 256 random bits, and a slow one would let strangers burn the server's time.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::secret::Secret;

/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenType {
    /// People, engines and programs.
    Roles,
    /// An executor's first attach.
    Join,
    /// An executor.
    Executor,
}

impl TokenType {
    const ALL: [Self; 3] = [Self::Roles, Self::Join, Self::Executor];

    /// What tokens of this type begin with: scanners for leaked secrets look for it.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Roles => "udfleet",
            Self::Join => "udfleet-join",
            Self::Executor => "udfleet-executor",
        }
    }
}

/// SHA-256 of a secret: what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// One that was stored; none for bytes that are no hash.
    #[must_use]
    pub fn stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// To be stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// True for the same secret; the time it takes tells nothing.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        bool::from(self.0.ct_eq(&other.0))
    }
}

/// A token that was taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedToken<'a> {
    /// What it is for.
    pub kind: TokenType,
    /// Whose it is.
    pub name: &'a str,
    /// Of its secret.
    pub hash: SecretHash,
}

impl<'a> ParsedToken<'a> {
    /// Takes a token apart; none for what is no token of these.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (kind, rest) = TokenType::ALL
            .into_iter()
            .find_map(|kind| Some((kind, text.strip_prefix(kind.prefix())?.strip_prefix('.')?)))?;
        let (name, secret) = rest.rsplit_once('.')?;
        let whole = secret.len() == 2 * SECRET_BYTES && secret.bytes().all(|b| b.is_ascii_hexdigit());
        (whole && !name.is_empty()).then(|| Self { kind, name, hash: SecretHash::of(secret) })
    }
}

/// A new token from random bytes, and the hash to store.
#[must_use]
pub fn token_of(kind: TokenType, name: &str, random: [u8; SECRET_BYTES]) -> (Secret, SecretHash) {
    let secret = hex::encode(random);
    let hash = SecretHash::of(&secret);
    (Secret::new(format!("{}.{name}.{secret}", kind.prefix())), hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_kind_and_owner() {
        for (kind, name) in [(TokenType::Roles, "ci"), (TokenType::Join, "node.1"), (TokenType::Executor, "a_b-c")] {
            let (token, hash) = token_of(kind, name, [7; 32]);
            let parsed = ParsedToken::parse(token.expose()).unwrap();
            assert_eq!((parsed.kind, parsed.name), (kind, name));
            assert!(parsed.hash.matches(&hash) && !parsed.hash.matches(&token_of(kind, name, [8; 32]).1));
            assert_eq!(SecretHash::stored(hash.bytes()), Some(hash));
        }
    }

    #[test]
    fn other_texts_are_none() {
        let secret = "0".repeat(64);
        for text in ["", "s3cret", "udfleet.ci", "udfleet.ci.", "udfleet.ci.00"] {
            assert_eq!(ParsedToken::parse(text), None, "{text:?}");
        }
        for text in
            [format!("udfleet..{secret}"), format!("other.ci.{secret}"), format!("udfleet.ci.{}z", &secret[1..])]
        {
            assert_eq!(ParsedToken::parse(&text), None, "{text:?}");
        }
        assert_eq!(SecretHash::stored(&[0; 31]), None);
    }
}
