//! What the process owes its surroundings: logging, signals, and its parent's death.

use std::future::Future;
use std::io::IsTerminal as _;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Any error on its way to the person who started the process.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Logs to stderr, filtered by `UDFLEET_LOG` (default `info`).
pub fn init_logging() {
    let filter = EnvFilter::try_from_env("UDFLEET_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}

/// Resolves on SIGTERM, SIGINT, or the death of `parent`. Handlers are installed when this returns, not when polled.
///
/// # Errors
/// When a signal can't be listened to or `parent` is no live process.
pub fn stop_requested(parent: Option<u32>) -> Result<impl Future<Output = ()> + Send, BoxError> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let parent = parent.map(watch_process).transpose()?;
    Ok(async move {
        let orphaned = async {
            match &parent {
                // A pidfd reads as ready once its process has ended.
                Some(fd) => drop(fd.readable().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
            () = orphaned => tracing::info!("the parent process is gone"),
        }
    })
}

/// A pidfd rather than `PR_SET_PDEATHSIG`: that signal comes when the parent's *thread* ends, which is none of ours.
fn watch_process(pid: u32) -> Result<AsyncFd<OwnedFd>, BoxError> {
    let id = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| format!("--parent-pid {pid} is no pid"))?;
    let fd = pidfd_open(id, PidfdFlags::empty()).map_err(|e| format!("--parent-pid {pid}: no such process ({e})"))?;
    // SAFETY: an OwnedFd is open, always the same, and closed only when it is dropped, which AsyncFd does last.
    Ok(unsafe { AsyncFd::register(fd) }?)
}
