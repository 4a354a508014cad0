//! The newest lines of one stream, bounded in number and bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use udfleet_proto::v1::LogLine;

const MAX_LINES: usize = 2000;
const MAX_BYTES: usize = 256 << 10;

#[derive(Default)]
pub(super) struct Ring {
    lines: VecDeque<Arc<LogLine>>,
    bytes: usize,
}

impl Ring {
    pub(super) fn push(&mut self, line: Arc<LogLine>) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > MAX_LINES || self.bytes > MAX_BYTES {
            let Some(old) = self.lines.pop_front() else { break };
            self.bytes -= old.text.len();
        }
    }

    pub(super) fn newest(&self, count: usize) -> impl Iterator<Item = Arc<LogLine>> + '_ {
        self.lines.iter().skip(self.lines.len().saturating_sub(count)).cloned()
    }

    pub(super) fn newest_unix_ms(&self) -> i64 {
        self.lines.back().map_or(0, |line| line.unix_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_bounded() {
        let mut ring = Ring::default();
        for _ in 0..100 {
            ring.push(Arc::new(LogLine { text: "x".repeat(16 << 10), ..LogLine::default() }));
        }
        assert!(ring.bytes <= MAX_BYTES);
        assert_eq!(ring.lines.len(), MAX_BYTES / (16 << 10));
    }
}
