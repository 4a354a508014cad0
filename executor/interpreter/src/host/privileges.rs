//! Gives up what root could do.

use std::io;

/// The highest number that a capability can have.
const LAST_CAPABILITY: libc::c_ulong = 63;

/// Root's rights end here, whoever runs this: with `user`, as that user and group; else as before, without capabilities.
/// What runs later can't get them back.
pub fn drop_all(user: Option<u32>) -> Result<(), String> {
    bound_capabilities();
    if let Some(user) = user {
        become_user(user).map_err(|error| format!("can't run as user {user}: {error}"))?;
    }
    forget_capabilities();
    // SAFETY: a plain system call.
    let set = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if set == 0 { Ok(()) } else { Err(format!("no_new_privs: {}", io::Error::last_os_error())) }
}

/// Programs that are run as root get no more than this.
fn bound_capabilities() {
    for capability in 0..=LAST_CAPABILITY {
        // SAFETY: a plain system call; it fails for numbers that this kernel does not know, and where there is nothing
        // to give up.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
}

fn become_user(user: u32) -> io::Result<()> {
    let (parent, mut signal) = (parent(), 0);
    // SAFETY: plain system calls on this process, which has one thread. Output goes to pipes, which may then be opened by
    // their names in /dev too; the kernel forgets about the parent's death, and takes /proc/self away, where a process
    // changes its user.
    let done = unsafe {
        libc::prctl(libc::PR_GET_PDEATHSIG, &raw mut signal, 0, 0, 0);
        give_pipe(libc::STDOUT_FILENO, user);
        give_pipe(libc::STDERR_FILENO, user);
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(user, user, user) == 0
            && libc::setresuid(user, user, user) == 0
            && libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) == 0
    };
    match done {
        true if signal != 0 && self::parent() != parent => Err(io::Error::other("the executor is gone")),
        true => Ok(()),
        false => Err(io::Error::last_os_error()),
    }
}

/// Nothing that is no pipe changes hands: /dev/null is everybody's.
fn give_pipe(output: libc::c_int, user: u32) {
    // SAFETY: `stat` is plain data that fstat fills; the other is a plain system call.
    unsafe {
        let mut found: libc::stat = std::mem::zeroed();
        if libc::fstat(output, &raw mut found) == 0 && found.st_mode & libc::S_IFMT == libc::S_IFIFO {
            libc::fchown(output, user, user);
        }
    }
}

fn parent() -> libc::pid_t {
    // SAFETY: a system call without arguments.
    unsafe { libc::getppid() }
}

#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Default, Clone, Copy)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`, which has two words of each set.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

fn forget_capabilities() {
    let (header, data) = (Header { version: CAPABILITY_VERSION, pid: 0 }, [Data::default(); 2]);
    // SAFETY: both structures are as the kernel defines them, and outlive the calls. Giving rights up can't fail.
    unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr());
    }
}
