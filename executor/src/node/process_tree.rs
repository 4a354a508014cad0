//! What an interpreter takes of memory beyond its own process: the processes that functions have started, and files that
//! lie in memory (memfds).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What `st_blocks` counts in, bytes.
const BLOCK: u64 = 512;

/// All processes of the machine at one moment.
#[derive(Debug, Default)]
pub(super) struct ProcessTable {
    by_parent: BTreeMap<u32, Vec<u32>>,
    by_group: BTreeMap<u32, Vec<u32>>,
}

impl ProcessTable {
    /// As they are now; what ends meanwhile is left out.
    pub(super) fn read() -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        Self::of(pids.filter_map(|pid| Some((pid, fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))))
    }

    fn of(stats: impl Iterator<Item = (u32, String)>) -> Self {
        let mut table = Self::default();
        for (pid, stat) in stats {
            // The name stands in brackets, and may hold anything.
            let Some((_, after)) = stat.rsplit_once(')') else { continue };
            let mut numbers = after.split_whitespace().skip(1).filter_map(|number| number.parse::<u32>().ok());
            let (Some(parent), Some(group)) = (numbers.next(), numbers.next()) else { continue };
            table.by_parent.entry(parent).or_default().push(pid);
            table.by_group.entry(group).or_default().push(pid);
        }
        table
    }

    /// All that an interpreter has started: what is below it, and what is in its group although its parent has ended.
    pub(super) fn started_by(&self, interpreter: u32) -> BTreeSet<u32> {
        let mut found = BTreeSet::from([interpreter]);
        let of = |map: &BTreeMap<u32, Vec<u32>>, pid: u32| map.get(&pid).cloned().unwrap_or_default();
        let mut open = of(&self.by_group, interpreter);
        open.push(interpreter);
        while let Some(pid) = open.pop() {
            found.insert(pid);
            open.extend(of(&self.by_parent, pid).into_iter().filter(|child| !found.contains(child)));
        }
        found.remove(&interpreter);
        found
    }
}

/// Memory of one process, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ProcessMemory {
    /// Of its own.
    pub(super) private: u64,
    /// Shared memory that it has mapped.
    pub(super) shared: u64,
}

impl ProcessMemory {
    /// All that it has; `None` for one that has ended.
    pub(super) fn whole(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "RssAnon:", "RssShmem:")
    }

    /// With its part of what it shares with others: a fork shares nearly everything with its parent.
    fn part(pid: u32) -> Option<Self> {
        let parts = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
        parts.and_then(|text| Self::parse(&text, "Pss_Anon:", "Pss_Shmem:")).or_else(|| Self::whole(pid))
    }

    fn parse(text: &str, private: &str, shared: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
        };
        Some(Self { private: field(private)?, shared: field(shared)? })
    }
}

/// The bytes that an interpreter and what it has started take, without the shared memory that carries its batches.
pub(super) fn taken(interpreter: u32, started: &BTreeSet<u32>, carries_batches: u64) -> Option<u64> {
    let mut files = BTreeMap::new();
    memory_files(interpreter, &mut files);
    let own = ProcessMemory::whole(interpreter)?;
    let mut sum = own;
    if !started.is_empty() {
        sum.private = ProcessMemory::part(interpreter).unwrap_or(own).private;
        for pid in started {
            let part = ProcessMemory::part(*pid).unwrap_or_default();
            sum.private += part.private;
            sum.shared += part.shared;
            memory_files(*pid, &mut files);
        }
    }
    // What is mapped of these files has been counted.
    let shared = sum.shared.max(files.values().sum());
    Some(sum.private + shared.saturating_sub(carries_batches))
}

/// The bytes of files in memory that a process has open, by their inodes, mapped or not.
fn memory_files(pid: u32, found: &mut BTreeMap<u64, u64>) {
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
        let in_memory = |link: &Path| link.as_os_str().as_encoded_bytes().starts_with(b"/memfd:");
        if fs::read_link(entry.path()).is_ok_and(|link| in_memory(&link))
            && let Ok(file) = fs::metadata(entry.path())
        {
            found.insert(file.ino(), file.blocks() * BLOCK);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_an_interpreter_has_started_is_below_it_or_in_its_group() {
        let rows = [
            (10, "10 (udfleet) S 1 10 10"),
            (20, "20 (python) S 10 20 20"),
            (21, "21 (a) 9 9 9) S 20 20 20"),
            (22, "22 (own session) S 21 22 22"),
            (23, "23 (its parent ended) S 10 20 20"),
            (24, "24 (below that) S 23 24 24"),
            (30, "30 (another) S 10 30 30"),
            (31, "31 (another's) S 30 30 30"),
        ];
        let table = ProcessTable::of(rows.into_iter().map(|(pid, stat)| (pid, stat.to_owned())));
        assert_eq!(table.started_by(20), BTreeSet::from([21, 22, 23, 24]));
        assert_eq!(table.started_by(30), BTreeSet::from([31]));
        assert_eq!(table.started_by(99), BTreeSet::new());
        assert!(ProcessTable::read().by_parent.values().flatten().any(|pid| *pid == std::process::id()));
    }

    #[test]
    fn memory_that_nobody_has_mapped_counts_and_what_carries_batches_does_not() {
        let own = std::process::id();
        let nothing = BTreeSet::new();
        let before = taken(own, &nothing, 0).unwrap();
        let file = rustix::fs::memfd_create(c"hoard", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut file = fs::File::from(file);
        file.write_all(&vec![1; 64 << 20]).unwrap();
        let after = taken(own, &nothing, 0).unwrap();
        assert!(after >= before + (48 << 20), "{before} {after}");
        assert!(taken(own, &nothing, 64 << 20).unwrap() <= after - (48 << 20));
        assert_eq!(taken(u32::MAX, &nothing, 0), None);
    }

    #[test]
    fn fields_are_in_kib() {
        let status = "VmRSS:\t  9 kB\nRssAnon:\t     120 kB\nRssFile:\t 4 kB\nRssShmem:\t  50 kB";
        let memory = ProcessMemory { private: 120 << 10, shared: 50 << 10 };
        assert_eq!(ProcessMemory::parse(status, "RssAnon:", "RssShmem:"), Some(memory));
        assert_eq!(ProcessMemory::parse("RssAnon: 1 kB", "RssAnon:", "RssShmem:"), None);
    }
}
