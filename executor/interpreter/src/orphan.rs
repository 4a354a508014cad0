//! When the executor dies, all processes that user code has started must end, and this one with them. User code may
//! ignore signals, and its processes may have sessions of their own: so a thread looks who the parent is, and ends them one
//! generation after the other. The kernel's signal only makes that fast.

use std::fs;
use std::ptr::null;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getppid, kill_process, waitpid};
use udfleet_proto::limits::PARENT_DEATH_SIGNAL;

/// How often it is looked at who the parent is.
const PERIOD: Duration = Duration::from_secs(1);
/// How often it is tried to end what user code starts meanwhile.
const ROUNDS: u32 = 2_000;
const PAUSE: Duration = Duration::from_millis(1);

/// Not 0 once the kernel's signal has come.
static CALLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn call(_: libc::c_int) {
    CALLED.store(1, Ordering::Release);
    futex(libc::FUTEX_WAKE, 1, null());
}

/// A system call that a signal's handler may make.
fn futex(operation: libc::c_int, value: u32, timeout: *const libc::timespec) {
    // SAFETY: the word is static; the timeout is null or outlives the call. A failure is a wake-up for nothing.
    unsafe { libc::syscall(libc::SYS_futex, CALLED.as_ptr(), operation, value, timeout) };
}

/// Installs the handler and starts the thread.
pub fn watch() -> std::io::Result<()> {
    let executor = getppid();
    let look = move || {
        while CALLED.load(Ordering::Acquire) == 0 && getppid() == executor {
            let timeout = libc::timespec { tv_sec: PERIOD.as_secs() as libc::time_t, tv_nsec: 0 };
            futex(libc::FUTEX_WAIT, 0, &raw const timeout);
        }
        end_children();
        // SAFETY: a system call; the group is this process's own.
        unsafe { libc::kill(0, libc::SIGKILL) };
    };
    std::thread::Builder::new().name("udfleet-orphan".to_owned()).stack_size(64 << 10).spawn(look)?;
    let handler: extern "C" fn(libc::c_int) = call;
    // SAFETY: the handler only makes a system call.
    unsafe { libc::signal(PARENT_DEATH_SIGNAL, handler as libc::sighandler_t) };
    Ok(())
}

/// Ends all processes that user code has started, whatever their groups and sessions.
pub fn end_children() {
    // Children of those that end become this process's own.
    // SAFETY: a plain system call.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    for _ in 0..ROUNDS {
        let children = children();
        if children.is_empty() {
            return;
        }
        for child in children {
            // Fails for one that has ended.
            let _ = kill_process(child, Signal::KILL);
        }
        std::thread::sleep(PAUSE);
        while let Ok(Some(_)) = waitpid(None, WaitOptions::NOHANG) {}
    }
}

/// Those of all threads; none where the kernel does not list them.
fn children() -> Vec<Pid> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let pids: Vec<i32> =
        lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect();
    pids.into_iter().filter_map(Pid::from_raw).collect()
}
