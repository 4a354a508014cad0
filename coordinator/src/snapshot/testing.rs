//! Snapshots for tests.

use std::sync::Arc;
use std::time::Instant;

use udfleet_proto::v1::{ExecutorState, FunctionDefinition, Hello};

use super::{ExecutorEntry, Map, SnapshotBuilder};
use crate::registry::{Catalog, Function};

/// A fleet with this function.
pub(crate) fn counted(name: &str) -> SnapshotBuilder {
    counted_all([name.to_owned()])
}

/// A fleet with these functions.
pub(crate) fn counted_all(names: impl IntoIterator<Item = String>) -> SnapshotBuilder {
    let mut builder = SnapshotBuilder::default();
    let before = Catalog::default();
    let function = |name| Arc::new(Function::new(FunctionDefinition { name, version: 1, ..Default::default() }));
    let catalog = Arc::new(names.into_iter().map(function).fold(before.clone(), |catalog, f| catalog.with(f)));
    builder.set_catalog(&catalog, &catalog.since(&before));
    builder
}

/// An executor that is ready.
pub(crate) fn executor(id: &str) -> ExecutorEntry {
    ExecutorEntry {
        hello: Arc::new(Hello { executor: id.to_owned(), max_interpreters: 4, ..Default::default() }),
        state: ExecutorState::Ready,
        epoch: 1,
        interpreters: 1,
        rss_bytes: 1 << 20,
        certificate_ends_unix: 0,
        in_flight: 0,
        devices: Vec::new(),
        functions: Map::new_sync(),
        heard: Instant::now(),
        attached_to: Vec::new(),
    }
}

/// One attaches.
pub(crate) fn attach(builder: &mut SnapshotBuilder, id: &str) {
    builder.set_executor(&Arc::from(id), Some(executor(id)));
}
