//! The capsules of this executor. Everything about them is bounded, and nothing of them is written to the disk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message as _;
use udfleet_proto::error::truncate;
use udfleet_proto::name::versioned;
use udfleet_proto::v1::{Capsule, CapsuleSummary, ErrorInfo};

use super::batch;
use super::rule::CapsuleRule;

/// Capsules of one function, and of one kind of failure of it: the first and the newest.
const PER_FUNCTION: usize = 8;
const PER_KIND: usize = 2;
/// All capsules, and their batches together, bytes.
const MOST: usize = 256;
const MOST_BYTES: usize = 64 << 20;
/// Between two of one function, and between two of one kind.
const FUNCTION_PAUSE: Duration = Duration::from_secs(1);
const KIND_PAUSE: Duration = Duration::from_secs(60);
/// How long one is kept.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// A summary's message, bytes.
const MAX_MESSAGE_BYTES: usize = 512;

/// A batch that has failed.
#[derive(Debug, Clone, Copy)]
pub struct FailedBatch<'a> {
    /// Its schema's IPC message.
    pub schema: &'a Bytes,
    /// Its own.
    pub header: &'a Bytes,
    /// Its body.
    pub body: &'a Bytes,
    /// How many rows it has.
    pub rows: u64,
    /// As its caller gets it.
    pub error: &'a ErrorInfo,
    /// As its caller has asked for it.
    pub on_error: i32,
}

/// What tells failures apart: code, exception, and where it was raised.
type Kind = (i32, String, String, u32);

#[derive(Debug)]
struct Kept {
    kind: Kind,
    at: Instant,
    capsule: Arc<Capsule>,
}

impl Kept {
    fn function(&self) -> &str {
        self.capsule.summary.as_ref().map_or("", |summary| &summary.function)
    }

    /// One of the functions that ran is meant.
    fn concerns(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.capsule.functions.iter().any(|definition| wanted(&versioned(&definition.name, definition.version)))
    }
}

/// A sample of the batches that failed.
#[derive(Debug, Default)]
pub struct CapsuleStore(Mutex<VecDeque<Kept>>);

fn kind(error: &ErrorInfo) -> Kind {
    let exception = error.exception.as_ref();
    let place = exception.and_then(|exception| exception.frames.last());
    let (file, line) = place.map_or_else(Default::default, |frame| (frame.file.clone(), frame.line));
    (error.code, exception.map(|exception| exception.r#type.clone()).unwrap_or_default(), file, line)
}

/// True where one more of this kind is wanted, as far as time goes.
fn is_due<'a>(mut kept: impl Iterator<Item = &'a Kept>, kind: &Kind, now: Instant) -> bool {
    kept.all(|other| {
        let age = now.saturating_duration_since(other.at);
        age >= if other.kind == *kind { KIND_PAUSE } else { FUNCTION_PAUSE }
    })
}

/// Which of a function's capsules, the oldest first, makes room for one of `kind`: the newest of its kind but for the
/// first, else the oldest of all.
fn gives_way(kept: &[(usize, &Kind)], kind: &Kind) -> Option<usize> {
    let alike: Vec<usize> = kept.iter().filter(|(_, other)| *other == kind).map(|(index, _)| *index).collect();
    if alike.len() >= PER_KIND {
        return alike.last().copied();
    }
    kept.first().filter(|_| kept.len() >= PER_FUNCTION).map(|(index, _)| *index)
}

impl CapsuleStore {
    /// Keeps a batch that has failed, unless there are enough like it.
    pub fn failed(&self, rule: &CapsuleRule, batch: &FailedBatch<'_>) {
        let (kind, now) = (kind(batch.error), Instant::now());
        let function = &batch.error.function;
        let due = |kept: &VecDeque<Kept>| is_due(kept.iter().filter(|other| other.function() == function), &kind, now);
        if !due(&self.0.lock()) {
            return;
        }
        let capsule = Arc::new(capsule(rule, batch));
        let mut kept = self.0.lock();
        // Another one may have come meanwhile.
        if due(&kept) {
            insert(&mut kept, Kept { kind, at: now, capsule });
        }
    }

    /// What there is of functions that `wanted` names, the newest first.
    #[must_use]
    pub fn list(&self, wanted: impl Fn(&str) -> bool) -> Vec<CapsuleSummary> {
        let mut kept = self.0.lock();
        expire(&mut kept, Instant::now());
        kept.iter().rev().filter(|one| one.concerns(&wanted)).filter_map(|one| one.capsule.summary.clone()).collect()
    }

    /// One of them.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<Capsule>> {
        let mut kept = self.0.lock();
        expire(&mut kept, Instant::now());
        let named = |one: &&Kept| one.capsule.summary.as_ref().is_some_and(|summary| summary.id == id);
        kept.iter().find(named).map(|one| Arc::clone(&one.capsule))
    }

    /// The executor has let a function go: its data goes too.
    pub fn forget(&self, function: &str) {
        self.0.lock().retain(|one| !one.concerns(|name| name == function));
    }
}

fn expire(kept: &mut VecDeque<Kept>, now: Instant) {
    while kept.front().is_some_and(|one| now.saturating_duration_since(one.at) >= LIFETIME) {
        kept.pop_front();
    }
}

