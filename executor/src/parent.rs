//! Notices the end of the process that started this one.

use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;

const POLL: Duration = Duration::from_millis(200);

/// Resolves when process `pid` has ended. Unlike a parent-death signal this follows the process, not the thread of it
/// that started us.
pub async fn ended(pid: u32) {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    match pidfd_open(id, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return,
        Ok(descriptor) => {
            // SAFETY: an `OwnedFd` stays open, and stays the same file, until it is dropped with what it is registered in.
            let registered = unsafe { AsyncFd::register_with_interest(descriptor, tokio::io::Interest::READABLE) };
            if let Ok(descriptor) = registered
                && descriptor.readable().await.is_ok()
            {
                return;
            }
        }
        // A kernel without such descriptors.
        Err(_) => {}
    }
    while std::fs::exists(format!("/proc/{pid}")).unwrap_or(false) {
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_process_is_noticed() {
        let mut child = tokio::process::Command::new("sleep").arg("1000").kill_on_drop(true).spawn().unwrap();
        let pid = child.id().unwrap();
        let ended = tokio::spawn(ended(pid));
        assert!(!ended.is_finished());
        child.kill().await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap().unwrap();
        super::ended(pid).await;
    }
}
