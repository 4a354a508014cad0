//! Output of functions, stored here so that it outlives its executor: the newest lines of each function, ordered by
//! time over all executors, and a live feed. Writers never wait for readers.

mod lines;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::broadcast;
use udfleet_proto::error::truncate;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::LogLine;

use lines::FunctionLines;

/// All lines together, bytes of text: functions that have been silent longest give way.
const MAX_BYTES: usize = 64 << 20;
/// Functions whose lines are kept; those that have been silent longest give way.
const MAX_FUNCTIONS: usize = 4096;
/// Executors whose numbering is remembered, so that what they send again is told apart.
const MAX_EXECUTORS: usize = 4096;
/// Longest line, bytes.
const MAX_LINE_BYTES: usize = 16 << 10;
/// Longest name of a function or stream, bytes.
const MAX_LABEL_BYTES: usize = 256;
/// Lines that a follower may lag behind before it loses some.
const FOLLOWER_LAG: usize = 4096;

/// See the module.
#[derive(Default)]
pub struct LogStore(Mutex<StoredLines>);

struct StoredLines {
    /// `None` once the coordinator stops.
    feed: Option<broadcast::Sender<Arc<LogLine>>>,
    functions: BTreeMap<String, FunctionLines>,
    bytes: usize,
    /// Counts lines, to order those of one moment.
    arrived: u64,
    /// Of each executor, its process and the number of its newest line.
    seen: HashMap<String, LastLine>,
}

struct LastLine {
    incarnation: String,
    sequence: u64,
    arrived: u64,
}

impl Default for StoredLines {
    fn default() -> Self {
        Self {
            feed: Some(broadcast::Sender::new(FOLLOWER_LAG)),
            functions: BTreeMap::new(),
            bytes: 0,
            arrived: 0,
            seen: HashMap::new(),
        }
    }
}

impl LogStore {
    /// Takes in lines of one executor's process; those that it has sent before count once.
    pub fn push(&self, executor: &str, incarnation: &str, lines: Vec<LogLine>) {
        let mut kept = self.0.lock();
        for mut line in lines {
            let Some(missed) = kept.missed(executor, incarnation, line.sequence) else { continue };
            executor.clone_into(&mut line.executor);
            truncate(&mut line.text, MAX_LINE_BYTES);
            truncate(&mut line.function, MAX_LABEL_BYTES);
            truncate(&mut line.stream, MAX_LABEL_BYTES);
            if missed > 0 {
                let text = format!("[udfleet] {missed} lines are left out: they came faster than they could be kept");
                kept.push(Arc::new(LogLine { text, ..line.clone() }));
            }
            kept.push(Arc::new(line));
        }
    }

    /// Ends all followers.
    pub fn close(&self) {
        self.0.lock().feed = None;
    }

    /// The newest `tail` lines of the wanted functions, ordered by time; 0 means all that are kept.
    #[must_use]
    pub fn tail(&self, wanted: &WantedLines, tail: usize) -> Vec<Arc<LogLine>> {
        self.0.lock().tail(wanted, tail)
    }

    /// The same, and all lines from then on, of all functions. A follower that lags loses lines and is told how many.
    #[must_use]
    pub fn follow(
        &self,
        wanted: &WantedLines,
        tail: usize,
    ) -> (Vec<Arc<LogLine>>, Option<broadcast::Receiver<Arc<LogLine>>>) {
        // Within one lock, so that a follower sees each line once.
        let kept = self.0.lock();
        (kept.tail(wanted, tail), kept.feed.as_ref().map(broadcast::Sender::subscribe))
    }
}

impl StoredLines {
    /// Lines between the newest of the process and this one; `None`: this one has been seen.
    fn missed(&mut self, executor: &str, incarnation: &str, sequence: u64) -> Option<u64> {
        let arrived = self.arrived;
        if let Some(seen) = self.seen.get_mut(executor) {
            if seen.incarnation != incarnation {
                *seen = LastLine { incarnation: incarnation.to_owned(), sequence: 0, arrived };
            }
            if sequence <= seen.sequence {
                return None;
            }
            // What a process printed before it came here is no gap.
            let missed = if seen.sequence == 0 { 0 } else { sequence - seen.sequence - 1 };
            (seen.sequence, seen.arrived) = (sequence, arrived);
            return Some(missed);
        }
        if self.seen.len() >= MAX_EXECUTORS {
            let silent = self.seen.iter().min_by_key(|(_, seen)| seen.arrived).map(|(executor, _)| executor.clone());
            silent.and_then(|executor| self.seen.remove(&executor));
        }
        self.seen.insert(executor.to_owned(), LastLine { incarnation: incarnation.to_owned(), sequence, arrived });
        Some(0)
    }

    fn push(&mut self, line: Arc<LogLine>) {
        self.arrived += 1;
        let lines = self.functions.entry(line.function.clone()).or_default();
        let before = lines.bytes();
        lines.push(Arc::clone(&line), self.arrived);
        // Fails only if there are no followers.
        self.feed.as_ref().map(|feed| feed.send(line));
        self.bytes = self.bytes - before + lines.bytes();
        while (self.bytes > MAX_BYTES || self.functions.len() > MAX_FUNCTIONS) && self.functions.len() > 1 {
            let silent = self.functions.iter().min_by_key(|(_, lines)| lines.arrived()).map(|(name, _)| name.clone());
            let Some(gone) = silent.and_then(|name| self.functions.remove(&name)) else { break };
            self.bytes -= gone.bytes();
        }
    }

