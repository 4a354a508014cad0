//! Which Python an environment asks for, and whether an executor has it.

use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// The oldest minor version that the interpreter's module loads into.
const OLDEST_MINOR: u32 = 9;

/// `python.executable` understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PythonRequirement {
    /// The executor's default.
    Default,
    /// A prefix of a version: "3", "3.11", "3.11.7".
    Version(String),
    /// A path or command: whether an executor has it shows only there.
    Command(String),
}

impl PythonRequirement {
    /// Understands "", "python", "3.11", "python3.11" and paths.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidDefinition`] for Python 2 and versions before 3.9.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if matches!(text, "" | "python" | "python3") {
            return Ok(Self::Default);
        }
        let version = text.strip_prefix("python").unwrap_or(text);
        if !version.starts_with(|c: char| c.is_ascii_digit()) || version.contains(['/', '\\', ' ']) {
            return Ok(Self::Command(text.to_owned()));
        }
        let bad = |why: &str| {
            Error::new(ErrorCode::InvalidDefinition, format!("Python {text:?}: {why}"))
                .hint("give a version such as \"3.11\", a command or a path")
        };
        let parts: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
        match parts.as_deref() {
            Some([3]) => Ok(Self::Version(version.to_owned())),
            Some([3, minor, ..]) if *minor >= OLDEST_MINOR => Ok(Self::Version(version.to_owned())),
            Some(_) => Err(bad("interpreters run Python 3.9 and later")),
            None => Err(bad("this is no version")),
        }
    }

    /// The version this means on an executor with these Pythons, its default first; `None`: it has none.
    /// `Some(None)`: it may have it, which shows only there.
    #[must_use]
    pub fn on<'a>(&self, pythons: &'a [String]) -> Option<Option<&'a str>> {
        match self {
            Self::Default => pythons.first().map(|version| Some(version.as_str())),
            Self::Version(wanted) => {
                pythons.iter().find(|offered| is_prefix(wanted, offered)).map(|version| Some(version.as_str()))
            }
            Self::Command(_) => Some(None),
        }
    }

    /// True where `payload` ("3.11", or empty for any) can be loaded by what this means on the executor.
    #[must_use]
    pub fn loads(&self, payload: &str, pythons: &[String]) -> bool {
        match self.on(pythons) {
            None => false,
            Some(None) => true,
            Some(Some(version)) => payload.is_empty() || is_prefix(payload, version),
        }
    }
}

/// "3.1" is no prefix of "3.11.2".
fn is_prefix(prefix: &str, version: &str) -> bool {
    version.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl std::fmt::Display for PythonRequirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("the executor's default Python"),
            Self::Version(version) => write!(f, "Python {version}"),
            Self::Command(command) => write!(f, "the Python {command:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pythons() -> Vec<String> {
        vec!["3.11.2".to_owned(), "3.9.18".to_owned(), "3.12.1".to_owned()]
    }

    #[test]
    fn versions_match_by_whole_parts() {
        let on = |text: &str| PythonRequirement::parse(text).unwrap().on(&pythons()).map(|v| v.map(str::to_owned));
        assert_eq!(on(""), Some(Some("3.11.2".to_owned())));
        assert_eq!(on("python"), on(""));
        assert_eq!(on("3"), Some(Some("3.11.2".to_owned())));
        assert_eq!(on("3.12"), Some(Some("3.12.1".to_owned())));
        assert_eq!(on("python3.9"), Some(Some("3.9.18".to_owned())));
        assert_eq!(on("3.9.18"), Some(Some("3.9.18".to_owned())));
        assert_eq!(on("3.9.1"), None);
        assert_eq!(on("3.10"), None);
        assert_eq!(on("/opt/python/bin/python"), Some(None));
        assert_eq!(on("pypy"), Some(None));
        assert_eq!(PythonRequirement::Default.on(&[]), None);
    }

    #[test]
    fn old_versions_are_refused() {
        for old in ["3.8", "2.7", "2", "python3.8"] {
            assert!(PythonRequirement::parse(old).unwrap_err().to_string().contains("3.9"), "{old}");
        }
        assert!(PythonRequirement::parse("3.x").is_err());
    }

    #[test]
    fn bytecode_needs_its_own_minor_version() {
        let default = PythonRequirement::Default;
        assert!(default.loads("3.11", &pythons()) && default.loads("", &pythons()));
        assert!(!default.loads("3.12", &pythons()));
        assert!(PythonRequirement::parse("3.12").unwrap().loads("3.12", &pythons()));
    }
}
