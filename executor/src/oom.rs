//! Whether the kernel has killed a process because memory was short: of the container, or of the machine.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Kills that were known a while ago, and a shorter while ago: one that has just happened is not among the former.
static BEFORE: AtomicU64 = AtomicU64::new(u64::MAX);
static LATELY: AtomicU64 = AtomicU64::new(u64::MAX);

/// To be called now and then: what has happened up to now is no news from the next time on.
pub fn note() {
    let now = kills(Path::new("/"));
    BEFORE.store(LATELY.swap(now, Ordering::Relaxed), Ordering::Relaxed);
}

/// True where a process of the container, or of the machine, was killed since [`note`] was called the last time but one.
#[must_use]
pub fn has_just_killed() -> bool {
    kills(Path::new("/")) > BEFORE.load(Ordering::Relaxed)
}

/// How often the kernel has killed: in this process's own group where that is told, else on the machine.
fn kills(root: &Path) -> u64 {
    let read = |path: PathBuf| std::fs::read_to_string(path).ok();
    let own = read(root.join("proc/self/cgroup")).unwrap_or_default();
    let group = own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?.trim_start_matches('/'));
        let (folder, file) = match controllers {
            "memory" => ("sys/fs/cgroup/memory", "memory.oom_control"),
            "" if number == "0" => ("sys/fs/cgroup", "memory.events"),
            _ => return None,
        };
        // In a container its own group is the topmost, often under a path that does not exist there.
        let text = read(root.join(folder).join(path).join(file)).or_else(|| read(root.join(folder).join(file)))?;
        counter(&text)
    });
    group.or_else(|| counter(&read(root.join("proc/vmstat"))?)).unwrap_or(0)
}

fn counter(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kills_of(files: &[(&str, &str)]) -> u64 {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        kills(root.path())
    }

    #[test]
    fn the_own_group_counts_else_the_machine() {
        let machine = ("proc/vmstat", "nr_free_pages 1\noom_kill 7\n");
        assert_eq!(kills_of(&[]), 0);
        assert_eq!(kills_of(&[machine]), 7);
        let one = [
            machine,
            ("proc/self/cgroup", "5:cpu:/a\n4:memory:/a\n0::/\n"),
            ("sys/fs/cgroup/memory/a/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
        ];
        assert_eq!(kills_of(&one), 3);
        let two = [
            machine,
            ("proc/self/cgroup", "0::/docker/x\n"),
            ("sys/fs/cgroup/memory.events", "low 0\noom 2\noom_kill 2\noom_group_kill 0\n"),
        ];
        assert_eq!(kills_of(&two), 2, "a container's own group is the topmost");
    }
}
