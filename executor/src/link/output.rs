//! Reads an interpreter's output: always, so that it never blocks, and attributes it to functions.

use std::collections::VecDeque;
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memmem, memrchr_iter};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::logs::{LogStore, PrintedLine, Stream};
use udfleet_proto::secrets::Masks;

/// Starts a marker line (`executor/interpreter/src/stdio.rs` writes it).
const MARKER: &[u8] = b"\x1eudfleet-function:";
/// A line longer than this is split.
const MAX_LINE: usize = 16 << 10;
/// Of the output that is read at once, so many lines are kept, the newest: a function that prints nothing but line ends
/// must not take a core of the executor.
const MOST_LINES: usize = 5000;
/// How much of the newest stderr a crash report quotes, bytes.
const MAX_TAIL: usize = 4 << 10;

/// The newest stderr of a process.
#[derive(Debug, Clone, Default)]
pub struct StderrTail(Arc<Mutex<VecDeque<u8>>>);

impl StderrTail {
    fn push<'a>(&self, lines: impl Iterator<Item = &'a str>) {
        let mut tail = self.0.lock();
        for line in lines {
            tail.extend(line.as_bytes());
            tail.push_back(b'\n');
            let excess = tail.len().saturating_sub(MAX_TAIL);
            tail.drain(..excess);
        }
    }

    /// As text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.0.lock().make_contiguous()).into_owned()
    }
}

/// Turns function numbers of markers into names.
pub type Names = Arc<dyn Fn(u32) -> Option<String> + Send + Sync>;

/// Splits a byte stream into lines and marker lines, without the values of secrets.
#[derive(Default)]
struct Splitter {
    pending: Vec<u8>,
    masks: Masks,
}

impl Splitter {
    /// Calls `line` for each complete line, without its end.
    fn feed(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
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
            // What may be the beginning of a value waits for the rest of it.
            let cut = self.masks.mask_open(&mut self.pending);
            line(&self.pending[..cut]);
            self.pending.drain(..cut);
        }
    }
}

/// The number in a marker, and what stands before it on the same line (output without a line end).
fn marker(line: &[u8]) -> Option<(&[u8], u32)> {
    let at = memmem::find(line, MARKER)?;
    let number = std::str::from_utf8(&line[at + MARKER.len()..]).ok()?.parse().ok()?;
    Some((&line[..at], number))
}

/// Sorts lines by the function that printed them.
struct Sorter {
    names: Names,
    function: Arc<str>,
    splitter: Splitter,
}

/// The newest lines of a piece of output, and how many came before them.
#[derive(Default)]
struct Newest {
    lines: Vec<PrintedLine>,
    skipped: u64,
}

impl Newest {
    fn push(&mut self, function: &Arc<str>, line: &[u8], masks: &Masks) {
        // What belongs to no function is shown only where it says something.
        if line.is_empty() && function.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        let text = masks.mask(&text).into_owned();
        self.lines.push(PrintedLine { function: Arc::clone(function), text });
    }
}

impl Sorter {
    fn new(names: Names, masks: Masks) -> Self {
        Self { names, function: Arc::from(""), splitter: Splitter { masks, ..Splitter::default() } }
    }

    fn feed(&mut self, bytes: &[u8]) -> Newest {
        let mut newest = Newest::default();
        // Behind this line end lie as many lines as are kept.
        let (skipped, bytes) = match memrchr_iter(b'\n', bytes).nth(MOST_LINES) {
            Some(end) => bytes.split_at(end + 1),
            None => (&[][..], bytes),
        };
        if !skipped.is_empty() {
            newest.skipped = memchr_iter(b'\n', skipped).count() as u64;
            self.skip(skipped);
        }
        let (function, names, masks) = (&mut self.function, &self.names, &self.splitter.masks.clone());
        self.splitter.feed(bytes, |line| match marker(line) {
            Some((before, number)) => {
                if !before.is_empty() {
                    newest.push(function, before, masks);
                }
                *function = Arc::from(names(number).unwrap_or_default());
            }
            None => newest.push(function, line, masks),
        });
        newest
    }

