//! Process-level concerns: logging, signals, the end of the parent, and the last error.

use std::future::Future;
use std::io::{IsTerminal as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sd_notify::NotifyState;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use udfleet_proto::error::Error;

use crate::config::invalid;

/// How often a parent is looked for where the kernel has no pidfd.
const POLL: Duration = Duration::from_millis(200);

/// Logs to stderr, filtered by `UDFLEET_LOG` (default `info`).
pub fn init_logging() {
    let filter = EnvFilter::try_from_env("UDFLEET_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}

/// Says on stdout where the process listens, as a line of JSON, and tells systemd, where that has started it, that it is
/// ready.
pub fn announce(line: &serde_json::Value) {
    let mut stdout = std::io::stdout();
    // Whoever closed the pipe does not want to know.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    tell_systemd(NotifyState::Ready);
}

/// Nobody listens unless `NOTIFY_SOCKET` says so.
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd can't be told");
    }
}

/// The exit of a program. Errors are for a person at a terminal: tracing may not be up.
#[must_use]
pub fn exit(outcome: Result<(), Error>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Resolves on SIGTERM, SIGINT, or the end of `parent`. Handlers are installed when this returns, not when polled.
///
/// # Errors
/// `INVALID_CONFIG` for a parent that is no process id, `INTERNAL` when signals can't be listened to.
pub fn stop_requested(parent: Option<u32>) -> Result<impl Future<Output = ()> + Send, Error> {
    let listen = |kind| signal(kind).map_err(|e| Error::internal(format!("can't listen for signals: {e}")));
    let (mut term, mut int) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let parent = parent.map(ended).transpose()?;
    Ok(async move {
        let orphaned = async {
            match parent {
                Some(ended) => ended.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
            () = orphaned => tracing::info!("the parent process has ended"),
        }
        tell_systemd(NotifyState::Stopping);
    })
}

/// Resolves when process `pid` has ended, at once if it has. A pidfd rather than `PR_SET_PDEATHSIG`: that signal comes
/// when the parent's *thread* ends, which is none of ours.
fn ended(pid: u32) -> Result<impl Future<Output = ()> + Send, Error> {
    let id = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let id = id.ok_or_else(|| invalid(format!("--parent-pid {pid} is no process id")))?;
    let watched = match pidfd_open(id, PidfdFlags::empty()) {
        Ok(descriptor) => register(descriptor).ok(),
        Err(Errno::SRCH) => return Ok(futures::future::Either::Left(std::future::ready(()))),
        Err(_) => None,
    };
    Ok(futures::future::Either::Right(async move {
        if let Some(descriptor) = watched
            && descriptor.readable().await.is_ok()
        {
            return;
        }
        while std::fs::exists(format!("/proc/{pid}")).unwrap_or(false) {
            tokio::time::sleep(POLL).await;
        }
    }))
}

fn register(descriptor: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open, always the same, and closed only when it is dropped, which AsyncFd does last.
    unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }.map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_process_is_noticed() {
        let mut child = tokio::process::Command::new("sleep").arg("1000").kill_on_drop(true).spawn().unwrap();
        let pid = child.id().unwrap();
        let end = tokio::spawn(ended(pid).unwrap());
        assert!(!end.is_finished());
        child.kill().await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), end).await.unwrap().unwrap();
        ended(pid).unwrap().await;
        assert!(ended(0).is_err());
    }
}
