//! Which executors a batch may go to.

use super::by_key::KeyRouting;

/// Who gets the batches of a stream.
pub(super) enum Routing {
    /// Each goes to any executor that serves the function.
    Any,
    /// All go to one, which knows what came before: groups, or dictionaries.
    Pinned,
    /// Each is cut by its rows' keys, and each partition of the keys has an executor that knows its groups.
    ByKey(KeyRouting),
}

impl Routing {
    /// Of a stream that is aggregated, or has dictionaries, which belong to the exchange that they were sent on.
    pub fn without_keys(aggregates: bool, dictionaries: bool) -> Self {
        if aggregates || dictionaries { Self::Pinned } else { Self::Any }
    }
}
