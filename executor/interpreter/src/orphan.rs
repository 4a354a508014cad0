//! When the executor dies, all processes that user code has started must end with this one: the kernel sends a signal,
//! and the whole process group is killed. Before the handler is installed, the default action of the signal ends this
//! process alone.

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
