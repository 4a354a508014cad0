//! When the executor dies, everything that user code has started goes with this process: the kernel tells, and the whole
//! process group is killed. Before the handler is in place, the signal's default action ends the process alone.

use udfleet_proto::limits::PARENT_DEATH_SIGNAL;

extern "C" fn kill_group(_: libc::c_int) {
    // SAFETY: an async-signal-safe system call. The group is this process's own session.
    unsafe { libc::kill(0, libc::SIGKILL) };
}

/// Installs the handler.
pub fn watch() {
    let handler: extern "C" fn(libc::c_int) = kill_group;
    // SAFETY: the handler only makes a system call.
    unsafe { libc::signal(PARENT_DEATH_SIGNAL, handler as libc::sighandler_t) };
}
