//! Environments on this node's disk, addressed by content: built once for any number of functions and executors.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use udfleet_edge::private;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{Environment, ErrorCode};

use super::build::{BuildLog, Builder, failed, targets};
use super::lease::{Lease, Mode};
use super::marker::{self, Built};
use super::packages;
use super::pythons::{Python, Pythons};
use super::{bytecode, sdk};
use crate::artifact::ArtifactStore;
use crate::sandbox::{Sandbox, UserLease, closed_at, take_over};

/// The longest that building one environment may take, waiting for others included.
const LONGEST_BUILD: Duration = Duration::from_secs(15 * 60);

/// How often a lock that others hold is tried: they may be other processes.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// Hexadecimal digits that tell the Python in a folder's name.
const PYTHON_DIGITS: usize = 8;

/// Builds, keeps and collects environments below one folder.
pub struct EnvironmentStore {
    dir: PathBuf,
    uv: Option<PathBuf>,
    pythons: Pythons,
    artifacts: Arc<ArtifactStore>,
    sandbox: Sandbox,
    sdk: PathBuf,
}

/// A built environment in use: while it is leased it is neither removed nor rebuilt.
#[derive(Debug)]
pub struct LeasedEnvironment {
    /// What interpreters need to know.
    pub built: Built,
    /// The user that its interpreters run as; none: the executor's.
    pub user: Option<UserLease>,
    dir: PathBuf,
    _lease: Lease,
}

impl LeasedEnvironment {
    /// All that belongs to it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.dir
    }
}

impl Drop for LeasedEnvironment {
    fn drop(&mut self) {
        // Unused from now on. Should this fail, the environment is merely collected earlier.
        let _ = marker::touch(&self.dir);
    }
}

impl EnvironmentStore {
    /// A store in `dir`, which is made if need be.
    ///
    /// # Errors
    /// `ENVIRONMENT_FAILED` when the folder can't be made.
    pub fn new(
        dir: PathBuf,
        uv: Option<PathBuf>,
        pythons: Pythons,
        artifacts: Arc<ArtifactStore>,
        sandbox: Sandbox,
    ) -> Result<Self, Error> {
        private::create_folder(&dir).map_err(|e| failed(&dir, &e))?;
        let sdk = sdk::install(&dir).and_then(|sdk| {
            // Made by this process, and maybe with rights for nobody else.
            let shared = sandbox.builder().and(sdk.parent());
            shared.map_or(Ok(()), |shared| take_over(shared, rustix::process::geteuid().as_raw()))?;
            Ok(sdk)
        });
        let sdk = sdk.map_err(|e| {
            let message = format!("the SDK's Python package can't be written below {}: {e}", dir.display());
            Error::new(ErrorCode::InvalidConfig, message)
        })?;
        Ok(Self { dir, uv, pythons, artifacts, sandbox, sdk })
    }

    /// The folder that holds the SDK's Python package.
    #[must_use]
    pub fn sdk(&self) -> &Path {
        &self.sdk
    }

    /// The environment `hash`, built if it is not there yet. Dropping the future cancels the build.
    ///
    /// # Errors
    /// `ENVIRONMENT_FAILED` naming the package, Python, file or bound at fault; what fetching artifacts says.
    pub async fn obtain(
        &self,
        hash: &str,
        environment: &Environment,
        log: &BuildLog,
    ) -> Result<LeasedEnvironment, Error> {
        let minutes = LONGEST_BUILD.as_secs() / 60;
        tokio::time::timeout(LONGEST_BUILD, self.obtain_unbounded(hash, environment, log)).await.unwrap_or_else(|_| {
            let message = format!("building the environment took longer than the limit of {minutes} minutes");
            Err(Error::new(ErrorCode::EnvironmentFailed, message)
                .hint("pin versions that have wheels, or prepare the packages in a requirements cache"))
        })
    }

    async fn obtain_unbounded(
        &self,
        hash: &str,
        environment: &Environment,
        log: &BuildLog,
    ) -> Result<LeasedEnvironment, Error> {
        let name = self.name(hash, environment).await?;
        let (dir, lock) = (self.dir.join(&name), self.lock_file(&name));
        let (mut told, mut fresh) = (false, false);
        loop {
            if let Some(held) = complete(&dir, &lock).map_err(|e| failed(&dir, &e))? {
                match self.closed(&held.built) {
                    None => {
                        self.compile_in_background(&dir, &lock, &held.built, fresh);
                        return Ok(held);
                    }
                    Some(at) if fresh => return Err(closed_to_users(&at)),
                    // Built when no user but the executor's needed to read it.
                    Some(_) => {}
                }
            }
            match Lease::try_acquire(&lock, Mode::Exclusive).map_err(|e| failed(&dir, &e))? {
                // A lock can't be weakened in one step, and somebody may come in between: the loop looks again.
                Some(lease) => {
                    fresh |= self.build_if_incomplete(&dir, environment, log, Arc::new(lease)).await?;
                }
                None => {
                    if !std::mem::replace(&mut told, true) {
                        log("waiting for another build of this environment on this node");
                    }
                    tokio::time::sleep(LOCK_POLL).await;
                }
            }
        }
    }

    /// The environment's folder. It tells the Python: what `python3.11` or a path means may change, and differ between
    /// executors that share the folder.
    async fn name(&self, hash: &str, environment: &Environment) -> Result<String, Error> {
        let python = self.pythons.outside_archives(&environment.python, &targets(environment)).await?;
        Ok(python.map_or_else(|| hash.to_owned(), |python| format!("{hash}-{}", identity(&python))))
    }

