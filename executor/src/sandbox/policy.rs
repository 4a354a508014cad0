//! What one process may do.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use udfleet_proto::network::Network;

use super::{Rules, system};

/// The most open files of a process: what it does not close does not use up the machine's.
const MOST_FILES: u64 = 65_536;
/// Takes from others the right to write.
const SHARED_UMASK: u32 = 0o022;
/// Interpreters end before the executor does when memory is short.
const OOM_SCORE: i32 = 500;

/// Beside what every process needs of the system.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    network: Network,
    /// Whether the process must not run where the kernel can't enforce this network.
    network_required: bool,
    /// The largest file, bytes.
    file_size: Option<u64>,
    /// The user that it runs as; none: the executor's.
    user: Option<u32>,
    /// Others may read what it makes.
    shared: bool,
}

impl Policy {
    /// Reads the system's files, writes nothing, and connects to nothing.
    #[must_use]
    pub fn closed() -> Self {
        Self { network: Network::None, ..Self::default() }
    }

    /// As [`Policy::closed`], with a network. If that is less than all of it, the process does not run where the kernel
    /// can't enforce it.
    #[must_use]
    pub fn with(network: Network) -> Self {
        let network_required = network != Network::All;
        Self { network, network_required, ..Self::default() }
    }

    /// May read and run this, and all below it.
    #[must_use]
    pub fn read(mut self, path: impl Into<PathBuf>) -> Self {
        self.read.push(path.into());
        self
    }

    /// May write here too.
    #[must_use]
    pub fn write(mut self, path: impl Into<PathBuf>) -> Self {
        self.write.push(path.into());
        self
    }

    /// May write no larger file than this, bytes.
    #[must_use]
    pub fn largest_file(self, bytes: u64) -> Self {
        Self { file_size: Some(bytes), ..self }
    }

    /// Runs as this user; none: as the executor's.
    #[must_use]
    pub fn user(self, user: Option<u32>) -> Self {
        Self { user, ..self }
    }

    /// Makes files that others may read, whatever the executor's own are.
    #[must_use]
    pub fn shared(self) -> Self {
        Self { shared: true, ..self }
    }

    /// May read and run a Python, given by its executable: the installation around it, and around what it links to.
    #[must_use]
    pub fn python(self, executable: &Path) -> Self {
        let real = executable.canonicalize().unwrap_or_else(|_| executable.to_owned());
        [executable, &real].into_iter().filter_map(prefix).fold(self.read(executable), Self::read)
    }

    pub(super) fn options(&self, rules: &Rules) -> Vec<OsString> {
        let mut options: Vec<OsString> = Vec::new();
        let mut add = |name: &str, value: OsString| options.extend([name.into(), value]);
        let read = self.read.iter().chain(&rules.read).cloned().chain(system::readable());
        read.for_each(|path| add("--read", path.into()));
        let write = self.write.iter().chain(&rules.write).cloned().chain(system::devices());
        write.for_each(|path| add("--write", path.into()));
        add("--network", self.network.to_string().into());
        if self.network_required {
            add("--require", "network".into());
        }
        add("--files", MOST_FILES.to_string().into());
        add("--oom-score", OOM_SCORE.to_string().into());
        if let Some(bytes) = self.file_size {
            add("--file-size", bytes.to_string().into());
        }
        if let Some(user) = self.user {
            add("--user", user.to_string().into());
        }
        if self.shared {
            add("--umask", SHARED_UMASK.to_string().into());
        }
        rules.without.iter().filter_map(|part| part.known_to_host()).for_each(|part| add("--without", part.into()));
        options
    }
}

/// The path that lets all contained processes read `path`, if one does.
pub fn readable_through(path: &Path, rules: &Rules) -> Option<PathBuf> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let path = real(path);
    let all = system::readable().chain(rules.read.iter().cloned()).chain(rules.write.iter().cloned());
    all.chain(system::devices()).find(|readable| path.starts_with(real(readable)))
}

/// The folder that holds an installation: that above `bin`. The root is none.
fn prefix(executable: &Path) -> Option<PathBuf> {
    let folder = executable.parent()?;
    let prefix = if folder.ends_with("bin") { folder.parent()? } else { folder };
    prefix.parent().map(|_| prefix.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_brings_its_installation_and_never_the_whole_disk() {
        assert_eq!(prefix(Path::new("/opt/python/bin/python3")), Some("/opt/python".into()));
        assert_eq!(prefix(Path::new("/srv/python3")), Some("/srv".into()));
        assert_eq!(prefix(Path::new("/bin/python3")), None);
        assert_eq!(prefix(Path::new("/python3")), None);
    }

    #[test]
    fn what_all_may_read_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let rules = Rules { read: vec![folder.path().to_owned()], ..Rules::default() };
        assert_eq!(readable_through(folder.path(), &rules), Some(folder.path().to_owned()));
        assert_eq!(readable_through(folder.path(), &Rules::default()), None);
        assert_eq!(readable_through(Path::new("/usr/lib"), &Rules::default()), Some("/usr".into()));
    }

    #[test]
    fn what_the_operator_allows_is_added() {
        let rules = Rules { read: vec!["/data".into()], write: vec!["/out".into()], ..Rules::default() };
        let options = Policy::closed().read("/env").options(&rules);
        let pairs: Vec<(String, String)> =
            options.chunks(2).map(|pair| (pair[0].display().to_string(), pair[1].display().to_string())).collect();
        for (name, value) in [("--read", "/env"), ("--read", "/data"), ("--write", "/out"), ("--network", "none")] {
            assert!(pairs.contains(&(name.to_owned(), value.to_owned())), "{name} {value}");
        }
    }
}
