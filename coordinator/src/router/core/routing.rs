//! Which executors a batch may go to.

/// Who gets the batches of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::router) enum Routing {
    /// Each goes to any executor that serves the function.
    Any,
    /// All go to one, which knows what came before: groups, or dictionaries.
    Pinned,
}

impl Routing {
    /// Of a stream that is aggregated, or has dictionaries, which belong to the exchange that they were sent on.
    pub fn of(aggregates: bool, dictionaries: bool) -> Self {
        if aggregates || dictionaries { Self::Pinned } else { Self::Any }
    }
}
