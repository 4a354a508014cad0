//! Draining what an interpreter prints: always, so that it never blocks, and sorted by function.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::logs::{LogStore, Stream};

/// Starts a marker line (`executor/interpreter/src/stdio.rs` writes it).
const MARKER: &[u8] = b"\x1eudfleet-function:";
/// A line longer than this is split.
const MAX_LINE: usize = 16 << 10;
/// How much of the newest stderr a crash report quotes, bytes.
const MAX_TAIL: usize = 4 << 10;

/// The newest stderr of a process.
#[derive(Debug, Clone, Default)]
pub struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    fn push(&self, line: &[u8]) {
        let mut tail = self.0.lock();
        tail.extend_from_slice(line);
        tail.push(b'\n');
        let excess = tail.len().saturating_sub(MAX_TAIL);
        tail.drain(..excess);
    }

    /// As text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

/// Turns function numbers of markers into names.
pub type Names = Arc<dyn Fn(u32) -> Option<String> + Send + Sync>;

/// Splits a byte stream into lines and marker lines.
#[derive(Default)]
struct Splitter {
    pending: Vec<u8>,
}

impl Splitter {
    /// Calls `line` for each complete line, without its end.
    fn feed(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (head, tail) = rest.split_at(end);
            rest = &tail[1..];
            if self.pending.is_empty() {
                line(head);
            } else {
                self.pending.extend_from_slice(head);
                line(&self.pending);
                self.pending.clear();
            }
        }
        self.pending.extend_from_slice(rest);
        if self.pending.len() > MAX_LINE {
            line(&self.pending);
            self.pending.clear();
        }
    }
}

/// The number in a marker, and what stands before it on the same line (output without a line end).
fn marker(line: &[u8]) -> Option<(&[u8], u32)> {
    let at = line.windows(MARKER.len()).position(|window| window == MARKER)?;
    let number = std::str::from_utf8(&line[at + MARKER.len()..]).ok()?.parse().ok()?;
    Some((&line[..at], number))
}

/// Reads until the pipe closes.
pub async fn drain(
    mut pipe: impl AsyncRead + Unpin,
    stream: Stream,
    pid: u32,
    logs: Arc<LogStore>,
    names: Names,
    tail: Tail,
) {
    let mut buffer = vec![0u8; 64 << 10];
    let mut splitter = Splitter::default();
    let mut function = String::new();
    let take = |function: &str, line: &[u8]| {
        if line.is_empty() && function.is_empty() {
            return;
        }
        logs.push(function, stream, pid, &String::from_utf8_lossy(line));
        if stream == Stream::Stderr {
            tail.push(line);
        }
    };
    loop {
        let read = match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        splitter.feed(&buffer[..read], |line| match marker(line) {
            Some((before, number)) => {
                if !before.is_empty() {
                    take(&function, before);
                }
                function = names(number).unwrap_or_default();
            }
            None => take(&function, line),
        });
    }
    if !splitter.pending.is_empty() {
        take(&function, &splitter.pending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
        for chunk in chunks {
            splitter.feed(chunk, |line| lines.push(String::from_utf8_lossy(line).into_owned()));
        }
        lines
    }

    #[test]
    fn lines_survive_any_chunking() {
        assert_eq!(lines(&[b"a\nb", b"c\n", b"\n", b"d"]), ["a", "bc", ""]);
    }

    #[test]
    fn endless_lines_are_bounded() {
        assert_eq!(lines(&[&[b'x'; MAX_LINE], b"y"]).len(), 1);
    }

    #[test]
    fn markers_are_found_behind_unfinished_output() {
        assert_eq!(marker(b"\x1eudfleet-function:12"), Some((&b""[..], 12)));
        assert_eq!(marker(b"no end\x1eudfleet-function:3"), Some((&b"no end"[..], 3)));
        assert_eq!(marker(b"\x1eudfleet-function:x"), None);
        assert_eq!(marker(b"plain"), None);
    }
}
