//! Resolves `Environment.python` on this node.

use std::path::{Path, PathBuf};

use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::{OLDEST, Python, Pythons};
use crate::environment::paths;

/// The forms in which users write a Python.
#[derive(Debug, PartialEq, Eq)]
enum PythonSpec {
    Default,
    /// "3", "3.11" or "3.11.7"
    Version(Vec<u32>),
    /// A path inside an archive, or absolute.
    Path(PathBuf),
    /// To be found on PATH.
    Command(String),
}

impl PythonSpec {
    fn parse(text: &str, targets: &[String]) -> Self {
        let text = text.trim();
        let version = |text: &str| text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>();
        if matches!(text, "" | "python" | "python3") {
            return Self::Default;
        }
        if let Some(parts) = version(text.strip_prefix("python").unwrap_or(text)).filter(|parts| parts.len() <= 3) {
            return Self::Version(parts);
        }
        let inside_archive = text.split_once('/').is_some_and(|(first, _)| targets.iter().any(|t| t == first));
        if text.starts_with('/') || inside_archive {
            return Self::Path(PathBuf::from(text));
        }
        Self::Command(text.to_owned())
    }
}

/// True where the Python comes with the environment.
pub(super) fn is_inside_archive(wanted: &str, targets: &[String]) -> bool {
    matches!(PythonSpec::parse(wanted, targets), PythonSpec::Path(path) if path.is_relative())
}

pub(super) async fn resolve(
    pythons: &Pythons,
    wanted: &str,
    archives: &Path,
    targets: &[String],
) -> Result<Python, Error> {
    let python = match PythonSpec::parse(wanted, targets) {
        PythonSpec::Default => pythons.usable().next().cloned().ok_or_else(|| absent(pythons, "at all"))?,
        PythonSpec::Version(parts) => by_version(pythons, &parts, wanted)?,
        PythonSpec::Path(path) if path.is_absolute() => {
            pythons.probe(&path, None).await.map_err(|e| have(e, pythons))?
        }
        PythonSpec::Path(path) => inside_archive(pythons, &path, archives).await?,
        PythonSpec::Command(command) => {
            let path = which::which(&command).map_err(|_| absent(pythons, &format!("{command:?} on its PATH")))?;
            pythons.probe(&path, None).await.map_err(|e| have(e, pythons))?
        }
    };
    if python.line() < OLDEST {
        return Err(too_old(&python));
    }
    Ok(python)
}

fn by_version(pythons: &Pythons, parts: &[u32], wanted: &str) -> Result<Python, Error> {
    let fits = |python: &&Python| {
        let (major, minor, micro) = python.version;
        [major, minor, micro].starts_with(parts)
    };
    pythons
        .usable()
        .find(fits)
        .or_else(|| pythons.found.iter().find(fits))
        .cloned()
        .ok_or_else(|| absent(pythons, wanted.trim().trim_start_matches("python")))
}

async fn inside_archive(pythons: &Pythons, path: &Path, archives: &Path) -> Result<Python, Error> {
    let relative = paths::relative(&path.to_string_lossy())?;
    let full = archives.join(relative);
    if !full.is_file() {
        let message = format!("python {:?}: no such file in the environment's archives", path.display());
        return Err(Error::new(ErrorCode::EnvironmentFailed, message)
            .hint("write TARGET/path/inside/the/archive, TARGET being the archive's target"));
    }
    // Where it is a link or a script, the archive's own path is what was asked for.
    pythons.probe(&full, Some(archives)).await.map(|python| Python { executable: full, ..python })
}

fn absent(pythons: &Pythons, what: &str) -> Error {
    have(Error::new(ErrorCode::EnvironmentFailed, format!("this node has no Python {what}")), pythons)
}

fn have(error: Error, pythons: &Pythons) -> Error {
    let mut versions: Vec<String> = pythons.usable().map(Python::version_text).collect();
    versions.dedup();
    let offer = if versions.is_empty() { "no usable Python".to_owned() } else { versions.join(", ") };
    error.hint(format!("it has {offer}; install the one you need there or name it with --python"))
}

fn too_old(python: &Python) -> Error {
    let message = format!(
        "Python {} at {} is too old: functions run on {}.{} and newer",
        python.version_text(),
        python.executable.display(),
        OLDEST.0,
        OLDEST.1
    );
    Error::new(ErrorCode::EnvironmentFailed, message).hint("choose a newer Python for the environment")
}

#[cfg(test)]
mod tests {
    use super::super::tests::python;
    use super::*;

    fn node() -> Pythons {
        Pythons::ordered(vec![
            python((3, 11, 7), "/b"),
            python((3, 13, 0), "/d"),
            python((3, 11, 2), "/e"),
            python((3, 8, 18), "/a"),
        ])
    }

    async fn resolved(wanted: &str) -> Result<String, Error> {
        resolve(&node(), wanted, Path::new("/nowhere"), &["env".to_owned()]).await.map(|p| p.version_text())
    }

    #[tokio::test]
    async fn versions_and_the_default() {
        assert_eq!(resolved("").await.unwrap(), "3.11.7");
        assert_eq!(resolved("python").await.unwrap(), "3.11.7");
        assert_eq!(resolved("3.13").await.unwrap(), "3.13.0");
        assert_eq!(resolved("3.11.2").await.unwrap(), "3.11.2");
        assert_eq!(resolved("python3.11").await.unwrap(), "3.11.7");
    }

    #[tokio::test]
    async fn refusals_say_what_there_is() {
        let absent = resolved("3.12").await.unwrap_err();
        assert_eq!(absent.code(), ErrorCode::EnvironmentFailed);
        assert!(absent.info().message.contains("no Python 3.12"), "{absent}");
        assert!(absent.info().hint.contains("3.11.7, 3.13.0"), "{absent}");
        // 3.1 is no prefix of 3.11.
        assert!(resolved("3.1").await.is_err());
        assert!(resolved("3.8").await.unwrap_err().to_string().contains("too old"));
        assert!(resolved("env/bin/python").await.unwrap_err().to_string().contains("archives"));
        assert!(resolved("env/../../bin/python").await.unwrap_err().to_string().contains(".."));
        assert!(resolved("no-such-python-command").await.unwrap_err().to_string().contains("PATH"));
    }

    #[test]
    fn forms() {
        let targets = ["env".to_owned()];
        assert_eq!(PythonSpec::parse("env/bin/python", &targets), PythonSpec::Path("env/bin/python".into()));
        assert_eq!(PythonSpec::parse("/usr/bin/python3", &targets), PythonSpec::Path("/usr/bin/python3".into()));
        assert_eq!(PythonSpec::parse("pypy3", &targets), PythonSpec::Command("pypy3".to_owned()));
        assert_eq!(PythonSpec::parse("3", &targets), PythonSpec::Version(vec![3]));
    }
}
