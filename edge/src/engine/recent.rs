//! Recently failed calls. Databend repeats a failing call eight times, whatever the reason: the same call within
//! seconds is answered from this cache.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

use udfleet_proto::error::Error;

/// How long a failure is remembered.
const TIME: Duration = Duration::from_secs(30);
/// How many are.
const MOST: usize = 1024;

/// A batch of a query to a function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repeated {
    /// The engine's query, or the engine where it names no query.
    pub query: String,
    /// `add@3`
    pub function: String,
    /// Of schema, header and body, with a key of the process.
    pub hash: u64,
}

#[derive(Debug)]
struct RememberedFailure {
    error: Error,
    until: Instant,
    number: u64,
}

/// See the module. The clock is the caller's.
#[derive(Debug, Default)]
pub struct RecentFailures {
    held: HashMap<Repeated, RememberedFailure>,
    /// By age.
    order: BTreeMap<u64, Repeated>,
    /// How many of each function are held.
    functions: HashMap<String, usize>,
    next: u64,
}

impl RecentFailures {
    /// True where a failure of this function is remembered: only then is a batch worth being hashed.
    pub fn knows(&mut self, function: &str, now: Instant) -> bool {
        self.forget(now);
        self.functions.contains_key(function)
    }

    /// The error of the same call.
    pub fn find(&mut self, call: &Repeated, now: Instant) -> Option<Error> {
        self.forget(now);
        self.held.get(call).map(|held| held.error.clone())
    }

    /// Takes a failure in; in place of the oldest where there is no room.
    pub fn remember(&mut self, call: Repeated, error: Error, now: Instant) {
        self.remove(&call);
        self.forget(now);
        if self.held.len() >= MOST {
            self.remove_oldest();
        }
        *self.functions.entry(call.function.clone()).or_default() += 1;
        self.order.insert(self.next, call.clone());
        self.held.insert(call, RememberedFailure { error, until: now + TIME, number: self.next });
        self.next += 1;
    }

    fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.order.first_key_value().and_then(|(_, call)| self.held.get(call))
            && oldest.until <= now
        {
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        if let Some((_, call)) = self.order.first_key_value() {
            let call = call.clone();
            self.remove(&call);
        }
    }

    fn remove(&mut self, call: &Repeated) {
        let Some(held) = self.held.remove(call) else { return };
        self.order.remove(&held.number);
        if let Some(count) = self.functions.get_mut(&call.function) {
            *count -= 1;
            if *count == 0 {
                self.functions.remove(&call.function);
            }
        }
    }
}

/// Hashes with a key of this process, so that nobody can forge collisions.
pub(super) fn hash(parts: [&[u8]; 3]) -> u64 {
    static KEY: std::sync::LazyLock<RandomState> = std::sync::LazyLock::new(RandomState::new);
    let mut hasher = KEY.build_hasher();
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use udfleet_proto::v1::ErrorCode;

    fn call(hash: u64) -> Repeated {
        Repeated { query: "q".to_owned(), function: "f@1".to_owned(), hash }
    }

    fn error(text: &str) -> Error {
        Error::new(ErrorCode::UserCode, text)
    }

    #[test]
    fn failures_are_remembered_for_a_while() {
        let (mut recent, start) = (RecentFailures::default(), Instant::now());
        assert!(!recent.knows("f@1", start));
        recent.remember(call(1), error("no"), start);
        assert!(recent.knows("f@1", start) && !recent.knows("f@2", start));
        assert_eq!(recent.find(&call(1), start + TIME / 2), Some(error("no")));
        assert_eq!(recent.find(&call(2), start), None);
        assert_eq!(recent.find(&Repeated { query: "other".to_owned(), ..call(1) }, start), None);
        assert_eq!(recent.find(&call(1), start + TIME), None);
        assert!(!recent.knows("f@1", start + TIME));
        assert!(recent.held.is_empty() && recent.order.is_empty() && recent.functions.is_empty());
    }

    #[test]
    fn the_oldest_makes_room_and_a_newer_one_replaces() {
        let (mut recent, start) = (RecentFailures::default(), Instant::now());
        (0..MOST as u64).for_each(|hash| recent.remember(call(hash), error("old"), start));
        recent.remember(call(0), error("new"), start);
        recent.remember(call(MOST as u64), error("last"), start);
        assert_eq!(recent.find(&call(0), start), Some(error("new")));
        assert_eq!(recent.find(&call(1), start), None);
        assert_eq!((recent.held.len(), recent.order.len(), recent.functions["f@1"]), (MOST, MOST, MOST));
    }

    #[test]
    fn parts_are_told_apart() {
        assert_eq!(hash([b"a", b"b", b""]), hash([b"a", b"b", b""]));
        assert_ne!(hash([b"ab", b"", b""]), hash([b"a", b"b", b""]));
    }
}
