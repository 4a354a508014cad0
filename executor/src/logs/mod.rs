//! What functions print: the newest lines of each function and stream, and a live feed. Writers never wait for readers.

mod ring;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::broadcast;
use udfleet_proto::error::truncate;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::LogLine;

use ring::Ring;

/// Longest line that is kept, bytes; the rest is cut off.
pub const MAX_LINE_BYTES: usize = 16 << 10;

/// Lines that a follower may lag behind before it loses some.
const FOLLOWER_LAG: usize = 1024;

/// Functions whose output is kept; those that have been silent longest give way.
const MAX_FUNCTIONS: usize = 4096;

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

/// The output of all functions of this executor.
pub struct LogStore {
    executor: String,
    rings: Mutex<BTreeMap<(String, Stream), Ring>>,
    feed: broadcast::Sender<Arc<LogLine>>,
}

impl LogStore {
    /// An empty store; `executor` is named in every line.
    #[must_use]
    pub fn new(executor: impl Into<String>) -> Self {
        let (feed, _) = broadcast::channel(FOLLOWER_LAG);
        Self { executor: executor.into(), rings: Mutex::new(BTreeMap::new()), feed }
    }

    /// Keeps one line. `function` is `name@version`, or empty for output that belongs to none.
    pub fn push(&self, function: &str, stream: Stream, pid: u32, text: &str) {
        let mut text = text.trim_end_matches(['\n', '\r']);
        let mut cut;
        if text.len() > MAX_LINE_BYTES {
            cut = text[..text.floor_char_boundary(MAX_LINE_BYTES)].to_owned();
            truncate(&mut cut, MAX_LINE_BYTES - 4);
            text = &cut;
        }
        let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        let line = Arc::new(LogLine {
            executor: self.executor.clone(),
            function: function.to_owned(),
            stream: stream.name().to_owned(),
            unix_ms,
            text: text.to_owned(),
            pid,
        });
        self.keep(function, stream, Arc::clone(&line));
        // Fails only when nobody follows.
        let _ = self.feed.send(line);
    }

    fn keep(&self, function: &str, stream: Stream, line: Arc<LogLine>) {
        let mut rings = self.rings.lock();
        let key = (function.to_owned(), stream);
        if !rings.contains_key(&key) && rings.len() >= MAX_FUNCTIONS {
            let oldest = rings.iter().min_by_key(|(_, ring)| ring.newest_unix_ms()).map(|(key, _)| key.clone());
            oldest.and_then(|key| rings.remove(&key));
        }
        rings.entry(key).or_default().push(line);
    }

    /// The newest `count` lines of each stream of the wanted functions, oldest first; 0 means all that are kept.
    #[must_use]
    pub fn tail(&self, wanted: &Wanted, count: usize) -> Vec<Arc<LogLine>> {
        let count = if count == 0 { usize::MAX } else { count };
        let rings = self.rings.lock();
        let chosen = rings.iter().filter(|((function, _), _)| wanted.includes(function));
        let mut lines: Vec<_> = chosen.flat_map(|(_, ring)| ring.newest(count)).collect();
        drop(rings);
        lines.sort_by_key(|line| line.unix_ms);
        lines
    }

    /// Lines from now on, of all functions. A follower that lags loses lines and is told how many.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Arc<LogLine>> {
        self.feed.subscribe()
    }
}

/// Whose lines a reader wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Every line.
    All,
    /// One version, or all versions of a name.
    Function(FunctionRef),
}

impl Wanted {
    /// Whether lines of `function` (`name@version`) are wanted.
    #[must_use]
    pub fn includes(&self, function: &str) -> bool {
        match self {
            Self::All => true,
            Self::Function(FunctionRef { name, version: None }) => {
                function.split_once('@').map_or(function, |(name, _)| name) == name
            }
            Self::Function(versioned) => versioned.to_string() == function,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(store: &LogStore, wanted: &str, count: usize) -> Vec<String> {
        let wanted =
            if wanted.is_empty() { Wanted::All } else { Wanted::Function(FunctionRef::parse(wanted).unwrap()) };
        store.tail(&wanted, count).iter().map(|line| line.text.clone()).collect()
    }

    #[test]
    fn lines_are_found_by_version_by_name_and_all() {
        let store = LogStore::new("e1");
        store.push("add@1", Stream::Stdout, 1, "one\n");
        store.push("add@2", Stream::Stderr, 2, "two");
        store.push("adder@1", Stream::Stdout, 3, "three");
        assert_eq!(texts(&store, "add@2", 0), ["two"]);
        assert_eq!(texts(&store, "add", 0), ["one", "two"]);
        assert_eq!(texts(&store, "", 0), ["one", "two", "three"]);
        assert_eq!(store.tail(&Wanted::All, 0)[1].stream, "stderr");
    }

    #[test]
    fn a_flood_keeps_the_newest_and_cuts_long_lines() {
        let store = LogStore::new("e1");
        for number in 0..100_000 {
            store.push("f@1", Stream::Stdout, 1, &number.to_string());
        }
        assert_eq!(texts(&store, "f", 2), ["99998", "99999"]);
        assert!(texts(&store, "f", 0).len() < 10_000);
        store.push("f@1", Stream::Stdout, 1, &"é".repeat(MAX_LINE_BYTES));
        let line = texts(&store, "f", 1).remove(0);
        assert!(line.len() <= MAX_LINE_BYTES && line.ends_with('…'), "{}", line.len());
    }

    #[tokio::test]
    async fn a_lagging_follower_blocks_nobody_and_goes_on() {
        let store = LogStore::new("e1");
        let mut follower = store.follow();
        for number in 0..(FOLLOWER_LAG * 2) {
            store.push("f@1", Stream::Stdout, 1, &number.to_string());
        }
        assert!(matches!(follower.recv().await, Err(broadcast::error::RecvError::Lagged(_))));
        assert!(follower.recv().await.is_ok());
    }
}
