//! Unpacking in a process of its own, which may write to the folder and do nothing else: the formats are intricate, and what
//! is read comes from users. The process is this program, started as `udfleet-executor unpack`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use prost::Message as _;
use rustix::process::{Signal, set_parent_process_death_signal};
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, ErrorInfo};

use super::folder::MAX_BYTES;
use super::unpack;
use crate::orphans;
use crate::sandbox::{Policy, Sandbox, collect, give};

/// The task of this program, its first argument.
pub const TASK: &str = "unpack";

/// Unpacks as [`unpack()`] does, contained; in this process where the sandbox is off. With users of their own `root` becomes
/// that of builds, with what it holds.
///
/// # Errors
/// As [`unpack()`].
pub(in crate::environment) fn unpack_contained(
    sandbox: &Sandbox,
    content: &Path,
    root: &Path,
    inside: &Path,
    name: &str,
) -> Result<(), Error> {
    let failed = |what: &str, error: io::Error| {
        Error::new(ErrorCode::EnvironmentFailed, format!("can't unpack {name:?} of the environment: {what}: {error}"))
            .hint("check the disk of the executor's work folder, and that its programs are where it was started from")
    };
    let file = File::open(content).map_err(|error| failed("it can't be read", error))?;
    let Some(program) = sandbox.executor() else { return unpack(&file, root, inside, name) };
    let builder = sandbox.builder();
    std::fs::create_dir_all(root)
        .and_then(|()| builder.map_or(Ok(()), |builder| give(root, builder)))
        .map_err(|error| failed("its folder", error))?;
    let policy = Policy::closed().user(builder).shared().read(program).write(root).largest_file(MAX_BYTES);
    let mut command = sandbox.command(program, &policy);
    command.arg(TASK).args([root, inside, Path::new(name)]).current_dir(root);
    command.stdin(file).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: one system call, which is async-signal-safe and allocates nothing.
    unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?)) };
    let started = orphans::start(|| command.spawn(), |child| Some(child.id()));
    let (child, _own) = started.map_err(|error| failed("its process", error))?;
    let output = collect(child).map_err(|error| failed("its process", error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(match ErrorInfo::decode(output.stdout.as_slice()) {
        Ok(info) if info.code != 0 => Error::from(info),
        _ => failed(&output.status.to_string(), io::Error::other(String::from_utf8_lossy(&output.stderr).trim())),
    })
}

/// The process: unpacks what comes on its standard input, and answers with an error on its standard output.
#[must_use]
pub fn unpack_here(arguments: &[OsString]) -> ExitCode {
    let [root, inside, name] = arguments else { return ExitCode::from(2) };
    let content = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let content = content.map_err(|error| Error::internal(format!("nothing to unpack: {error}")));
    let name = name.to_string_lossy();
    match content.and_then(|content| unpack(&content, Path::new(root), Path::new(inside), &name)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody reads it, the status tells that something was wrong.
            let _ = io::stdout().write_all(&error.info().encode_to_vec());
            ExitCode::FAILURE
        }
    }
}
