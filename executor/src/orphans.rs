//! What functions and builds have started and left behind. Processes whose parent ends come to the executor: it waits for
//! those that end, and ends those that belong to nothing any more.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use rustix::process::{Pid, Signal, WaitOptions, getpgid, kill_process, set_child_subreaper, waitpid};
use tokio::signal::unix::{SignalKind, signal};

/// How often orphans are looked for beside when a process of the executor ends.
const PERIOD: Duration = Duration::from_millis(500);
/// Orphans of orphans come one generation after the other.
const GENERATIONS: usize = 100;
/// How long one that was killed is waited for: one that hangs in the kernel is looked at again later.
const KILLED_WITHIN: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(1);

/// The processes that this one has started itself, each with a number of its own: process ids are used again.
static STARTED: Mutex<Option<HashMap<u32, u64>>> = Mutex::new(None);
/// Written while orphans are looked for, so that nobody is between the start of a process and its entry.
static STARTING: RwLock<()> = RwLock::new(());
/// Held while orphans are ended: the number of one that another thread has waited for may be another process's.
static ENDING: Mutex<()> = Mutex::new(());
static NEXT: AtomicU64 = AtomicU64::new(0);
/// Orphans come here.
static ADOPTS: AtomicBool = AtomicBool::new(false);

/// Keeps a process from being taken for an orphan, until it has been waited for.
#[derive(Debug)]
pub struct OwnProcess {
    pid: u32,
    number: u64,
}

/// Starts a process of the executor.
///
/// # Errors
/// What `spawn` says.
pub fn start<C>(
    spawn: impl FnOnce() -> io::Result<C>,
    pid: impl FnOnce(&C) -> Option<u32>,
) -> io::Result<(C, OwnProcess)> {
    let _starting = STARTING.read();
    let child = spawn()?;
    let (pid, number) = (pid(&child).unwrap_or_default(), NEXT.fetch_add(1, Ordering::Relaxed));
    STARTED.lock().get_or_insert_default().insert(pid, number);
    Ok((child, OwnProcess { pid, number }))
}

impl Drop for OwnProcess {
    fn drop(&mut self) {
        if let Some(started) = &mut *STARTED.lock()
            && started.get(&self.pid) == Some(&self.number)
        {
            started.remove(&self.pid);
        }
    }
}

/// Adopts orphans and looks after them for ever.
pub async fn adopt() {
    if let Err(error) = set_child_subreaper(Pid::from_raw(1)) {
        tracing::warn!("processes that functions leave behind can outlive their interpreters: {error}");
        return;
    }
    ADOPTS.store(true, Ordering::Release);
    let Ok(mut ended) = signal(SignalKind::child()) else { return };
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ended.recv() => {}
            _ = ticks.tick() => {}
        }
        // Fails only when the executor ends.
        let _ = tokio::task::spawn_blocking(end_stray).await;
    }
}

/// Ends orphans that belong to nothing any more, with all that they have started, and waits for those that have ended. One
/// belongs to an interpreter whose process group it is in: that ends with it.
pub fn end_stray() {
    if !ADOPTS.load(Ordering::Acquire) {
        return;
    }
    let _alone = ENDING.lock();
    for _ in 0..GENERATIONS {
        if orphans().into_iter().filter(|orphan| end(*orphan)).count() == 0 {
            return;
        }
    }
}

/// Children of this process that it has not started.
fn orphans() -> Vec<Pid> {
    let _nobody_starts = STARTING.write();
    let started = STARTED.lock();
    let own = |pid: &u32| started.as_ref().is_some_and(|started| started.contains_key(pid));
    let pids = children().into_iter().filter(|pid| !own(pid));
    pids.filter_map(|pid| Pid::from_raw(pid.try_into().ok()?)).collect()
}

/// Children of all threads; none where the kernel does not list them.
fn children() -> Vec<u32> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Waits for one that has ended; ends one that is in no group of a process that was started here. True where that made
/// new orphans possible.
fn end(orphan: Pid) -> bool {
    // Its number stays its own until it has been waited for, which happens here alone.
    let Ok(None) = waitpid(Some(orphan), WaitOptions::NOHANG) else { return false };
    let Ok(group) = getpgid(Some(orphan)) else { return false };
    let group = u32::try_from(group.as_raw_nonzero().get()).ok();
    let kept = group.is_some_and(|group| STARTED.lock().as_ref().is_some_and(|all| all.contains_key(&group)));
    !kept && kill_process(orphan, Signal::KILL).is_ok() && is_gone_soon(orphan)
}

fn is_gone_soon(killed: Pid) -> bool {
    let end = Instant::now() + KILLED_WITHIN;
    loop {
        match waitpid(Some(killed), WaitOptions::NOHANG) {
            Ok(None) if Instant::now() < end => std::thread::sleep(POLL),
            ended => return ended.is_ok_and(|ended| ended.is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_own(pid: u32) -> bool {
        STARTED.lock().as_ref().is_some_and(|all| all.contains_key(&pid))
    }

    #[test]
    fn a_process_is_own_until_it_has_been_waited_for_also_where_its_number_is_used_again() {
        // No process has this number.
        let pid = u32::MAX;
        let start = || start(|| Ok(()), |()| Some(pid)).unwrap().1;
        let first = start();
        assert!(is_own(pid));
        let second = start();
        drop(first);
        assert!(is_own(pid), "the second has its number now");
        drop(second);
        assert!(!is_own(pid));
        assert!(start_failing().is_err());
    }

    fn start_failing() -> io::Result<((), OwnProcess)> {
        start(|| Err(io::Error::other("no")), |()| None)
    }
}