    /// What keeps interpreters that have a user of their own from it.
    fn closed(&self, built: &Built) -> Option<PathBuf> {
        self.sandbox.builder()?;
        let all = [Some(&built.python), built.libpython.as_ref(), Some(&built.working_dir)];
        all.into_iter().flatten().chain(&built.sys_path).find_map(|path| closed_at(path))
    }

    /// True where it was.
    async fn build_if_incomplete(
        &self,
        dir: &Path,
        environment: &Environment,
        log: &BuildLog,
        lease: Arc<Lease>,
    ) -> Result<bool, Error> {
        if marker::read(dir).is_some_and(|built| self.closed(&built).is_none()) {
            return Ok(false);
        }
        wipe(dir).await?;
        let (uv, sandbox) = (self.uv.as_deref(), &self.sandbox);
        let builder = Builder { uv, pythons: &self.pythons, artifacts: &self.artifacts, sandbox, log, lease };
        let built = builder.build(dir, environment).await;
        if built.is_err() {
            // Half an environment is of no use to anybody, and may be large.
            let _ = tokio::fs::remove_dir_all(dir).await;
        }
        built.map(|_| true)
    }

    /// Where it has just been built, or the SDK has changed since.
    fn compile_in_background(&self, dir: &Path, lock: &Path, built: &Built, fresh: bool) {
        if !fresh && bytecode::is_compiled(&self.sdk, &built.version) {
            return;
        }
        let (sandbox, sdk, dir, lock) = (self.sandbox.clone(), self.sdk.clone(), dir.to_owned(), lock.to_owned());
        tokio::spawn(async move {
            if let Ok(Some(held)) = complete(&dir, &lock) {
                bytecode::compile(&sandbox, &held.built, &dir, &sdk, fresh).await;
            }
        });
    }

    fn lock_file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.lock"))
    }

    /// Hashes of complete environments, sorted.
    #[must_use]
    pub fn built(&self) -> Vec<String> {
        let complete = self.names().filter(|name| marker::read(&self.dir.join(name)).is_some());
        complete.filter_map(|name| hash_of(&name).map(str::to_owned)).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What an environment holds, where it is built: `numpy==2.1.0`, sorted.
    #[must_use]
    pub fn packages(&self, hash: &str) -> Vec<String> {
        let built = self.names().filter(|name| hash_of(name) == Some(hash));
        let built = built.filter_map(|name| marker::read(&self.dir.join(name))).next();
        built.map(|built| packages::of(&built.python)).unwrap_or_default()
    }

    /// Folders of environments.
    fn names(&self) -> impl Iterator<Item = String> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir()));
        folders.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| hash_of(name).is_some())
    }

    /// Removes environments that were not used for `ttl`; returns their hashes. Those in use, here or by another
    /// executor, stay.
    pub fn collect(&self, ttl: Duration) -> Vec<String> {
        let unused = |name: &String| {
            let used = marker::last_used(&self.dir.join(name)).unwrap_or_else(|_| SystemTime::now());
            used.elapsed().is_ok_and(|age| age >= ttl)
        };
        let removed = self.names().filter(unused).filter(|name| self.remove_unused(name));
        removed.filter_map(|name| hash_of(&name).map(str::to_owned)).collect()
    }

    fn remove_unused(&self, name: &str) -> bool {
        let (dir, lock) = (self.dir.join(name), self.lock_file(name));
        let Ok(Some(_lease)) = Lease::try_acquire(&lock, Mode::Exclusive) else { return false };
        let removed = std::fs::remove_dir_all(&dir);
        if let Err(error) = &removed {
            tracing::warn!(environment = name, "can't remove an unused environment: {error}");
        }
        let _ = std::fs::remove_file(&lock);
        removed.is_ok()
    }
}

/// The environment in `dir`, if it is complete and not being changed.
fn complete(dir: &Path, lock: &Path) -> std::io::Result<Option<LeasedEnvironment>> {
    if marker::read(dir).is_none() {
        return Ok(None);
    }
    let Some(lease) = Lease::try_acquire(lock, Mode::Shared)? else { return Ok(None) };
    Ok(marker::read(dir).map(|built| LeasedEnvironment { built, user: None, dir: dir.to_owned(), _lease: lease }))
}

/// Of the folder's name: the environment's hash, which what tells its Python may follow.
fn hash_of(name: &str) -> Option<&str> {
    let (hash, python) = name.split_once('-').unwrap_or((name, ""));
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    (hash.len() == 16 && hex(hash) && matches!(python.len(), 0 | PYTHON_DIGITS) && hex(python)).then_some(hash)
}

/// Tells one Python of this node from another, and from what it was before an update.
fn identity(python: &Python) -> String {
    let text = format!("{}\0{}", python.executable.display(), python.version_text());
    let mut digest = hex::encode(Sha256::digest(text));
    digest.truncate(PYTHON_DIGITS);
    digest
}

fn closed_to_users(at: &Path) -> Error {
    let message = format!("{} is for root only, and the environment's interpreters run as another user", at.display());
    Error::new(ErrorCode::EnvironmentFailed, message)
        .hint("let all users read it, or choose a Python that they can read; see --sandbox-users")
}

async fn wipe(dir: &Path) -> Result<(), Error> {
    match tokio::fs::remove_dir_all(dir).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(dir, &error)),
        _ => {}
    }
    tokio::fs::create_dir_all(dir).await.map_err(|e| failed(dir, &e))
}
