//! Builds one environment in place: virtual environments can't be moved.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use udfleet_proto::environment::requirement_lines;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{Artifact, Environment, ErrorCode};

use super::diagnose;
use super::layout::{self, Local};
use super::lease::Lease;
use super::marker::{self, Built};
use super::python_link;
use super::pythons::{Python, Pythons};
use super::unpack;
use super::uv::{self, Uv};
use crate::artifact::ArtifactStore;
use crate::sandbox::{Sandbox, take_over};

/// Takes each line of a build's output.
pub type BuildLog = Arc<dyn Fn(&str) + Send + Sync>;

/// Modes of what other users read.
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// The folders that the environment's archives are unpacked into.
pub(super) fn targets(environment: &Environment) -> Vec<String> {
    environment.archives.iter().map(|artifact| artifact.name.clone()).collect()
}

/// What builds share.
pub(super) struct Builder<'a> {
    pub(super) uv: Option<&'a Path>,
    pub(super) pythons: &'a Pythons,
    pub(super) artifacts: &'a ArtifactStore,
    pub(super) sandbox: &'a Sandbox,
    pub(super) log: &'a BuildLog,
    /// Shared with what a cancelled build leaves running: until that has ended, nobody else may build in its folder.
    pub(super) lease: Arc<Lease>,
}

impl Builder<'_> {
    /// Builds `environment` in the empty folder `dir` and marks it complete.
    pub(super) async fn build(&self, dir: &Path, environment: &Environment) -> Result<Built, Error> {
        let working_dir = dir.join("working");
        self.open(dir, FOLDER_MODE)?;
        let archives = self.fetched(&environment.archives).await?;
        let targets = targets(environment);
        self.blocking({
            let (sandbox, working_dir) = (self.sandbox.clone(), working_dir.clone());
            move || layout::place_archives(&sandbox, &working_dir, &archives)
        })
        .await?;
        let python = self.pythons.resolve(&environment.python, &working_dir, &targets).await?;
        let own = python.executable.starts_with(&working_dir);
        let venv = self.create(dir, &python, own).await?;
        self.install(dir, &venv, environment).await?;
        let files = self.fetched(&environment.files).await?;
        let (root, sandbox) = (dir.join("files"), self.sandbox.clone());
        let sys_path = self.blocking(move || layout::place_files(&sandbox, &root, &files)).await?;
        self.take_over(dir).await?;
        python_link::confirm(&venv, &python, self.pythons, own.then_some(dir))?;
        let (version, no_archives) = (python.version_text(), targets.is_empty());
        let built = Built { python: venv, version, libpython: python.libpython, sys_path, working_dir, no_archives };
        marker::write(dir, &built).map_err(|e| failed(dir, &e))?;
        Ok(built)
    }

    /// Lets the users of builds and of environments read what is the executor's, where there are such.
    fn open(&self, path: &Path, mode: u32) -> Result<(), Error> {
        match self.sandbox.builder() {
            Some(_) => {
                std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|error| failed(path, &error))
            }
            None => Ok(()),
        }
    }

    /// What was built by a user of builds is the executor's from now on: no later build changes it.
    async fn take_over(&self, dir: &Path) -> Result<(), Error> {
        let Some(builder) = self.sandbox.builder() else { return Ok(()) };
        let dir = dir.to_owned();
        self.blocking(move || {
            let all = std::fs::read_dir(&dir).map_err(|error| failed(&dir, &error))?.flatten();
            all.map(|entry| entry.path()).try_for_each(|path| take_over(&path, builder).map_err(|e| failed(&path, &e)))
        })
        .await
    }

    async fn fetched(&self, artifacts: &[Artifact]) -> Result<Vec<Local>, Error> {
        let mut local = Vec::with_capacity(artifacts.len());
        for artifact in artifacts {
            local.push((artifact.clone(), self.artifacts.fetch(artifact).await?));
        }
        Ok(local)
    }

    /// A Python from an archive brings its own packages: these stay visible.
    async fn create(&self, dir: &Path, python: &Python, own_packages: bool) -> Result<PathBuf, Error> {
        (self.log)(&format!("Python {} at {}", python.version_text(), python.executable.display()));
        let venv = dir.join(uv::VENV);
        let mut arguments = vec!["venv".as_ref(), "--quiet".as_ref(), "--no-project".as_ref(), "--python".as_ref()];
        arguments.extend([python.executable.as_os_str(), venv.as_os_str()]);
        if own_packages {
            arguments.push("--system-site-packages".as_ref());
        }
        let uv = Uv::find(self.uv, self.sandbox)?;
        uv.run(dir, &python.executable, &arguments, self.log).await.map_err(|output| {
            let message = format!(
                "can't make a virtual environment for Python {}: {}",
                python.executable.display(),
                diagnose::last_lines(&output)
            );
            Error::new(ErrorCode::EnvironmentFailed, message)
        })?;
        Ok(venv.join("bin/python"))
    }

    async fn install(&self, dir: &Path, python: &Path, environment: &Environment) -> Result<(), Error> {
        let lines = requirement_lines(&environment.requirements);
        if lines.is_empty() {
            return Ok(());
        }
        let file = dir.join("requirements.txt");
        std::fs::write(&file, lines.join("\n") + "\n").map_err(|e| failed(dir, &e))?;
        self.open(&file, FILE_MODE)?;
        let mut arguments = vec!["pip".as_ref(), "install".as_ref(), "--python".as_ref(), python.as_os_str()];
        arguments.extend(["-r".as_ref(), file.as_os_str()]);
        let constraints = requirement_lines(&environment.constraints);
        let constraints_file = dir.join("constraints.txt");
        if !constraints.is_empty() {
            std::fs::write(&constraints_file, constraints.join("\n") + "\n").map_err(|e| failed(dir, &e))?;
            self.open(&constraints_file, FILE_MODE)?;
            arguments.extend(["-c".as_ref(), constraints_file.as_os_str()]);
        }
        let cache = self.offline_packages(dir, environment).await?;
        if let Some(cache) = &cache {
            arguments.extend(["--offline".as_ref(), "--no-index".as_ref(), "--find-links".as_ref(), cache.as_os_str()]);
        }
        let uv = Uv::find(self.uv, self.sandbox)?;
        uv.run(dir, python, &arguments, self.log).await.map_err(|output| {
            for line in diagnose::last_lines(&output).lines() {
                tracing::debug!(environment = %dir.display(), "uv: {line}");
            }
            diagnose::install_failed(&output, &lines)
        })
    }

    async fn offline_packages(&self, dir: &Path, environment: &Environment) -> Result<Option<PathBuf>, Error> {
        let Some(artifact) = environment.requirements_cache.clone() else { return Ok(None) };
        let content = self.artifacts.fetch(&artifact).await?;
        let (folder, sandbox) = (dir.join("packages"), self.sandbox.clone());
        self.blocking(move || {
            std::fs::create_dir_all(&folder).map_err(|e| failed(&folder, &e))?;
            unpack::unpack_contained(&sandbox, &content, &folder, Path::new(""), &artifact.name)?;
            Ok(Some(folder))
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let lease = Arc::clone(&self.lease);
        let held = move || {
            let _lease = lease;
            work()
        };
        let lost = |e| Error::internal(format!("laying out an environment was cut short: {e}"));
        tokio::task::spawn_blocking(held).await.map_err(lost)?
    }
}

pub(super) fn failed(place: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorCode::EnvironmentFailed, format!("environment in {}: {error}", place.display()))
        .hint("check space and permissions of the executor's environments folder")
}
