//! The newest lines of one function, ordered by time, bounded in number and bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use udfleet_proto::v1::LogLine;

const MAX_LINES: usize = 5000;
const MAX_BYTES: usize = 1 << 20;

/// Time at the executor, then order of arrival.
pub(super) type LineKey = (i64, u64);

#[derive(Default)]
pub(super) struct FunctionLines {
    lines: VecDeque<(LineKey, Arc<LogLine>)>,
    bytes: usize,
    arrived: u64,
}

impl FunctionLines {
    /// Lines of several executors come nearly in order: the place is near the end.
    pub(super) fn push(&mut self, line: Arc<LogLine>, arrived: u64) {
        (self.bytes, self.arrived) = (self.bytes + line.text.len(), arrived);
        let key = (line.unix_ms, arrived);
        let behind = self.lines.iter().rev().take_while(|(held, _)| *held > key).count();
        self.lines.insert(self.lines.len() - behind, (key, line));
        while self.lines.len() > MAX_LINES || self.bytes > MAX_BYTES {
            let Some((_, old)) = self.lines.pop_front() else { break };
            self.bytes -= old.text.len();
        }
    }

    pub(super) fn newest(&self, count: usize) -> impl Iterator<Item = (LineKey, Arc<LogLine>)> + '_ {
        self.lines.iter().skip(self.lines.len().saturating_sub(count)).cloned()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the newest came.
    pub(super) fn arrived(&self) -> u64 {
        self.arrived
    }
}
