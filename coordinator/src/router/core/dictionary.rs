//! Dictionaries of a pinned stream, kept so that another executor can take the stream over.

use std::collections::{BTreeMap, HashMap, VecDeque};

use arrow_flight::FlightData;
use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_FRAME_BYTES;
use udfleet_proto::v1::ErrorCode;

struct Logged {
    index: u64,
    /// Batches from this one on were encoded with it.
    from: u64,
    /// Of its id.
    rank: usize,
    delta: bool,
    message: FlightData,
}

/// Dictionary messages in their order relative to batches.
#[derive(Default)]
pub(super) struct Dictionaries {
    /// In force at the oldest unanswered batch.
    base: BTreeMap<usize, Vec<Logged>>,
    /// Ranks of ids, as they first came: values may be dictionaries themselves, which come before those that they are in.
    ranks: HashMap<i64, usize>,
    log: VecDeque<Logged>,
    next_index: u64,
    bytes: usize,
}

fn size(message: &FlightData) -> usize {
    message.data_header.len() + message.data_body.len()
}

impl Dictionaries {
    /// Takes one that comes before batch `from`.
    ///
    /// # Errors
    /// [`ErrorCode::LimitExceeded`] when the stream's dictionaries together are too large to keep.
    pub fn record(&mut self, from: u64, id: i64, delta: bool, message: FlightData) -> Result<(), Error> {
        self.bytes += size(&message);
        if self.bytes > MAX_FRAME_BYTES {
            let message = format!("the stream's dictionaries are larger than the limit of {MAX_FRAME_BYTES} bytes");
            return Err(Error::new(ErrorCode::LimitExceeded, message).hint("send plain columns"));
        }
        let next_rank = self.ranks.len();
        let rank = *self.ranks.entry(id).or_insert(next_rank);
        self.log.push_back(Logged { index: self.next_index, from, rank, delta, message });
        self.next_index += 1;
        Ok(())
    }

    /// Forgets what only batches before `oldest` needed.
    pub fn settle(&mut self, oldest: u64) {
        while self.log.front().is_some_and(|logged| logged.from <= oldest) {
            let Some(logged) = self.log.pop_front() else { return };
            let held = self.base.entry(logged.rank).or_default();
            if !logged.delta {
                self.bytes -= held.iter().map(|logged| size(&logged.message)).sum::<usize>();
                held.clear();
            }
            held.push(logged);
        }
    }

    /// What an executor needs before batch `sequence` when it has had everything below `had` (`None`: nothing yet);
    /// also what it will have had then.
    pub fn before(&self, sequence: u64, had: Option<u64>) -> (Vec<FlightData>, u64) {
        let due = self.base.values().flatten().chain(self.log.iter().filter(|logged| logged.from <= sequence));
        let unseen = due.filter(|logged| had.is_none_or(|had| logged.index >= had));
        let messages = unseen.map(|logged| logged.message.clone()).collect();
        let next = self.log.iter().find(|l| l.from > sequence).map_or(self.next_index, |l| l.index);
        (messages, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &'static str) -> FlightData {
        FlightData::new().with_data_body(text.as_bytes())
    }

    fn texts(messages: &[FlightData]) -> Vec<&str> {
        messages.iter().map(|m| std::str::from_utf8(&m.data_body).unwrap()).collect()
    }

    #[test]
    fn an_executor_gets_each_dictionary_once_and_a_new_one_gets_what_is_in_force() {
        let mut all = Dictionaries::default();
        all.record(0, 1, false, message("a")).unwrap();
        all.record(0, 2, false, message("x")).unwrap();
        let (first, had) = all.before(0, None);
        assert_eq!(texts(&first), ["a", "x"]);
        all.record(2, 1, true, message("b")).unwrap();
        all.record(3, 1, false, message("c")).unwrap();
        assert_eq!(texts(&all.before(1, Some(had)).0), [""; 0]);
        let (more, had) = all.before(2, Some(had));
        assert_eq!(texts(&more), ["b"]);
        assert_eq!(texts(&all.before(3, Some(had)).0), ["c"]);

        // Batch 2 is the oldest unanswered: a new executor needs "a" and its delta, then "c" for batch 3.
        all.settle(2);
        let (again, had) = all.before(2, None);
        assert_eq!(texts(&again), ["a", "b", "x"]);
        assert_eq!(texts(&all.before(3, Some(had)).0), ["c"]);
        all.settle(5);
        assert_eq!(texts(&all.before(5, None).0), ["c", "x"]);
        assert_eq!(all.bytes, 2);

        // Settled before it was ever sent: it still goes out, once.
        all.record(6, 1, true, message("d")).unwrap();
        all.settle(6);
        let (late, had) = all.before(6, Some(4));
        assert_eq!(texts(&late), ["d"]);
        assert_eq!(texts(&all.before(7, Some(had)).0), [""; 0]);
    }

    #[test]
    fn a_dictionary_of_dictionaries_comes_after_those_that_it_is_made_of() {
        let mut all = Dictionaries::default();
        all.record(0, 7, false, message("inner")).unwrap();
        all.record(0, 3, false, message("outer")).unwrap();
        all.settle(0);
        assert_eq!(texts(&all.before(0, None).0), ["inner", "outer"]);
        all.record(1, 7, false, message("inner again")).unwrap();
        all.settle(1);
        assert_eq!(texts(&all.before(1, None).0), ["inner again", "outer"], "to an executor that takes over");
    }
}
