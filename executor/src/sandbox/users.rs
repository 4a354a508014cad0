//! Where the executor is root, what it starts runs as other users: builds as one, the functions of each environment as one
//! of their own, so that the kernel's oldest rules keep them apart too.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use udfleet_edge::private;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// Executors of one machine see here which users are taken.
pub const LOCKS: &str = "/run/udfleet/users";

/// The highest number that a user can have; the one above means none.
const HIGHEST: u32 = u32::MAX - 1;

/// Users by number, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct UserRange {
    first: u32,
    last: u32,
}

impl Default for UserRange {
    /// Where no distribution, container or directory service has users.
    fn default() -> Self {
        Self { first: 1_900_000_000, last: 1_900_065_535 }
    }
}

impl UserRange {
    fn overlaps(self, first: u32, last: u32) -> bool {
        self.first <= last && first <= self.last
    }

    /// Who has users of this range already, by the files of `root`: the accounts of this machine, and what is set aside for
    /// containers of theirs. Or that this container has no such users.
    fn conflict(self, root: &Path) -> Option<String> {
        let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap_or_default();
        for (file, what) in [("etc/passwd", "user"), ("etc/group", "group")] {
            let text = read(file);
            let taken = text.lines().find_map(|line| {
                let mut fields = line.split(':');
                let name = fields.next()?;
                let number = fields.nth(1)?.parse().ok()?;
                self.overlaps(number, number).then(|| format!("{what} {name} of /{file} has {number}"))
            });
            if taken.is_some() {
                return taken;
            }
        }
        for file in ["etc/subuid", "etc/subgid"] {
            let text = read(file);
            let taken = text.lines().find_map(|line| {
                let mut fields = line.split(':');
                let (name, first, count) = (fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
                let last = u32::checked_add(first, u32::checked_sub(count, 1)?).unwrap_or(HIGHEST);
                self.overlaps(first, last).then(|| format!("/{file} sets {first}-{last} aside for {name}"))
            });
            if taken.is_some() {
                return taken;
            }
        }
        self.unmapped(&read("proc/self/uid_map")).then(|| "this container has no such users".to_owned())
    }

    /// Whether a user namespace with this map lacks some of them. No map: there are no namespaces.
    fn unmapped(self, map: &str) -> bool {
        let holds = |line: &str| {
            let mut numbers = line.split_whitespace().filter_map(|number| number.parse::<u64>().ok());
            let (Some(first), Some(_), Some(count)) = (numbers.next(), numbers.next(), numbers.next()) else {
                return false;
            };
            first <= u64::from(self.first) && u64::from(self.last) < first + count
        };
        !map.trim().is_empty() && !map.lines().any(holds)
    }
}

impl fmt::Display for UserRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl From<UserRange> for String {
    fn from(range: UserRange) -> Self {
        range.to_string()
    }
}

impl TryFrom<String> for UserRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for UserRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no range of at least two users, such as {}", Self::default());
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong());
        let (first, last) = (number(first)?, number(last)?);
        (0 < first && first < last && last <= HIGHEST).then_some(Self { first, last }).ok_or_else(wrong)
    }
}

/// The users of an executor that is root.
#[derive(Debug, Clone)]
pub struct Users {
    range: UserRange,
    locks: PathBuf,
}

/// A user that nobody else of this machine's executors has, until dropped.
#[derive(Debug, Clone)]
pub struct UserLease {
    user: u32,
    _lock: Arc<File>,
}

impl UserLease {
    /// Its number.
    #[must_use]
    pub fn user(&self) -> u32 {
        self.user
    }
}

impl Users {
    /// Of this range; locks lie in `locks`.
    ///
    /// # Errors
    /// Why they can't be used here.
    pub fn new(range: UserRange, locks: &Path, root: &Path) -> Result<Self, String> {
        if let Some(conflict) = range.conflict(root) {
            return Err(format!("users {range} are taken: {conflict}"));
        }
        private::create_folder(locks).map_err(|error| format!("{} can't be made: {error}", locks.display()))?;
        Ok(Self { range, locks: locks.to_owned() })
    }

