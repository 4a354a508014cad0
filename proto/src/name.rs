//! Function names and references to versions.

use std::fmt;

use crate::limits::MAX_NAME_BYTES;

/// `name` (its newest version) or `name@3` (one version).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionRef {
    /// The registered name.
    pub name: String,
    /// `None`: the newest.
    pub version: Option<u32>,
}

/// Why a name can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing before the `@`.
    #[error("a function name is empty")]
    Empty,
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("function name of {0} bytes is longer than the limit of {MAX_NAME_BYTES}")]
    TooLong(usize),
    /// A character that names don't have.
    #[error(
        "function name {name:?} holds {character:?}: letters, digits, `_`, `-` and `.` are allowed, and a letter or `_` comes first"
    )]
    Character {
        /// The name as given.
        name: String,
        /// The first character at fault.
        character: char,
    },
    /// What follows the `@` is no version.
    #[error("{0:?} is no function version: write `name@3`")]
    Version(String),
}

/// Checks a name without version.
///
/// # Errors
/// Says which rule the name breaks.
pub fn validate(name: &str) -> Result<(), NameError> {
    let mut characters = name.chars();
    let first = characters.next().ok_or(NameError::Empty)?;
    if name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong(name.len()));
    }
    let bad = |character| NameError::Character { name: name.to_owned(), character };
    if !(first.is_alphabetic() || first == '_') {
        return Err(bad(first));
    }
    match characters.find(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))) {
        Some(character) => Err(bad(character)),
        None => Ok(()),
    }
}

impl FunctionRef {
    /// Parses `name` or `name@version`.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (name, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, version)) => {
                let number = version.parse().ok().filter(|n| *n > 0);
                (name, Some(number.ok_or_else(|| NameError::Version(version.to_owned()))?))
            }
        };
        validate(name)?;
        Ok(Self { name: name.to_owned(), version })
    }

    /// Whether it names `function` (`name@version`): this version, or any version of its name.
    #[must_use]
    pub fn includes(&self, function: &str) -> bool {
        match self.version {
            None => function.split_once('@').map_or(function, |(name, _)| name) == self.name,
            Some(_) => self.to_string() == function,
        }
    }
}

impl fmt::Display for FunctionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// `name@version`: how a registered function is named in messages, metrics and errors.
#[must_use]
pub fn versioned(name: &str, version: u32) -> String {
    format!("{name}@{version}")
}

/// The candidate most like `given`, for "did you mean": `None` when nothing is near.
#[must_use]
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (given, mut best) = (given.to_lowercase(), None);
    for candidate in candidates {
        let score = strsim::jaro_winkler(&given, &candidate.to_lowercase());
        if score > 0.75 && best.is_none_or(|(_, s)| score > s) {
            best = Some((candidate, score));
        }
    }
    best.map(|(candidate, _)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_parse_and_print() {
        for text in ["add", "add@3", "my.mod-f_1"] {
            assert_eq!(FunctionRef::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn bad_references_say_why() {
        assert_eq!(FunctionRef::parse(""), Err(NameError::Empty));
        assert_eq!(FunctionRef::parse("@2"), Err(NameError::Empty));
        assert!(matches!(FunctionRef::parse("1a"), Err(NameError::Character { character: '1', .. })));
        assert!(matches!(FunctionRef::parse("a b"), Err(NameError::Character { character: ' ', .. })));
        for text in ["a@", "a@0", "a@x", "a@-1", "a@99999999999"] {
            assert!(matches!(FunctionRef::parse(text), Err(NameError::Version(_))), "{text}");
        }
        assert!(matches!(FunctionRef::parse(&"a".repeat(200)), Err(NameError::TooLong(200))));
    }

    #[test]
    fn nearest_finds_typos_only() {
        assert_eq!(nearest("delay_clas", ["delay_class", "speed"]), Some("delay_class"));
        assert_eq!(nearest("zzz", ["delay_class", "speed"]), None);
    }
}
