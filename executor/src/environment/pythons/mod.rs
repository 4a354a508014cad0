//! The Pythons of this node.

mod discover;
mod probe;
mod resolve;

use std::path::{Path, PathBuf};

use udfleet_proto::error::Error;
use udfleet_proto::v1::PythonVersion;

use crate::sandbox::{Policy, Sandbox};

use probe::probe;

/// The oldest Python that interpreters run on.
pub const OLDEST: (u32, u32) = (3, 9);

/// From this one on a Python may be the default.
const PREFERRED: (u32, u32) = (3, 11);

/// One Python found on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// (3, 11, 7)
    pub version: (u32, u32, u32),
    /// The executable, symbolic links resolved.
    pub executable: PathBuf,
    /// `sys.base_prefix`
    pub base_prefix: PathBuf,
    /// Its shared library, if it has one.
    pub libpython: Option<PathBuf>,
}

impl Python {
    /// "3.11.7"
    #[must_use]
    pub fn version_text(&self) -> String {
        let (major, minor, micro) = self.version;
        format!("{major}.{minor}.{micro}")
    }

    fn line(&self) -> (u32, u32) {
        (self.version.0, self.version.1)
    }
}

/// All Pythons of this node; the first usable one is the default.
#[derive(Debug, Clone, Default)]
pub struct Pythons {
    found: Vec<Python>,
    sandbox: Sandbox,
}

impl Pythons {
    /// Looks for Pythons: `extra` ones, those on PATH and those in the places where installers put them. Runs each once,
    /// all at the same time, and drops what does not answer.
    pub async fn discover(extra: &[PathBuf], sandbox: &Sandbox) -> Self {
        let candidates = discover::candidates(extra);
        let mut probes = tokio::task::JoinSet::new();
        for (rank, path) in candidates.into_iter().enumerate() {
            let sandbox = sandbox.clone();
            // The operator has put them there, wrappers too, which may need any file.
            let policy = Policy::closed().read("/");
            probes.spawn(async move { probe(&path, &sandbox, policy).await.ok().map(|python| (rank, python)) });
        }
        let mut found: Vec<(usize, Python)> = probes.join_all().await.into_iter().flatten().collect();
        found.sort_by_key(|(rank, _)| *rank);
        let found = Self::ordered(found.into_iter().map(|(_, python)| python).collect());
        Self { sandbox: sandbox.clone(), ..found }
    }

    /// Removes duplicates and puts the default first: the first preferred one as found on PATH, then the newest ones.
    #[must_use]
    fn ordered(found: Vec<Python>) -> Self {
        let mut unique: Vec<Python> = Vec::new();
        for python in found {
            if unique.iter().all(|known| known.executable != python.executable) {
                unique.push(python);
            }
        }
        let first = unique.iter().position(|python| python.line() >= PREFERRED).map(|index| unique.remove(index));
        unique.sort_by_key(|python| std::cmp::Reverse(python.version));
        Self { found: first.into_iter().chain(unique).collect(), sandbox: Sandbox::off() }
    }

    /// The same; what users name is asked in this sandbox.
    #[must_use]
    pub fn with(self, sandbox: Sandbox) -> Self {
        Self { sandbox, ..self }
    }

    /// Those that `keep` says, and the others.
    #[must_use]
    pub fn partition(self, keep: impl FnMut(&Python) -> bool) -> (Self, Self) {
        let (kept, others) = self.found.into_iter().partition(keep);
        let of = |found| Self { found, sandbox: self.sandbox.clone() };
        (of(kept), of(others))
    }

    /// How processes are started that users have a say in.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Asks a Python that a user has named what it is; one out of an archive may read what came with it.
    async fn probe(&self, path: &Path, archives: Option<&Path>) -> Result<Python, Error> {
        let policy = archives.map_or_else(Policy::closed, |folder| Policy::closed().read(folder));
        probe(path, &self.sandbox, policy.user(self.sandbox.builder())).await
    }

    /// True where the executable, symbolic links resolved, is one of these.
    #[must_use]
    pub fn has(&self, executable: &Path) -> bool {
        self.found.iter().any(|python| python.executable == executable)
    }

    /// Those that interpreters can run on, the default first.
    pub fn usable(&self) -> impl Iterator<Item = &Python> {
        self.found.iter().filter(|python| python.line() >= OLDEST)
    }

    /// What this node offers to the fleet.
    #[must_use]
    pub fn offered(&self) -> Vec<PythonVersion> {
        let offer = |python: &Python| PythonVersion {
            version: python.version_text(),
            executable: python.executable.display().to_string(),
        };
        self.usable().map(offer).collect()
    }

    /// The Python that `wanted` means, unless it lies inside one of the environment's archives.
    ///
    /// # Errors
    /// `ENVIRONMENT_FAILED` saying what this node has instead.
    pub async fn outside_archives(&self, wanted: &str, targets: &[String]) -> Result<Option<Python>, Error> {
        if resolve::is_inside_archive(wanted, targets) {
            return Ok(None);
        }
        self.resolve(wanted, Path::new(""), targets).await.map(Some)
    }

    /// The Python that `wanted` (`Environment.python`) means. `archives` is where the environment's archives lie unpacked.
    ///
    /// # Errors
    /// `ENVIRONMENT_FAILED` saying what this node has instead.
    pub async fn resolve(&self, wanted: &str, archives: &Path, targets: &[String]) -> Result<Python, Error> {
        resolve::resolve(self, wanted, archives, targets).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn python(version: (u32, u32, u32), path: &str) -> Python {
        Python { version, executable: PathBuf::from(path), base_prefix: PathBuf::from("/"), libpython: None }
    }

    #[test]
    fn the_first_preferred_one_is_the_default_then_the_newest() {
        let found = vec![
            python((3, 8, 18), "/a"),
            python((3, 11, 7), "/b"),
            python((3, 9, 1), "/c"),
            python((3, 13, 0), "/d"),
            python((3, 11, 7), "/b"),
        ];
        let pythons = Pythons::ordered(found);
        let usable: Vec<String> = pythons.usable().map(Python::version_text).collect();
        assert_eq!(usable, ["3.11.7", "3.13.0", "3.9.1"]);
        assert_eq!(pythons.found.len(), 4, "the old one is remembered");
    }

    #[tokio::test]
    async fn this_machine_has_pythons_that_run() {
        let pythons = Pythons::discover(&[], &Sandbox::off()).await;
        let default = pythons.usable().next().expect("a Python");
        assert!(default.executable.is_absolute() && default.line() >= OLDEST);
        for python in pythons.usable() {
            assert!(python.libpython.as_ref().is_none_or(|path| path.is_file()), "{python:?}");
        }
    }
}