    /// Of whole lines that are not kept, only the last marker counts.
    fn skip(&mut self, lines: &[u8]) {
        let mut text = std::mem::take(&mut self.splitter.pending);
        text.extend_from_slice(lines);
        let Some(at) = memmem::rfind(&text, MARKER) else { return };
        let end = memchr(b'\n', &text[at..]).map_or(text.len(), |end| at + end);
        if let Some((_, number)) = marker(&text[at..end]) {
            self.function = Arc::from((self.names)(number).unwrap_or_default());
        }
    }

    /// What the process wrote last, without a line end.
    fn rest(&mut self) -> Newest {
        let mut newest = Newest::default();
        if !self.splitter.pending.is_empty() {
            newest.push(&self.function, &self.splitter.pending, &self.splitter.masks);
        }
        newest
    }
}

/// Reads until the pipe closes.
pub async fn drain(
    mut pipe: impl AsyncRead + Unpin,
    stream: Stream,
    pid: u32,
    logs: Arc<LogStore>,
    names: Names,
    tail: StderrTail,
    masks: Masks,
) {
    let mut buffer = vec![0u8; 64 << 10];
    let mut sorter = Sorter::new(names, masks);
    let keep = |newest: Newest| {
        if stream == Stream::Stderr {
            tail.push(newest.lines.iter().map(|line| line.text.as_str()));
        }
        if !newest.lines.is_empty() {
            logs.push(stream, pid, newest.skipped, newest.lines);
        }
    };
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => keep(sorter.feed(&buffer[..read])),
        }
        // A process that floods is read no faster than others get their turn.
        tokio::task::yield_now().await;
    }
    keep(sorter.rest());
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
    fn values_are_masked_however_they_are_cut() {
        let masks = Masks::new([&b"s3cr3t-of-16-byt"[..]]).unwrap();
        let text =
            [vec![b'x'; MAX_LINE - 8], b"s3cr3t-of-16-byt and s3cr3t-of-16-byt".to_vec(), vec![b'y'; 5]].concat();
        for size in [1, 7, 4096, MAX_LINE, text.len()] {
            let mut sorter = Sorter::new(Arc::new(|_| Some("f@1".to_owned())), masks.clone());
            let mut all: Vec<PrintedLine> =
                b"\x1eudfleet-function:1\n".chunks(9).flat_map(|c| sorter.feed(c).lines).collect();
            all.extend(text.chunks(size).flat_map(|chunk| sorter.feed(chunk).lines));
            all.extend(sorter.rest().lines);
            let joined: String = all.iter().map(|line| line.text.as_str()).collect();
            assert_eq!(joined, format!("{}*** and ***yyyyy", "x".repeat(MAX_LINE - 8)), "in pieces of {size}");
        }
    }

    #[test]
    fn markers_are_found_behind_unfinished_output() {
        assert_eq!(marker(b"\x1eudfleet-function:12"), Some((&b""[..], 12)));
        assert_eq!(marker(b"no end\x1eudfleet-function:3"), Some((&b"no end"[..], 3)));
        assert_eq!(marker(b"\x1eudfleet-function:x"), None);
        assert_eq!(marker(b"plain"), None);
    }

    #[test]
    fn of_a_flood_the_newest_lines_are_kept_and_the_others_counted() {
        let mut sorter = Sorter::new(Arc::new(|number| Some(format!("f{number}@1"))), Masks::default());
        let flood = [b"\x1eudfleet-function:7\n".to_vec(), vec![b'\n'; 60_000], b"the end\n".to_vec()].concat();
        let newest = sorter.feed(&flood);
        // The marker is a line too.
        assert_eq!((newest.lines.len(), newest.skipped), (MOST_LINES, 60_002 - MOST_LINES as u64));
        let last = newest.lines.last().unwrap();
        assert_eq!((&*last.function, last.text.as_str()), ("f7@1", "the end"));
    }

    #[test]
    fn the_tail_keeps_the_newest_bytes() {
        let tail = StderrTail::default();
        tail.push(["x".repeat(3 * MAX_TAIL).as_str(), "last words"].into_iter());
        let text = tail.text();
        assert!(text.len() <= MAX_TAIL && text.ends_with("x\nlast words\n"));
    }
}
