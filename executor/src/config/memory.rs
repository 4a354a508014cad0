//! The memory of the machine, or the limit of a container (cgroup, version 1 or 2) if that is lower. The number of
//! cores comes from the standard library, which respects cgroups.

use std::path::{Path, PathBuf};

/// Where neither machine nor cgroup say anything.
const UNKNOWN: u64 = 1 << 30;

/// Bytes that this process and its children may take before the kernel kills any of them. `root` is the file system: `/`.
pub(super) fn memory_limit(root: &Path) -> u64 {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let machine = total_memory(&read("proc/meminfo"));
    let own = read("proc/self/cgroup");
    let limits = own.lines().filter_map(Hierarchy::of).flat_map(|hierarchy| hierarchy.limits(root));
    limits.chain(machine).min().unwrap_or(UNKNOWN)
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Where the limits of a process are, by a line of /proc/self/cgroup: `number:controllers:path`.
#[derive(Debug)]
struct Hierarchy<'a> {
    folder: &'static str,
    file: &'static str,
    path: &'a Path,
}

impl<'a> Hierarchy<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, Path::new(parts.next()?));
        if controllers.split(',').any(|controller| controller == "memory") {
            return Some(Self { folder: "sys/fs/cgroup/memory", file: "memory.limit_in_bytes", path });
        }
        let version_2 = number == "0" && controllers.is_empty();
        version_2.then_some(Self { folder: "sys/fs/cgroup", file: "memory.max", path })
    }

    /// The limits of the group and of all above it. A container sees its own group as the topmost, often under a path
    /// that does not exist in it: what can't be read is passed over. No limit is `max`, or a number beyond any memory.
    fn limits(self, root: &Path) -> impl Iterator<Item = u64> {
        let folder = root.join(self.folder);
        let groups: Vec<PathBuf> =
            self.path.ancestors().map(|path| path.strip_prefix("/").unwrap_or(path).into()).collect();
        groups.into_iter().filter_map(move |group| {
            let text = std::fs::read_to_string(folder.join(group).join(self.file)).ok()?;
            text.trim().parse().ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// A file system with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let machine = ("proc/meminfo", "MemTotal:       25165824 kB\nMemFree: 1 kB\n");
        for (path, text) in files.iter().chain([&machine]) {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    fn limit(files: &[(&str, &str)]) -> u64 {
        memory_limit(root(files).path())
    }

    #[test]
    fn without_a_limit_it_is_the_machines() {
        assert_eq!(limit(&[]), 24 * GIB);
        let none = [("proc/self/cgroup", "0::/user.slice\n"), ("sys/fs/cgroup/user.slice/memory.max", "max\n")];
        assert_eq!(limit(&none), 24 * GIB);
        let none = [
            ("proc/self/cgroup", "4:memory:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(limit(&none), 24 * GIB);
        assert_eq!(memory_limit(Path::new("/nowhere")), UNKNOWN);
    }

    #[test]
    fn the_smallest_limit_of_the_group_and_those_above_counts() {
        let files = [
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/memory.max", "2147483648\n"),
            ("sys/fs/cgroup/a/b/memory.max", "4294967296\n"),
        ];
        assert_eq!(limit(&files), 2 * GIB);
    }

    #[test]
    fn a_container_has_its_limit_at_the_top() {
        let version_2 = [("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "1073741824\n")];
        assert_eq!(limit(&version_2), GIB);
        let version_1 = [
            ("proc/self/cgroup", "5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/docker/1\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "3221225472\n"),
        ];
        assert_eq!(limit(&version_1), 3 * GIB);
    }
}