fn insert(kept: &mut VecDeque<Kept>, new: Kept) {
    expire(kept, new.at);
    let of_function: Vec<(usize, &Kind)> = kept
        .iter()
        .enumerate()
        .filter(|(_, one)| one.function() == new.function())
        .map(|(i, one)| (i, &one.kind))
        .collect();
    if let Some(index) = gives_way(&of_function, &new.kind) {
        kept.remove(index);
    }
    kept.push_back(new);
    let bytes = |kept: &VecDeque<Kept>| kept.iter().map(|one| one.capsule.encoded_len()).sum::<usize>();
    while kept.len() > MOST || (kept.len() > 1 && bytes(kept) > MOST_BYTES) {
        kept.pop_front();
    }
}

fn capsule(rule: &CapsuleRule, failed: &FailedBatch<'_>) -> Capsule {
    let rows = batch::keep(failed, rule);
    let error = failed.error;
    let mut message = error.message.clone();
    truncate(&mut message, MAX_MESSAGE_BYTES);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let summary = CapsuleSummary {
        id: format!("{:016x}", rand::random::<u64>()),
        executor: error.executor.clone(),
        function: error.function.clone(),
        unix_ms: since.as_millis() as i64,
        code: error.code,
        exception: error.exception.as_ref().map(|exception| exception.r#type.clone()).unwrap_or_default(),
        message,
        rows: failed.rows,
        kept_rows: rows.rows,
        first_row: rows.first_row,
        redacted: rows.redacted,
        input_bytes: rows.stream.len() as u64,
    };
    Capsule {
        summary: Some(summary),
        error: Some(error.clone()),
        functions: rule.functions.clone(),
        stage: rule.stage.clone(),
        input: rows.stream,
        on_error: failed.on_error,
        ..Capsule::default()
    }
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::FunctionDefinition;

    use super::*;

    fn kept(function: &str, line: u32, at: Instant, bytes: usize) -> Kept {
        let summary = CapsuleSummary {
            id: format!("{line}"),
            function: function.to_owned(),
            unix_ms: 1,
            ..CapsuleSummary::default()
        };
        let definition = FunctionDefinition { name: function.to_owned(), version: 1, ..FunctionDefinition::default() };
        let (summary, functions) = (Some(summary), vec![definition]);
        let capsule = Capsule { summary, functions, input: vec![0; bytes].into(), ..Capsule::default() };
        Kept { kind: (1, "E".to_owned(), "f.py".to_owned(), line), at, capsule: Arc::new(capsule) }
    }

    #[test]
    fn one_kind_is_sampled_and_kinds_do_not_crowd_each_other() {
        let start = Instant::now();
        let first = kept("f", 1, start, 0);
        let due = |kind: &Kind, seconds: u64| is_due([&first].into_iter(), kind, start + Duration::from_secs(seconds));
        let other = (1, "E".to_owned(), "f.py".to_owned(), 2);
        assert_eq!((due(&first.kind, 1), due(&first.kind, 60)), (false, true));
        assert_eq!((due(&other, 0), due(&other, 1)), (false, true));
    }

    #[test]
    fn of_a_kind_the_first_and_the_newest_stay() {
        let (mut all, start) = (VecDeque::new(), Instant::now());
        for bytes in 0..5 {
            insert(&mut all, kept("f", 1, start, bytes));
        }
        assert_eq!(all.iter().map(|one| one.capsule.input.len()).collect::<Vec<_>>(), [0, 4]);
        for line in 2..20 {
            insert(&mut all, kept("f", line, start, 0));
        }
        insert(&mut all, kept("g", 1, start, 0));
        assert_eq!(all.iter().filter(|one| one.function() == "f").count(), PER_FUNCTION);
        assert_eq!(all.iter().filter(|one| one.function() == "g").count(), 1);
    }

    #[test]
    fn all_of_them_are_few_small_and_end() {
        let (mut all, start) = (VecDeque::new(), Instant::now());
        for number in 0..40 {
            insert(&mut all, kept(&format!("f{number}"), 1, start, 4 << 20));
        }
        let bytes: usize = all.iter().map(|one| one.capsule.encoded_len()).sum();
        assert!(bytes <= MOST_BYTES && all.len() >= 10, "{} with {bytes} bytes", all.len());
        for number in 0..1000 {
            insert(&mut all, kept(&format!("g{number}"), 1, start, 0));
        }
        assert_eq!(all.len(), MOST);
        expire(&mut all, start + LIFETIME);
        assert!(all.is_empty());
    }

    #[test]
    fn a_function_that_leaves_takes_its_data_along() {
        let store = CapsuleStore::default();
        insert(&mut store.0.lock(), kept("f", 1, Instant::now(), 0));
        insert(&mut store.0.lock(), kept("g", 2, Instant::now(), 0));
        store.forget("f@1");
        assert_eq!(store.list(|_| true).iter().map(|one| one.function.as_str()).collect::<Vec<_>>(), ["g"]);
        assert!(store.find("2").is_some() && store.find("1").is_none());
    }
}
