//! Runs a program as a child and ends all that it starts: with the program, and when the executor dies, whatever their groups
//! and sessions. The kernel's own signal reaches one process only: not what uv builds with.

use std::io;

use rustix::process::{Pid, WaitOptions, getppid, set_child_subreaper, waitpid};

use crate::descendants::end_all;

/// How often it is looked at who the parent is, beside its signal.
static PERIOD: libc::timespec = libc::timespec { tv_sec: 1, tv_nsec: 0 };
/// The status of a program that could not be started.
const NOT_STARTED: i32 = 120;

/// Runs `become_program`, which comes back only where it fails, in a child, and takes its status.
pub fn run(become_program: impl FnOnce() -> String) -> Result<i32, String> {
    let problem = |error: io::Error| format!("can't look after a program: {error}");
    let executor = getppid();
    set_child_subreaper(Pid::from_raw(1)).map_err(|error| problem(error.into()))?;
    let before = watch_signals().map_err(problem)?;
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        restore_signals(&before);
        // SAFETY: a plain system call. Who looks after this process is not to be ended alone.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) };
        eprintln!("udfleet-interpreter: {}", become_program());
        std::process::exit(NOT_STARTED);
    }
    let child = Pid::from_raw(child).filter(|_| child > 0).ok_or_else(|| problem(io::Error::last_os_error()))?;
    let status = wait(child, executor);
    end_all();
    match status {
        Some(status) => Ok(as_own(status)),
        None => Err("the executor is gone".to_owned()),
    }
}

/// The status of the child; `None` once the executor has ended.
fn wait(child: Pid, executor: Option<Pid>) -> Option<i32> {
    loop {
        while let Ok(Some((ended, status))) = waitpid(None, WaitOptions::NOHANG) {
            if ended == child {
                return Some(status.as_raw());
            }
        }
        if getppid() != executor || next_signal() == libc::SIGTERM {
            return None;
        }
    }
}

fn signals() -> libc::sigset_t {
    // SAFETY: a set of signals is plain data that the calls fill.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        set
    }
}

/// From now on they wait until they are asked for. Gives those that waited before.
fn watch_signals() -> io::Result<libc::sigset_t> {
    let set = signals();
    // SAFETY: as above, and plain system calls on this process.
    unsafe {
        let mut before: libc::sigset_t = std::mem::zeroed();
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, &raw mut before) != 0
            || libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM, 0, 0, 0) != 0
        {
            return Err(io::Error::last_os_error());
        }
        Ok(before)
    }
}

fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: a plain system call on this process.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
}

/// The next of them, or another number after a while.
fn next_signal() -> libc::c_int {
    let set = signals();
    // SAFETY: all structures outlive the call.
    unsafe { libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const PERIOD) }
}

/// A program that a signal has ended is told as such.
fn as_own(status: i32) -> i32 {
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        // SAFETY: plain system calls on this process.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            let set = signals();
            libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
            libc::raise(signal);
        }
        return 128 + signal;
    }
    libc::WEXITSTATUS(status)
}
