//! Whether what a root executor starts runs as users of its own, and what its folders need for that.

use std::fs::Permissions;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use udfleet_edge::config::invalid;
use udfleet_proto::error::Error;

use crate::config::{SandboxSwitch, Settings};
use crate::environment::{Python, Pythons};
use crate::node::Programs;
use crate::sandbox::{LOCKS, Sandbox, SandboxPart, Users, closed_at, give};

/// Others pass through, and see nothing of what is in there.
const PASSAGE: u32 = 0o711;

/// Where executors keep what their interpreters get to see.
pub struct Folders<'a> {
    /// Temporary files of interpreters.
    pub temporary: &'a Path,
    /// Built environments.
    pub environments: &'a Path,
}

/// The sandbox with users of its own, and the Pythons that these can read, where the executor is root and that is possible.
/// Where the settings name the users it has to be, whichever Pythons are left; else all Pythons stay, and a closed one is a
/// reason for doing without users.
///
/// # Errors
/// `INVALID_CONFIG` saying what is in the way.
pub async fn apply(
    sandbox: Sandbox,
    settings: &Settings,
    folders: &Folders<'_>,
    programs: &Programs,
    pythons: Pythons,
) -> Result<Pythons, Error> {
    let root = rustix::process::geteuid().is_root();
    if let Some(range) = settings.sandbox_users.filter(|_| !root) {
        return Err(invalid(format!("sandbox_users is {range}, and only root can start processes as other users"))
            .hint("leave it out: what this user's executor starts runs as this user"));
    }
    if settings.sandbox == SandboxSwitch::Off || !root {
        return Ok(pythons.with(sandbox));
    }
    if settings.sandbox_without.contains(&SandboxPart::Users) {
        return Ok(pythons.with(sandbox.with_users(Err("they are turned off".to_owned()))?));
    }
    let named = settings.sandbox_users.is_some();
    let found = match find(&sandbox, settings, folders).await {
        Ok(users) => first_closed(settings, folders, programs, (!named).then_some(&pythons)).map_or(Ok(users), Err),
        Err(reason) => Err(reason),
    };
    let refused = |reason: String| {
        invalid(format!("sandbox_users: {reason}"))
            .hint("name other users, make what is named readable for them, or leave sandbox_users out")
    };
    if !named {
        return Ok(pythons.with(sandbox.with_users(found)?));
    }
    let sandbox = sandbox.with_users(Ok(found.map_err(refused)?))?;
    let (open, closed) = pythons.partition(|python| closed_python(python).is_none());
    for python in closed.usable() {
        tracing::warn!("Python {} is not offered: it is for root only", python.executable.display());
    }
    if open.usable().next().is_none() {
        return Err(refused("every Python that was found is for root only".to_owned()));
    }
    Ok(open.with(sandbox))
}

fn closed_python(python: &Python) -> Option<PathBuf> {
    [Some(&python.executable), python.libpython.as_ref()].into_iter().flatten().find_map(|path| closed_at(path))
}

async fn find(sandbox: &Sandbox, settings: &Settings, folders: &Folders<'_>) -> Result<Users, String> {
    let users = Users::new(settings.sandbox_users.unwrap_or_default(), Path::new(LOCKS), Path::new("/"))?;
    let (builder, temporary) = (users.of_builds(), folders.temporary);
    if !sandbox.runs_as(builder).await {
        return Err("this process may not start others as other users (CAP_SETUID, CAP_SETGID)".to_owned());
    }
    open(temporary).and_then(|()| open(folders.environments)).map_err(|error| error.to_string())?;
    tempfile::NamedTempFile::new_in(temporary)
        .and_then(|file| give(file.path(), builder))
        .map_err(|error| format!("this process may not give files away (CAP_CHOWN, CAP_FOWNER): {error}"))?;
    Ok(users)
}

/// Makes the folder where it is missing, and lets others pass where it is the executor's own.
fn open(folder: &Path) -> std::io::Result<()> {
    let made = !folder.exists();
    std::fs::DirBuilder::new().recursive(true).mode(PASSAGE).create(folder)?;
    let mode = folder.metadata()?.permissions().mode();
    // An operator who has closed an existing folder of environments knows why.
    if made || mode & 0o777 == 0o700 && folder.read_dir()?.next().is_none() {
        std::fs::set_permissions(folder, Permissions::from_mode(PASSAGE))?;
    }
    Ok(())
}

/// What these users could not get to, although all of them need it.
fn first_closed(
    settings: &Settings,
    folders: &Folders<'_>,
    programs: &Programs,
    pythons: Option<&Pythons>,
) -> Option<String> {
    let uv = settings.uv.clone().or_else(|| which::which("uv").ok());
    let needed = [
        programs.executor.clone(),
        programs.host.clone(),
        programs.module.clone(),
        folders.temporary.into(),
        folders.environments.into(),
    ];
    let closed = needed.into_iter().chain(uv).find_map(|path| closed_at(&path).map(|at| (path, at)));
    let closed = closed.or_else(|| {
        let mut pythons = pythons?.usable();
        pythons.find_map(|python| closed_python(python).map(|at| (python.executable.clone(), at)))
    });
    closed.map(|(path, at)| format!("{} is for root only at {}", path.display(), at.display()))
}
