//! All that is below this process, whatever groups and sessions it is in. The module and the host, which can't link each other,
//! are both compiled with this file.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// How often it is tried to end what is started meanwhile.
const ROUNDS: u32 = 2_000;
const PAUSE: Duration = Duration::from_millis(1);

/// Ends all of it, one generation after the other: this process is the one that orphans come to.
pub fn end_all() {
    for _ in 0..ROUNDS {
        let children = children();
        if children.is_empty() {
            return;
        }
        for child in children {
            // Fails for one that has ended.
            let _ = kill_process(child, Signal::KILL);
        }
        while let Ok(Some(_)) = waitpid(None, WaitOptions::NOHANG) {}
        std::thread::sleep(PAUSE);
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