    /// The user that builds run as.
    #[must_use]
    pub fn of_builds(&self) -> u32 {
        self.range.first
    }

    /// The user of an environment: usually the same each time, and never one that another environment has.
    ///
    /// # Errors
    /// `NO_CAPACITY` where all are taken, `ENVIRONMENT_FAILED` where that can't be found out.
    pub fn lease(&self, environment: &str) -> Result<UserLease, Error> {
        let first = self.range.first + 1;
        let count = self.range.last - self.range.first;
        let digest = Sha256::digest(environment);
        let start = digest.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) % count;
        for step in 0..count {
            let user = first + ((u64::from(start) + u64::from(step)) % u64::from(count)) as u32;
            if let Some(lock) = self.lock(user).map_err(|error| self.failed(&error))? {
                return Ok(UserLease { user, _lock: Arc::new(lock) });
            }
        }
        let message = format!("each of the users {} that interpreters run as has an environment", self.range);
        Err(Error::new(ErrorCode::NoCapacity, message).hint("give the executor a larger range with --sandbox-users"))
    }

    fn lock(&self, user: u32) -> io::Result<Option<File>> {
        let path = self.locks.join(user.to_string());
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        // Interpreters of an executor that was killed may still be ending.
        Ok((locked && !has_processes(user)).then_some(file))
    }

    fn failed(&self, error: &io::Error) -> Error {
        let message = format!("{} does not tell which users are taken: {error}", self.locks.display());
        Error::new(ErrorCode::EnvironmentFailed, message).hint("make it a folder that root can write to")
    }
}

fn has_processes(user: u32) -> bool {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
    processes.into_iter().any(|entry| entry.metadata().is_ok_and(|process| process.uid() == user))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(range: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Users, String>) {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let users = Users::new(range.parse().unwrap(), &root.path().join("locks"), root.path());
        (root, users)
    }

    #[test]
    fn a_range_is_two_numbers_above_root() {
        assert_eq!("5-9".parse::<UserRange>().unwrap().to_string(), "5-9");
        for wrong in ["", "5", "5-5", "9-5", "0-5", "a-b", "-5", "1-4294967295"] {
            assert!(wrong.parse::<UserRange>().is_err(), "{wrong:?}");
        }
        assert_eq!(UserRange::default().to_string().parse(), Ok(UserRange::default()));
    }

    #[test]
    fn users_of_others_are_refused_by_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:2005:100::/:/bin/sh\n";
        for (range, files, named) in [
            ("2000-2005", [("etc/passwd", passwd)], "ann"),
            ("2000-2005", [("etc/group", "staff:x:2000:\n")], "staff"),
            ("2000-200000", [("etc/subuid", "bob:100000:65536\n")], "bob"),
            ("2000-2005", [("proc/self/uid_map", "0 100000 2003\n")], "container"),
        ] {
            let refused = users(range, &files).1.unwrap_err();
            assert!(refused.contains(named) && refused.contains(range), "{refused}");
        }
        let free =
            [("etc/passwd", passwd), ("etc/subuid", "bob:100000:65536"), ("proc/self/uid_map", "0 0 4294967295")];
        assert!(users("3000-4000", &free).1.is_ok());
    }

    #[test]
    fn an_environment_has_one_user_and_no_other_has_it_meanwhile() {
        let (_root, users) = users("2000-2003", &[]);
        let (one, two) = (users.unwrap(), "b");
        let first = one.lease("a").unwrap();
        let held = [one.lease(two).unwrap(), one.lease("c").unwrap()];
        let mut all: Vec<u32> = held.iter().chain([&first]).map(UserLease::user).collect();
        all.sort_unstable();
        assert_eq!(all, [2001, 2002, 2003], "and none is that of builds");
        assert_eq!(one.lease("d").unwrap_err().code(), ErrorCode::NoCapacity);
        let before = first.user();
        drop(first);
        assert_eq!(one.lease("a").unwrap().user(), before, "the same again");
    }
}
