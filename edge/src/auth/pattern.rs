//! Patterns of function names: `*` stands for any number of characters.

use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_NAME_BYTES;
use udfleet_proto::v1::ErrorCode;

/// The most patterns of one token.
pub const MOST_PATTERNS: usize = 64;

/// Which functions a caller may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionPatterns(Vec<String>);

impl FunctionPatterns {
    /// All functions.
    #[must_use]
    pub fn all() -> Self {
        Self(vec!["*".to_owned()])
    }

    /// These; none means all.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for a pattern that no name can match, and for too many.
    pub fn new(patterns: Vec<String>) -> Result<Self, Error> {
        let bad = |message: String| Error::new(ErrorCode::InvalidInput, message);
        if patterns.len() > MOST_PATTERNS {
            return Err(bad(format!(
                "{} patterns of function names, at most {MOST_PATTERNS} are allowed",
                patterns.len()
            )));
        }
        let good = |pattern: &String| {
            let character = |c: char| c.is_alphanumeric() || "_-.*".contains(c);
            !pattern.is_empty() && pattern.len() <= MAX_NAME_BYTES && pattern.chars().all(character)
        };
        if let Some(pattern) = patterns.iter().find(|pattern| !good(pattern)) {
            return Err(bad(format!("{pattern:?} is no pattern of function names"))
                .hint("letters, digits, `_`, `-`, `.`, and `*` for any number of characters, such as team_*"));
        }
        Ok(if patterns.is_empty() { Self::all() } else { Self(patterns) })
    }

    /// True where a function of this name, without its version, is among them.
    #[must_use]
    pub fn include(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
    }

    /// As they were given.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.0
    }
}

/// Goes back to the last `*` only: linear for one, and never more than pattern times text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn include(patterns: &[&str], name: &str) -> bool {
        FunctionPatterns::new(patterns.iter().map(|p| (*p).to_owned()).collect()).unwrap().include(name)
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name, expected) in [
            ("team_*", "team_a", true),
            ("team_*", "team_", true),
            ("team_*", "team", false),
            ("team_*", "other_team_a", false),
            ("*_a*b", "x_aab", true),
            ("*_a*b", "x_abc", false),
            ("f", "f", true),
            ("f", "ff", false),
            ("*", "anything", true),
            ("**", "", true),
        ] {
            assert_eq!(include(&[pattern], name), expected, "{pattern} {name}");
        }
        assert!(include(&[], "f") && include(&["a", "f"], "f") && !include(&["a", "b"], "f"));
    }

    #[test]
    fn what_no_name_can_match_is_refused() {
        for pattern in ["", "a b", "a@1", "[ab]", "a/b"] {
            let error = FunctionPatterns::new(vec![pattern.to_owned()]).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidInput, "{pattern:?}");
        }
        assert!(FunctionPatterns::new(vec!["a".to_owned(); MOST_PATTERNS + 1]).is_err());
    }
}
