//! When the executor dies, all processes that user code has started must end, and this one with them. User code may
//! ignore signals, and its processes may have sessions of their own: so a thread looks who the parent is, and ends them one
//! generation after the other. The kernel's signal only makes that fast.

use std::ptr::null;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::getppid;
use udfleet_proto::limits::PARENT_DEATH_SIGNAL;

use crate::descendants::end_all;

/// How often it is looked at who the parent is.
const PERIOD: Duration = Duration::from_secs(1);

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
    end_all();
}
