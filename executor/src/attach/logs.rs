//! Sends the output of functions to the coordinator, at a rate that it can handle from a large fleet.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use udfleet_proto::v1::{ExecutorMessage, LogBatch, executor_message};

use crate::logs::LogStore;

/// Between two batches: together with their size this bounds what one executor sends, 10,000 lines or 2.5 MiB a second.
const GAP: Duration = Duration::from_millis(100);
const MAX_LINES: usize = 1000;
const MAX_BYTES: usize = 256 << 10;

/// What one attachment has been sent. A new one is sent all that is kept: lines are numbered, so that does no harm.
pub(super) struct LogShipper {
    logs: Arc<LogStore>,
    changes: watch::Receiver<u64>,
    sent: u64,
    next: Instant,
}

impl LogShipper {
    pub(super) fn new(logs: Arc<LogStore>) -> Self {
        let changes = logs.changes();
        Self { logs, changes, sent: 0, next: Instant::now() }
    }

    /// Resolves when there are lines to send and time for it.
    pub(super) async fn due(&mut self) {
        if *self.changes.borrow_and_update() <= self.sent {
            // Never fails: the store is held here.
            let _ = self.changes.changed().await;
        }
        tokio::time::sleep_until(self.next).await;
    }

    /// The next lines; `None` when all are sent.
    pub(super) fn batch(&mut self) -> Option<ExecutorMessage> {
        let newest = *self.changes.borrow_and_update();
        let lines = self.logs.after(self.sent, MAX_LINES, MAX_BYTES);
        // The newest may have been skipped, or overwritten.
        self.sent = lines.last().map_or(newest.max(self.sent), |line| line.sequence);
        self.next = Instant::now() + GAP;
        let kind = executor_message::Kind::Logs(LogBatch { lines });
        let some = !matches!(&kind, executor_message::Kind::Logs(batch) if batch.lines.is_empty());
        some.then_some(ExecutorMessage { kind: Some(kind) })
    }
}
