//! Secrets: text that must not be printed.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// Tokens of one file: one that follows another, and a few more.
const MOST_TOKENS: usize = 4;
/// What is printed in a secret's place.
const REDACTED: &str = "<redacted>";

/// A secret: prints and serialises as `<redacted>`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps the text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A token that can be sent in a header. White space around it is dropped: files end with it.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] for one that is empty or no visible ASCII text.
    pub fn token(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Self::not_a_token());
        }
        Ok(Self::new(text))
    }

    /// The token that a file holds: its first line.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] where the file can't be read or holds none.
    pub fn token_file(path: &Path) -> Result<Self, Error> {
        Self::tokens_in(path).and_then(|tokens| tokens.into_iter().next().ok_or_else(Self::not_a_token))
    }

    /// The tokens that a file holds, one a line: the first is the one to show.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] where the file can't be read, holds none, or more than four.
    pub fn tokens_in(path: &Path) -> Result<Vec<Self>, Error> {
        let named = |what: &str| Error::new(ErrorCode::InvalidConfig, format!("token_file {}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| named(&e.to_string()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let tokens: Vec<Self> = lines
            .take(MOST_TOKENS + 1)
            .map(Self::token)
            .collect::<Result<Vec<Self>, Error>>()
            .map_err(|error| named(&error.info().message))?;
        match tokens.len() {
            0 => Err(named(&Self::not_a_token().info().message)),
            1..=MOST_TOKENS => Ok(tokens),
            _ => Err(named(&format!("it holds more than {MOST_TOKENS} tokens, one a line"))
                .hint("keep the one to show in the first line, and of former ones those that are still in use")),
        }
    }

    /// The token, given as text or in a file.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidConfig`] where it is given both ways, or is no token.
    pub fn resolve(text: Option<Self>, file: Option<PathBuf>) -> Result<Option<Self>, Error> {
        match (text, file) {
            (Some(_), Some(_)) => Err(Error::new(ErrorCode::InvalidConfig, "token and token_file are both set")
                .hint("set one of them, in one place: flag, variable or file")),
            (Some(text), None) => Self::token(text.expose()).map(Some),
            (None, Some(path)) => Self::token_file(&path).map(Some),
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn not_a_token() -> Error {
        Error::new(ErrorCode::InvalidConfig, "the token must be non-empty visible ASCII text")
    }

    /// The text itself: for comparing and sending only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Serialises the text itself: for layers of settings, which are merged before they are read.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize_exposed<S: Serializer>(secret: &Option<Self>, serializer: S) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Self::expose).serialize(serializer)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_can_travel_in_a_header() {
        assert_eq!(Secret::token(" s3cret\n").unwrap().expose(), "s3cret");
        for text in ["", " \n", "two words", "naïve"] {
            assert_eq!(Secret::token(text).unwrap_err().code(), ErrorCode::InvalidConfig, "{text:?}");
        }
    }

    #[test]
    fn a_file_without_a_token_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Secret::token_file(file.path()).unwrap_err().code(), ErrorCode::InvalidConfig);
        std::fs::write(file.path(), "s3cret\n").unwrap();
        assert_eq!(Secret::token_file(file.path()).unwrap(), Secret::new("s3cret"));
        std::fs::write(file.path(), "a\nb\n\nc\nd\n").unwrap();
        assert_eq!(Secret::tokens_in(file.path()).unwrap().len(), MOST_TOKENS);
        std::fs::write(file.path(), "a\nb\nc\nd\ne\n").unwrap();
        let many = Secret::tokens_in(file.path()).unwrap_err();
        assert!(many.code() == ErrorCode::InvalidConfig && many.info().message.contains("more than 4"), "{many}");
        let missing = Secret::token_file(Path::new("/nowhere/token")).unwrap_err();
        assert!(missing.info().message.contains("/nowhere/token"), "{missing}");
    }
}
