//! The fleet at one moment, immutable: functions and their states, executors, environments, metrics. Membership
//! publishes a new one with every change; the JSON API, the Fleet service and Prometheus read it.
//!
//! Maps are persistent (they share what has not changed), so that a change costs what it touches, however large the
//! fleet. Derived values (sums over executors, reasons) are computed on first use, once per entry, and shared by all
//! readers.

mod builder;
mod environment;
mod executor;
mod function;
mod numbers;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use arc_swap::ArcSwap;
use rpds::RedBlackTreeMapSync;
use tokio::sync::watch;
use udfleet_edge::tracked::TrackedMap;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::FunctionProgress;

pub use environment::EnvironmentEntry;
pub use executor::ExecutorEntry;
pub use function::{FunctionEntry, RegistrationOutcome};
pub use numbers::FunctionNumbers;

pub(crate) use builder::{SnapshotBuilder, Touched};

use crate::registry::{Catalog, Function};

/// Persistent, ordered by key.
pub type Map<V> = RedBlackTreeMapSync<Arc<str>, V>;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Counts up with every change since the coordinator started.
    pub revision: u64,
    /// What is registered.
    pub catalog: Arc<Catalog>,
    /// By `add@3`.
    pub functions: TrackedMap<Arc<str>, Arc<FunctionEntry>>,
    /// What functions did, by `add@3`; none for those that have never been called.
    pub numbers: TrackedMap<Arc<str>, Arc<FunctionNumbers>>,
    /// By id; those that have gone are kept for a while.
    pub executors: Map<Arc<ExecutorEntry>>,
    /// By hash.
    pub environments: Map<Arc<EnvironmentEntry>>,
    /// Entries that have been replaced since the coordinator started: what keeping up has cost.
    pub replaced: u64,
}

impl Snapshot {
    fn entries<'a>(&self, functions: impl Iterator<Item = &'a Arc<Function>>) -> Vec<Arc<FunctionEntry>> {
        functions.filter_map(|function| self.functions.get(function.name.as_str())).cloned().collect()
    }

    /// Every version of every function, by name, oldest version first.
    #[must_use]
    pub fn all_versions(&self) -> Vec<Arc<FunctionEntry>> {
        self.entries(self.catalog.iter())
    }

    /// The newest version of every function, by name.
    #[must_use]
    pub fn newest(&self) -> Vec<Arc<FunctionEntry>> {
        self.entries(self.catalog.names().filter_map(|name| self.catalog.newest(name)))
    }

    /// The version that is named, or all of the name.
    #[must_use]
    pub fn matching(&self, which: &FunctionRef) -> Vec<Arc<FunctionEntry>> {
        self.entries(self.catalog.matching(which).iter())
    }

    /// The version that is named, or the newest of the name.
    #[must_use]
    pub fn find(&self, which: &FunctionRef) -> Option<Arc<FunctionEntry>> {
        self.matching(which).pop()
    }

    /// Numbers of one version, of all versions of a name together, or (`None`) of every version by itself. Empty where
    /// nothing of that name is registered.
    #[must_use]
    pub fn progress(&self, which: Option<&FunctionRef>) -> Vec<FunctionProgress> {
        let one = |name: &str| self.numbers.get(name);
        match which {
            None => self.catalog.iter().map(|f| numbers::sum(&f.name, one(&f.name).into_iter())).collect(),
            Some(which) => match self.catalog.matching(which) {
                versions if versions.is_empty() => Vec::new(),
                versions => vec![numbers::sum(&which.to_string(), versions.iter().filter_map(|f| one(&f.name)))],
            },
        }
    }
}

/// The current [`Snapshot`], replaced as a whole.
#[derive(Debug)]
pub struct SnapshotCell {
    current: ArcSwap<Snapshot>,
    revision: watch::Sender<u64>,
}

impl Default for SnapshotCell {
    fn default() -> Self {
        Self { current: ArcSwap::default(), revision: watch::Sender::new(0) }
    }
}

impl SnapshotCell {
    /// The snapshot of now; lock-free.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Revisions as they are published; a reader that is slow sees the newest.
    #[must_use]
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    pub(crate) fn publish(&self, snapshot: Snapshot) {
        let revision = snapshot.revision;
        self.current.store(Arc::new(snapshot));
        self.revision.send_replace(revision);
    }
}
