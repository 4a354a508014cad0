//! An environment that is to be placed, and where it is.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::{PlacementRequest, Places};

#[derive(Debug)]
pub(super) struct Row {
    pub wanted: PlacementRequest,
    /// Executors that could run it and take work.
    pub able: usize,
    /// Interpreters that it needs at least, wherever it is.
    pub need: u32,
    /// Where it is.
    pub on: Places,
    /// Where it is nowhere: why, for people.
    pub unplaced: String,
    /// Executors that have had it since before the last settle.
    pub known: BTreeSet<String>,
    /// Where it was when this was last told, or why nowhere.
    pub told: (Places, String),
}

/// The most constrained goes first.
pub(super) type Rank = (usize, Reverse<u32>, String);

impl Row {
    pub fn new(wanted: PlacementRequest) -> Self {
        let need = wanted.interpreters.max(1);
        Self {
            wanted,
            able: 0,
            need,
            on: Places::new(),
            unplaced: String::new(),
            known: BTreeSet::new(),
            told: Default::default(),
        }
    }

    pub fn rank(&self) -> Rank {
        (self.able, Reverse(self.wanted.interpreters), self.wanted.environment.clone())
    }

    /// On how many executors it should be.
    pub fn target(&self) -> usize {
        if self.wanted.executors == 0 { self.able } else { self.able.min(self.wanted.executors as usize) }
    }

    pub fn wants_more(&self) -> bool {
        self.on.len() < self.target()
    }

    /// True where it would still be somewhere where it has been for a while: it may serve calls there.
    pub fn can_leave(&self, executor: &str) -> bool {
        let stays = |id: &&String| *id != executor && (self.known.is_empty() || self.known.contains(*id));
        self.on.keys().any(|id| stays(&id))
    }

    /// True where whatever holds for one holds for the other.
    pub fn is_like(&self, other: &Self) -> bool {
        let (mine, theirs) = (&self.wanted, &other.wanted);
        self.need == other.need
            && mine.python == theirs.python
            && mine.payloads == theirs.payloads
            && mine.labels == theirs.labels
            && mine.resources == theirs.resources
            && mine.network == theirs.network
            && mine.secrets == theirs.secrets
    }
}
