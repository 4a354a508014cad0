//! What a bundle has changed and not committed yet. Its function reads that before what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use udfleet_state_store::StateChange;

use crate::link::Change;

/// What a change takes in memory beside its key and its value, about.
const ENTRY_BYTES: usize = 64;

/// Changes on top of what is stored.
#[derive(Debug, Default)]
pub struct Overlay {
    changes: BTreeMap<Vec<u8>, Option<Bytes>>,
    /// Nothing that is stored under these prefixes counts.
    cleared: BTreeSet<Vec<u8>>,
    /// How long they are: a key has to be compared at these lengths only.
    lengths: BTreeSet<usize>,
    bytes: usize,
}

impl Overlay {
    /// Bytes that it takes in memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What a key is changed to, `Some(None)` where it is deleted; `None` where the store knows.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        match self.changes.get(key) {
            Some(value) => Some(value.clone()),
            None => self.is_cleared(key).then_some(None),
        }
    }

    /// Deletes all that begins with one of the prefixes, then makes the changes.
    pub fn write(&mut self, cleared: Vec<Vec<u8>>, changes: Vec<Change>) {
        for prefix in cleared {
            let gone: Vec<Vec<u8>> = self.under(&prefix, None).map(|(key, _)| key.clone()).collect();
            for key in gone {
                self.forget(&key);
            }
            self.lengths.insert(prefix.len());
            if self.cleared.insert(prefix.clone()) {
                self.bytes += ENTRY_BYTES + prefix.len();
            }
        }
        for (key, value) in changes {
            self.forget(&key);
            self.bytes += ENTRY_BYTES + key.len() + value.as_ref().map_or(0, Bytes::len);
            self.changes.insert(key, value);
        }
    }

    fn forget(&mut self, key: &[u8]) {
        if let Some(value) = self.changes.remove(key) {
            self.bytes -= ENTRY_BYTES + key.len() + value.map_or(0, |value| value.len());
        }
    }

    fn is_cleared(&self, key: &[u8]) -> bool {
        self.lengths.iter().any(|length| key.get(..*length).is_some_and(|prefix| self.cleared.contains(prefix)))
    }

    /// Changes whose keys begin with `prefix`, those behind `after` where it is given.
    fn under<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&[u8]>,
    ) -> impl Iterator<Item = (&'a Vec<u8>, &'a Option<Bytes>)> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let behind = self.changes.range::<[u8], _>((from, Bound::Unbounded));
        behind.take_while(move |(key, _)| key.starts_with(prefix))
    }

    /// A page of the store, `stored`, as the function sees it: what lies behind `after`, to the page's last key, or to the end
    /// of the prefix where the page is the last.
    #[must_use]
    pub fn seen(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        stored: Vec<(Bytes, Bytes)>,
        is_last: bool,
    ) -> Vec<(Bytes, Bytes)> {
        let end = if is_last { None } else { stored.last().map(|(key, _)| key.clone()) };
        let mut seen: BTreeMap<Bytes, Bytes> = stored.into_iter().filter(|(key, _)| self.get(key).is_none()).collect();
        let changed =
            self.under(prefix, after).take_while(|(key, _)| end.as_ref().is_none_or(|end| key[..] <= end[..]));
        for (key, value) in changed {
            if let Some(value) = value {
                seen.insert(Bytes::copy_from_slice(key), value.clone());
            }
        }
        seen.into_iter().collect()
    }

    /// The prefixes under which what is stored has to be deleted.
    pub fn cleared(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.cleared.iter()
    }

    /// Whether a stored key has to be deleted because of a prefix, and not because it is changed itself.
    #[must_use]
    pub fn hides(&self, key: &[u8]) -> bool {
        !self.changes.contains_key(key)
    }

    /// The changes as the store takes them.
    pub fn changes(&self) -> impl Iterator<Item = StateChange> {
        let change = |(key, value): (&Vec<u8>, &Option<Bytes>)| StateChange {
            key: key.clone(),
            value: value.as_ref().map(|value| value.to_vec()),
        };
        self.changes.iter().map(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Change {
        (key.as_bytes().to_vec(), Some(value.to_owned().into()))
    }

    fn deleted(key: &str) -> Change {
        (key.as_bytes().to_vec(), None)
    }

    fn entries(pairs: &[(&'static str, &'static str)]) -> Vec<(Bytes, Bytes)> {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn changes_are_read_before_what_is_stored() {
        let mut overlay = Overlay::default();
        overlay.write(Vec::new(), vec![put("a", "1"), deleted("b")]);
        assert_eq!(overlay.get(b"a"), Some(Some("1".into())));
        assert_eq!(overlay.get(b"b"), Some(None));
        assert_eq!(overlay.get(b"c"), None);
    }

    #[test]
    fn a_clear_hides_what_is_stored_and_what_was_written_before_it() {
        let mut overlay = Overlay::default();
        overlay.write(Vec::new(), vec![put("m/a", "1"), put("n", "2")]);
        overlay.write(vec![b"m/".to_vec()], vec![put("m/b", "3")]);
        assert_eq!(overlay.get(b"m/a"), Some(None));
        assert_eq!(overlay.get(b"m/b"), Some(Some("3".into())));
        assert_eq!(overlay.get(b"m"), None, "shorter than the prefix");
        assert!(overlay.hides(b"m/a") && !overlay.hides(b"m/b"));
        let keys: Vec<_> = overlay.changes().map(|change| change.key).collect();
        assert_eq!(keys, [b"m/b".to_vec(), b"n".to_vec()]);
    }

    #[test]
    fn pages_are_seen_with_the_changes_among_them() {
        let mut overlay = Overlay::default();
        overlay.write(Vec::new(), vec![put("p2", "new"), deleted("p3"), put("p5", "far"), put("q", "other")]);
        let first = overlay.seen(b"p", None, entries(&[("p1", "1"), ("p3", "3"), ("p4", "4")]), false);
        assert_eq!(first, entries(&[("p1", "1"), ("p2", "new"), ("p4", "4")]), "p5 lies behind the page");
        let last = overlay.seen(b"p", Some(b"p4"), Vec::new(), true);
        assert_eq!(last, entries(&[("p5", "far")]));
    }

    #[test]
    fn bytes_are_counted_as_they_come_and_go() {
        let mut overlay = Overlay::default();
        overlay.write(Vec::new(), vec![put("key", "value")]);
        assert_eq!(overlay.bytes(), ENTRY_BYTES + 8);
        overlay.write(Vec::new(), vec![put("key", "v")]);
        assert_eq!(overlay.bytes(), ENTRY_BYTES + 4);
        overlay.write(vec![b"k".to_vec()], Vec::new());
        assert_eq!(overlay.bytes(), ENTRY_BYTES + 1, "the prefix itself");
    }
}