    fn tail(&self, wanted: &WantedLines, tail: usize) -> Vec<Arc<LogLine>> {
        let tail = if tail == 0 { usize::MAX } else { tail };
        let chosen = self.functions.iter().filter(|(function, _)| wanted.includes(function));
        let mut lines: Vec<_> = chosen.flat_map(|(_, lines)| lines.newest(tail)).collect();
        lines.sort_by_key(|(key, _)| *key);
        let surplus = lines.len().saturating_sub(tail);
        lines.into_iter().skip(surplus).map(|(_, line)| line).collect()
    }
}

/// Whose lines a reader wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedLines {
    /// Every line.
    All,
    /// Those of one version, or of all versions of a name.
    Function(FunctionRef),
    /// Those that are kept under this very name.
    Named(String),
}

impl WantedLines {
    /// Whether lines of `function` (`name@version`) are wanted.
    #[must_use]
    pub fn includes(&self, function: &str) -> bool {
        match self {
            Self::All => true,
            Self::Function(which) => which.includes(function),
            Self::Named(name) => name == function,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(function: &str, sequence: u64, unix_ms: i64, text: &str) -> LogLine {
        let (function, text) = (function.to_owned(), text.to_owned());
        LogLine { function, sequence, unix_ms, text, ..LogLine::default() }
    }

    fn wanted(name: &str) -> WantedLines {
        if name.is_empty() { WantedLines::All } else { WantedLines::Function(FunctionRef::parse(name).unwrap()) }
    }

    fn texts(store: &LogStore, name: &str, tail: usize) -> Vec<String> {
        store.tail(&wanted(name), tail).iter().map(|line| line.text.clone()).collect()
    }

    #[test]
    fn lines_are_ordered_by_time_over_executors_and_tail_counts_all() {
        let store = LogStore::default();
        store.push(
            "a",
            "1",
            vec![line("f@1", 1, 10, "first"), line("g@1", 2, 40, "last"), line("f@1", 3, 40, "very last")],
        );
        store.push(
            "b",
            "1",
            vec![line("f@2", 1, 20, "second"), line("f@1", 2, 30, "third"), line("ff@1", 3, 5, "other")],
        );
        assert_eq!(texts(&store, "f", 0), ["first", "second", "third", "very last"]);
        assert_eq!(texts(&store, "f@1", 0), ["first", "third", "very last"]);
        assert_eq!(texts(&store, "", 3), ["third", "last", "very last"]);
        assert_eq!(texts(&store, "f", 1), ["very last"]);
        assert_eq!(store.tail(&WantedLines::All, 0)[0].executor, "b");
    }

    #[test]
    fn what_is_sent_again_counts_once_and_gaps_are_told() {
        let store = LogStore::default();
        store.push("a", "1", vec![line("f@1", 5, 1, "five"), line("f@1", 6, 1, "six")]);
        store.push("a", "1", vec![line("f@1", 5, 1, "five"), line("f@1", 6, 1, "six"), line("f@1", 9, 1, "nine")]);
        let told = texts(&store, "f", 0);
        assert_eq!((told.len(), &*told[0], &*told[1], &*told[3]), (4, "five", "six", "nine"));
        assert!(told[2].starts_with("[udfleet] 2 lines"), "{}", told[2]);
        store.push("a", "2", vec![line("f@1", 1, 2, "of a new process")]);
        assert_eq!(texts(&store, "f", 1), ["of a new process"]);
        store.push("b", "1", vec![line("f@1", 1, 3, "of another executor")]);
        assert_eq!(texts(&store, "f", 0).len(), 6);
    }

    #[test]
    fn everything_is_bounded() {
        let store = LogStore::default();
        for function in 0..100 {
            let name = format!("f{function}@1");
            let lines = (0..100).map(|_| LogLine { sequence: 0, ..line(&name, 0, function, &"x".repeat(20 << 10)) });
            let lines =
                lines.enumerate().map(|(at, l)| LogLine { sequence: function as u64 * 100 + at as u64 + 1, ..l });
            store.push("a", "1", lines.collect());
        }
        let kept = store.0.lock();
        assert!(kept.bytes <= MAX_BYTES);
        assert_eq!(kept.bytes, kept.functions.values().map(FunctionLines::bytes).sum::<usize>());
        assert!(kept.functions.contains_key("f99@1") && !kept.functions.contains_key("f0@1"));
        assert!(
            kept.functions.values().flat_map(|lines| lines.newest(10)).all(|(_, l)| l.text.len() <= MAX_LINE_BYTES + 3)
        );
    }

    #[tokio::test]
    async fn a_follower_sees_each_line_once_and_one_that_lags_blocks_nobody() {
        let store = LogStore::default();
        store.push("a", "1", vec![line("f@1", 1, 1, "kept")]);
        let (kept, feed) = store.follow(&wanted("f"), 0);
        let mut feed = feed.unwrap();
        store.push("a", "1", vec![line("f@1", 2, 2, "later")]);
        assert_eq!((kept.len(), feed.recv().await.unwrap().text.as_str()), (1, "later"));
        store.push("a", "1", (3..2 * FOLLOWER_LAG as u64 + 3).map(|n| line("f@1", n, 3, "flood")).collect());
        assert!(matches!(feed.recv().await, Err(broadcast::error::RecvError::Lagged(_))));
        assert!(feed.recv().await.is_ok());
        store.close();
        while feed.recv().await.is_ok() {}
    }
}
