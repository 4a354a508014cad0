//! The newest lines, numbered, bounded in number and bytes.

use std::collections::VecDeque;

use super::Stored;

const MAX_LINES: usize = 10_000;
const MAX_BYTES: usize = 2 << 20;

#[derive(Default)]
pub(super) struct Ring {
    lines: VecDeque<(u64, Stored)>,
    bytes: usize,
    last: u64,
}

impl Ring {
    pub(super) fn push(&mut self, line: Stored) {
        self.last += 1;
        self.bytes += line.text.len();
        self.lines.push_back((self.last, line));
        while self.lines.len() > MAX_LINES || self.bytes > MAX_BYTES {
            let Some((_, old)) = self.lines.pop_front() else { break };
            self.bytes -= old.text.len();
        }
    }

    /// Counts lines that are not kept.
    pub(super) fn skip(&mut self, lines: u64) {
        self.last += lines;
    }

    /// The number of the newest line.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Lines behind number `after`, the oldest first.
    pub(super) fn after(&self, after: u64) -> impl Iterator<Item = (u64, &Stored)> {
        let begin = self.lines.partition_point(|(number, _)| *number <= after);
        self.lines.range(begin..).map(|(number, line)| (*number, line))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Stream;
    use super::*;

    #[test]
    fn bytes_are_bounded() {
        let mut ring = Ring::default();
        for _ in 0..1000 {
            let (function, text) = (Arc::from("f@1"), "x".repeat(16 << 10));
            ring.push(Stored { function, stream: Stream::Stdout, pid: 1, unix_ms: 0, text });
        }
        assert!(ring.bytes <= MAX_BYTES);
        assert_eq!(ring.lines.len(), MAX_BYTES / (16 << 10));
        assert_eq!((ring.last(), ring.after(999).count()), (1000, 1));
    }
}
