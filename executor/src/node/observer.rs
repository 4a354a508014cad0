//! Records metrics and row errors in the replies of one interpreter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use udfleet_proto::v1::{FunctionRowErrors, UserMetric};

use super::context::Context;
use crate::link::Observer;
use crate::metrics::StatsRegistry;

/// Dropped when the interpreter has said its last.
pub(super) struct StatsObserver {
    stats: Arc<StatsRegistry>,
    executor: String,
    /// Process ids come again, these numbers do not.
    interpreter: u64,
}

impl StatsObserver {
    pub(super) fn new(context: &Context) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self {
            stats: Arc::clone(&context.stats),
            executor: context.executor.clone(),
            interpreter: LAST.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl Observer for StatsObserver {
    fn user_metrics(&self, function: &str, metrics: Vec<UserMetric>) {
        // A function that has left is counted no more.
        if let Some(stats) = self.stats.known(function) {
            stats.user_metrics(self.interpreter, metrics);
        }
    }

    fn row_errors(&self, function: &str, mut errors: FunctionRowErrors) {
        if let Some(stats) = self.stats.known(function) {
            for error in &mut errors.first {
                error.executor.clone_from(&self.executor);
            }
            stats.row_errors(errors);
        }
    }
}

impl Drop for StatsObserver {
    fn drop(&mut self) {
        self.stats.interpreter_ended(self.interpreter);
    }
}
