//! Memory of processes: proportional set size, because shared memory counts once.

use std::collections::BTreeMap;

/// PSS of a process, bytes; 0 where it is gone.
#[must_use]
pub fn pss(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// All processes below this one.
#[must_use]
pub fn descendants(pid: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name may hold anything; what follows its closing bracket does not.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        children.entry(parent.unwrap_or(0)).or_default().push(child);
    }
    let (mut all, mut next) = (Vec::new(), vec![pid]);
    while let Some(parent) = next.pop() {
        let below = children.remove(&parent).unwrap_or_default();
        next.extend(&below);
        all.extend(below);
    }
    all
}

/// The interpreters below this process, without uv, probes and what compiles bytecode: these start through the same
/// program, and some paths among their arguments are libraries too.
#[must_use]
pub fn interpreters(pid: u32) -> Vec<u32> {
    let mut all = descendants(pid);
    all.retain(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| is_interpreter(&line)));
    all
}

fn is_interpreter(command_line: &[u8]) -> bool {
    let arguments: Vec<&[u8]> = command_line.split(|byte| *byte == 0).collect();
    arguments.windows(2).any(|pair| pair[0] == b"python" && pair[1].ends_with(b"/libudfleet_interpreter.so"))
}

/// True while the process exists and is no zombie.
#[must_use]
pub fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// A process and everything below it, bytes.
#[must_use]
pub fn pss_of_tree(pid: u32) -> u64 {
    pss(pid) + descendants(pid).into_iter().map(pss).sum::<u64>()
}
