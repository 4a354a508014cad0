//! Starts an interpreter process and waits for its end.
//!
//! The crate `process-wrap` would only provide `setsid`: the parent-death signal, the sockets on descriptors 3 and 4, closing
//! all others, and `wait4`, which reports the peak memory, need our own hooks anyway.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio::sync::watch;
use udfleet_proto::limits::{PARENT_DEATH_SIGNAL, SYS_PATH_VARIABLE};
use udfleet_proto::v1::ProcessExit;

use super::InterpreterSpec;
use crate::oom;
use crate::orphans::{self, OwnProcess};
use crate::secrets::SecretValue;

/// Where the child finds its control socket.
const CONTROL: RawFd = 3;
/// Where it finds the one for keyed state.
const STATE: RawFd = 4;

/// A started process: its pipes are still to be drained.
pub struct Started {
    pub pid: u32,
    pub child: Child,
    own: OwnProcess,
}

/// Starts the host: in its own session, dying with us, with no descriptors but its pipes and two sockets.
pub fn spawn(spec: &InterpreterSpec, control: &OwnedFd, state: &OwnedFd) -> io::Result<Started> {
    let mut command = Command::new(&spec.host);
    command
        .args(&spec.containment)
        .arg("python")
        .arg(&spec.module)
        .arg(spec.libpython.as_deref().unwrap_or(Path::new("-")))
        .arg(&spec.python)
        .current_dir(&spec.working_dir)
        .env_clear()
        .envs(spec.env.iter().map(|(key, value)| (key, value)))
        .envs(spec.secrets.iter().filter_map(SecretValue::variable))
        .env(SYS_PATH_VARIABLE, sys_path(spec))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let (control, state, parent) = (control.as_raw_fd(), state.as_raw_fd(), std::process::id());
    // SAFETY: only async-signal-safe system calls between fork and exec.
    unsafe { command.pre_exec(move || prepare_child(control, state, parent)) };
    let (child, own) = orphans::start(|| command.spawn(), |child| Some(child.id()))?;
    Ok(Started { pid: child.id(), child, own })
}

fn sys_path(spec: &InterpreterSpec) -> OsString {
    let folders: Vec<&OsStr> = spec.sys_path.iter().map(|folder| folder.as_os_str()).collect();
    folders.join(OsStr::new(":"))
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn prepare_child(control: RawFd, state: RawFd, parent: u32) -> io::Result<()> {
    // SAFETY: plain system calls on this process alone.
    unsafe {
        check(libc::setsid())?;
        check(libc::prctl(libc::PR_SET_PDEATHSIG, PARENT_DEATH_SIGNAL))?;
        // The parent may have died before the line above.
        if libc::getppid() as u32 != parent {
            return Err(io::Error::other("the executor is gone"));
        }
        // Above both: one must not be closed to make place for the other.
        let control = libc::fcntl(control, libc::F_DUPFD, STATE + 1);
        check(control)?;
        let state = libc::fcntl(state, libc::F_DUPFD, STATE + 1);
        check(state)?;
        check(libc::dup2(control, CONTROL))?;
        check(libc::dup2(state, STATE))?;
        check(libc::syscall(libc::SYS_close_range, STATE + 1, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
            as libc::c_int)?;
    }
    Ok(())
}

/// Sends SIGKILL to the interpreter and everything that it started.
pub fn kill_group(pid: u32) {
    // SAFETY: a system call; the group is the child's own session. A group that is gone gives an error, ignored.
    unsafe { libc::kill(-(pid as libc::pid_t), libc::SIGKILL) };
}

/// Waits for the process on a thread of its own: `wait4` tells its peak memory, which no async API does.
pub fn watch_exit(started: Started) -> io::Result<watch::Receiver<Option<ProcessExit>>> {
    let (sender, receiver) = watch::channel(None);
    let Started { pid, child, own } = started;
    let wait = move || {
        let exit = wait4(pid);
        // What the interpreter started itself must not outlive it, whatever its group and session.
        kill_group(pid);
        drop((child, own));
        orphans::end_stray();
        let _ = sender.send(Some(exit));
    };
    std::thread::Builder::new().name(format!("wait-{pid}")).stack_size(64 << 10).spawn(wait)?;
    Ok(receiver)
}

fn wait4(pid: u32) -> ProcessExit {
    let mut status = 0;
    // SAFETY: rusage is plain data that wait4 fills.
    let (result, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        loop {
            let result = libc::wait4(pid as libc::pid_t, &raw mut status, 0, &raw mut usage);
            if result >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                break (result, usage);
            }
        }
    };
    if result < 0 {
        return ProcessExit { status: -1, ..ProcessExit::default() };
    }
    ProcessExit {
        signal: if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { 0 },
        status: if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 0 },
        // Linux counts in KiB.
        peak_rss_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) << 10,
        out_of_memory: libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL && oom::has_just_killed(),
        ..ProcessExit::default()
    }
}

/// The name of a signal, for people.
#[must_use]
pub fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGABRT => "SIGABRT",
        libc::SIGKILL => "SIGKILL",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGILL => "SIGILL",
        libc::SIGTERM => "SIGTERM",
        libc::SIGINT => "SIGINT",
        _ => return format!("signal {signal}"),
    };
    format!("{name} (signal {signal})")
}
