//! What the process remembers of artifacts, so that it need not ask the store each time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use object_store::ObjectMeta;
use parking_lot::Mutex;

/// What is beyond this is forgotten, and asked for once more.
const REMEMBERED: usize = 65_536;

/// Artifacts whose content has been read and is what their names say.
#[derive(Debug, Default)]
pub(super) struct VerifiedObjects(Mutex<HashMap<String, Stamp>>);

/// Which object it was.
type Stamp = (Option<String>, u64, i64);

fn stamp(found: &ObjectMeta) -> Stamp {
    (found.e_tag.clone(), found.size, found.last_modified.timestamp_micros())
}

impl VerifiedObjects {
    /// True where this very object has been read.
    pub fn knows(&self, hash: &str, found: &ObjectMeta) -> bool {
        self.0.lock().get(hash) == Some(&stamp(found))
    }

    /// This object has been read, and is whole.
    pub fn note(&self, hash: &str, found: &ObjectMeta) {
        let mut known = self.0.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(hash.to_owned(), stamp(found));
    }

    /// It is not there any more.
    pub fn forget(&self, hash: &str) {
        self.0.lock().remove(hash);
    }
}

/// Artifacts of which the store has lately been told that somebody asks for them.
#[derive(Debug)]
pub(super) struct RecentReservations {
    lately: Duration,
    when: Mutex<HashMap<String, Instant>>,
}

impl RecentReservations {
    /// To be told again after this time.
    pub fn new(lately: Duration) -> Self {
        Self { lately, when: Mutex::default() }
    }

    /// True where the store need not be told again.
    pub fn lately(&self, hash: &str) -> bool {
        self.when.lock().get(hash).is_some_and(|when| when.elapsed() < self.lately)
    }

    /// The store has just been told.
    pub fn note(&self, hash: &str) {
        let mut when = self.when.lock();
        if when.len() >= REMEMBERED {
            when.clear();
        }
        when.insert(hash.to_owned(), Instant::now());
    }

    /// The store knows nothing of it any more.
    pub fn forget(&self, hash: &str) {
        self.when.lock().remove(hash);
    }
}
