//! Output of functions: the newest lines of this executor, kept until coordinators have them. Writers never wait for
//! readers, and a flood costs little: of each piece of output only the newest lines are parsed.

mod ring;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::watch;
use udfleet_proto::error::truncate;
use udfleet_proto::v1::LogLine;

use ring::Ring;

/// Longest line that is kept, bytes; the rest is cut off.
pub const MAX_LINE_BYTES: usize = 16 << 10;

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One line as an interpreter wrote it.
#[derive(Debug, Clone)]
pub struct PrintedLine {
    /// `name@version`, or empty for output that belongs to none.
    pub function: Arc<str>,
    /// Without its end.
    pub text: String,
}

/// The newest output of all functions of this executor.
pub struct LogStore {
    executor: String,
    ring: Mutex<Ring>,
    last: watch::Sender<u64>,
}

impl LogStore {
    /// An empty store; `executor` is named in every line.
    #[must_use]
    pub fn new(executor: impl Into<String>) -> Self {
        Self { executor: executor.into(), ring: Mutex::default(), last: watch::Sender::new(0) }
    }

    /// Keeps lines that one process wrote, the oldest first. `skipped` lines before them are only counted.
    pub fn push(&self, stream: Stream, pid: u32, skipped: u64, lines: impl IntoIterator<Item = PrintedLine>) {
        let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        let mut ring = self.ring.lock();
        ring.skip(skipped);
        for PrintedLine { function, mut text } in lines {
            truncate(&mut text, MAX_LINE_BYTES - '…'.len_utf8());
            ring.push(Stored { function, stream, pid, unix_ms, text });
        }
        let last = ring.last();
        drop(ring);
        self.last.send_replace(last);
    }

    /// The number of the newest line, whenever there are more.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// The oldest lines after number `after`: at most `most`, and `bytes` of text or one line.
    #[must_use]
    pub fn after(&self, after: u64, most: usize, bytes: usize) -> Vec<LogLine> {
        let ring = self.ring.lock();
        let mut room = bytes;
        let fits = |(index, (_, line)): &(usize, (u64, &Stored))| {
            let takes = *index == 0 || line.text.len() <= room;
            room = room.saturating_sub(line.text.len());
            takes
        };
        let lines = ring.after(after).take(most).enumerate().take_while(fits);
        lines.map(|(_, (sequence, line))| line.message(sequence, &self.executor)).collect()
    }
}

/// A line in the ring.
struct Stored {
    function: Arc<str>,
    stream: Stream,
    pid: u32,
    unix_ms: i64,
    text: String,
}

impl Stored {
    fn message(&self, sequence: u64, executor: &str) -> LogLine {
        LogLine {
            executor: executor.to_owned(),
            function: self.function.to_string(),
            stream: self.stream.name().to_owned(),
            unix_ms: self.unix_ms,
            text: self.text.clone(),
            pid: self.pid,
            sequence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> PrintedLine {
        PrintedLine { function: Arc::from("f@1"), text: text.to_owned() }
    }

    fn texts(store: &LogStore, after: u64) -> Vec<String> {
        store.after(after, usize::MAX, usize::MAX).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn lines_are_numbered_and_read_on_from_where_one_was() {
        let store = LogStore::new("e1");
        let mut changes = store.changes();
        store.push(Stream::Stdout, 1, 0, [line("one"), line("two")]);
        assert_eq!(*changes.borrow_and_update(), 2);
        assert_eq!((texts(&store, 0), texts(&store, 1)), (vec!["one".into(), "two".into()], vec!["two".to_owned()]));
        store.push(Stream::Stderr, 2, 7, [line("after a gap")]);
        let newest = store.after(2, 10, 1000).remove(0);
        assert_eq!((newest.sequence, newest.stream.as_str(), newest.executor.as_str()), (10, "stderr", "e1"));
    }

    #[test]
    fn a_flood_keeps_the_newest_and_cuts_long_lines() {
        let store = LogStore::new("e1");
        for number in 0..100_000 {
            store.push(Stream::Stdout, 1, 0, [line(&number.to_string())]);
        }
        let kept = texts(&store, 0);
        assert!((100..20_000).contains(&kept.len()), "{}", kept.len());
        assert_eq!(kept[kept.len() - 2..], ["99998", "99999"]);
        store.push(Stream::Stdout, 1, 0, [line(&"é".repeat(MAX_LINE_BYTES))]);
        let long = texts(&store, 100_000).remove(0);
        assert!(long.len() <= MAX_LINE_BYTES && long.ends_with('…'), "{}", long.len());
    }

    #[test]
    fn what_is_sent_at_once_is_bounded() {
        let store = LogStore::new("e1");
        store.push(Stream::Stdout, 1, 0, (0..10).map(|_| line(&"x".repeat(100))));
        assert_eq!(store.after(0, 3, 1000).len(), 3);
        assert_eq!(store.after(0, 100, 250).len(), 2);
        assert_eq!(store.after(0, 100, 10).len(), 1, "one always goes");
        assert!(store.after(10, 100, 1000).is_empty());
    }
}
