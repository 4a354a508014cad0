//! Interpreters can't write beside the modules that they import, so what Python would keep there is made once, in the
//! background, when an environment has been built.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::process::Child;

use super::Built;
use crate::orphans;
use crate::sandbox::{Policy, Sandbox};

/// It does not take time from calls.
const NICE: i32 = 19;

/// Compiles the modules of a fresh environment, which lies in `dir`, and those of the SDK where that was not done yet.
pub(super) async fn compile(sandbox: &Sandbox, built: &Built, dir: &Path, sdk: &Path, fresh: bool) {
    let brought_along = built.python.canonicalize().is_ok_and(|python| python.starts_with(dir));
    // The environment is the executor's, as who it would run: then not a Python out of an archive.
    if fresh && !(brought_along && sandbox.builder().is_some()) {
        let own: Vec<PathBuf> =
            [dir.join("venv"), dir.join("files")].into_iter().filter(|folder| folder.is_dir()).collect();
        run(sandbox, built, dir, &own).await;
    }
    // A Python out of an archive must not write what others run.
    if !brought_along && !is_compiled(sdk, &built.version) {
        run(sandbox, built, dir, &[sdk.to_owned()]).await;
    }
}

/// Whether this version of Python has been given the SDK's.
pub(super) fn is_compiled(sdk: &Path, version: &str) -> bool {
    let mut line = version.split('.');
    let tag = format!("{}{}", line.next().unwrap_or_default(), line.next().unwrap_or_default());
    sdk.join(format!("udfleet/__pycache__/__init__.cpython-{tag}.pyc")).is_file()
}

/// Nothing that a package brings is run, only read: `-S` leaves .pth files out.
async fn run(sandbox: &Sandbox, built: &Built, dir: &Path, folders: &[PathBuf]) {
    let policy = folders.iter().fold(Policy::closed().shared().python(&built.python).read(dir), Policy::write);
    let mut command = tokio::process::Command::from(sandbox.command(&built.python, &policy));
    command.args(["-I", "-S", "-m", "compileall", "-q"]).args(folders).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: system calls on the child alone, which allocate nothing.
    unsafe {
        command.pre_exec(|| {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            rustix::process::setpriority_process(None, NICE)?;
            Ok(())
        });
    }
    // Modules that are no Python of this version fail by themselves, and are compiled by who imports them.
    let compiled = match orphans::start(|| command.spawn(), Child::id) {
        Ok((mut child, _own)) => child.wait().await.map(drop),
        Err(error) => Err(error),
    };
    if let Err(error) = compiled {
        tracing::debug!(environment = %dir.display(), "modules were not compiled: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_own_bytecode() {
        let sdk = tempfile::tempdir().unwrap();
        let cache = sdk.path().join("udfleet/__pycache__");
        std::fs::create_dir_all(&cache).unwrap();
        std::fs::write(cache.join("__init__.cpython-311.pyc"), "").unwrap();
        assert!(is_compiled(sdk.path(), "3.11.7"));
        assert!(!is_compiled(sdk.path(), "3.12.1"));
    }
}
