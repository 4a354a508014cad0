//! As the first process of a container, an executor inherits what functions have started and left behind: each that ends
//! has to be waited for, or it stays in the table of processes, which has a bound.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, waitpid};
use tokio::signal::unix::{SignalKind, signal};

/// Ends of processes that come in quick succession are looked at together.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits for orphans for ever; returns at once where this is not the first process.
pub async fn reap() {
    let own = std::process::id();
    let Ok(mut ended) = signal(SignalKind::child()) else { return };
    if own != 1 {
        return;
    }
    while ended.recv().await.is_some() {
        tokio::time::sleep(PAUSE).await;
        for pid in orphans(own) {
            // Fails where somebody else was faster.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

fn orphans(own: u32) -> Vec<Pid> {
    let read = |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let Some(session) = read("self").as_deref().and_then(Stat::parse).map(|stat| stat.session) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let pids = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let ended = pids.filter_map(|pid| Stat::parse(&read(&pid)?)?.orphan(own, session));
    ended.filter_map(|pid| Pid::from_raw(pid.try_into().ok()?)).collect()
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    pid: u32,
    zombie: bool,
    parent: u32,
    session: u32,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The name stands in brackets, and may hold anything.
        let (before, after) = (line.split_once(' ')?, line.rsplit_once(')')?.1);
        let mut fields = after.split_whitespace();
        let (state, parent, _group) = (fields.next()?, fields.next()?.parse().ok()?, fields.next()?);
        Some(Self { pid: before.0.parse().ok()?, zombie: state == "Z", parent, session: fields.next()?.parse().ok()? })
    }

    /// Its pid, where it has ended and nobody will wait for it. An interpreter leads a session of its own and is waited
    /// for, and so is what is in this process's session; what else has come here was started in an interpreter's.
    fn orphan(self, own: u32, session: u32) -> Option<u32> {
        let started_here = self.session == session || self.session == self.pid;
        (self.zombie && self.parent == own && !started_here).then_some(self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orphan(line: &str) -> Option<u32> {
        Stat::parse(line).unwrap().orphan(1, 1)
    }

    #[test]
    fn only_what_functions_have_left_and_what_has_ended_is_waited_for() {
        assert_eq!(orphan("70 (sleep) Z 1 40 40 0 -1"), Some(70));
        assert_eq!(orphan("70 (a) Z 9 9 (b) Z 1 40 40 0 -1"), Some(70), "a name may look like all the rest");
        for (line, why) in [
            ("70 (sleep) S 1 40 40 0", "it runs"),
            ("70 (sleep) Z 40 40 40 0", "its parent is there"),
            ("40 (udfleet-interp) Z 1 40 40 0", "an interpreter"),
            ("71 (uv) Z 1 1 1 0", "started by this process"),
        ] {
            assert_eq!(orphan(line), None, "{why}");
        }
        assert_eq!(Stat::parse("70 sleep"), None);
    }
}
