//! A persistent map that knows what has changed since an earlier state of itself: whoever follows it pays for the change,
//! not for the map.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering as Memory};

use rpds::RedBlackTreeMapSync;

/// Changes that are remembered. Whoever is further behind compares the maps as a whole.
const KEPT: usize = 64;

/// Numbers states of all maps, so that no two share one.
static STATES: AtomicU64 = AtomicU64::new(0);

/// Ordered by key; cloning costs the same however many entries there are.
#[derive(Debug, Clone)]
pub struct TrackedMap<K: Ord, V> {
    entries: RedBlackTreeMapSync<K, V>,
    /// The newest changes, oldest first: the key, and the state that the change led to.
    recent: VecDeque<(u64, K)>,
}

impl<K: Ord + Clone, V> Extend<(K, V)> for TrackedMap<K, V> {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, entries: T) {
        entries.into_iter().for_each(|(key, value)| self.insert(key, value));
    }
}

impl<K: Ord + Clone, V> FromIterator<(K, V)> for TrackedMap<K, V> {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

/// An entry that differs between two states; `None`: there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference<'m, K, V> {
    /// Its key.
    pub key: &'m K,
    /// In the earlier state.
    pub before: Option<&'m V>,
    /// In the later one.
    pub now: Option<&'m V>,
}

impl<K: Ord, V> Default for TrackedMap<K, V> {
    fn default() -> Self {
        Self { entries: RedBlackTreeMapSync::new_sync(), recent: VecDeque::new() }
    }
}

impl<K: Ord + Clone, V> TrackedMap<K, V> {
    /// The entry of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)
    }

    /// True where a key has an entry.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.entries.contains_key(key)
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.keys()
    }

    /// All values, by key.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values()
    }

    /// All entries, by key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.entries.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.size()
    }

    /// True where there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds or replaces an entry.
    pub fn insert(&mut self, key: K, value: V) {
        self.entries.insert_mut(key.clone(), value);
        self.note(key);
    }

    /// Removes an entry; false where there is none.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        let Some((key, _)) = self.entries.get_key_value(key) else { return false };
        let key = key.clone();
        self.entries.remove_mut(key.borrow());
        self.note(key);
        true
    }

    fn note(&mut self, key: K) {
        if self.recent.len() == KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back((STATES.fetch_add(1, Memory::Relaxed) + 1, key));
    }

    /// Two maps of one state are equal. 0: nothing has ever been in it.
    fn state(&self) -> u64 {
        self.recent.back().map_or(0, |(state, _)| *state)
    }

    /// True where nothing has been added, replaced or removed between the two.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.state() == other.state()
    }

    /// What differs from an earlier state, by key. `same` compares entries that are in both.
    pub fn since<'m>(&'m self, before: &'m Self, same: impl Fn(&V, &V) -> bool) -> Vec<Difference<'m, K, V>> {
        if self.is(before) {
            return Vec::new();
        }
        let differs = |difference: &Difference<'m, K, V>| match (difference.before, difference.now) {
            (Some(before), Some(now)) => !same(before, now),
            (None, None) => false,
            _ => true,
        };
        match self.recent.iter().position(|(state, _)| *state == before.state()) {
            Some(at) => {
                let keys: BTreeSet<&K> = self.recent.range(at + 1..).map(|(_, key)| key).collect();
                let difference = |key| Difference { key, before: before.entries.get(key), now: self.entries.get(key) };
                keys.into_iter().map(difference).filter(differs).collect()
            }
            None => self.compared(before).into_iter().filter(differs).collect(),
        }
    }

    /// Every entry of both.
    fn compared<'m>(&'m self, before: &'m Self) -> Vec<Difference<'m, K, V>> {
        let (mut old, mut new) = (before.entries.iter().peekable(), self.entries.iter().peekable());
        let mut all = Vec::new();
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return all,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((old, _)), Some((new, _))) => old.cmp(new),
            };
            let old = if order == Ordering::Greater { None } else { old.next() };
            let new = if order == Ordering::Less { None } else { new.next() };
            let key = new.or(old).map(|(key, _)| key);
            all.extend(key.map(|key| Difference { key, before: old.map(|(_, v)| v), now: new.map(|(_, v)| v) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Sets a key, or removes it.
    type Change = (u8, Option<u8>);

    fn apply(map: &mut TrackedMap<u8, u8>, changes: &[Change]) {
        for (key, value) in changes {
            match value {
                Some(value) => map.insert(*key, *value),
                None => drop(map.remove(key)),
            }
        }
    }

    fn plain(map: &TrackedMap<u8, u8>) -> BTreeMap<u8, u8> {
        map.iter().map(|(key, value)| (*key, *value)).collect()
    }

    fn changes(most: usize) -> impl Strategy<Value = Vec<Change>> {
        prop::collection::vec((0u8..20, prop::option::of(0u8..3)), 0..most)
    }

    proptest! {
        #[test]
        fn differences_lead_from_one_state_to_the_other(
            first in changes(100),
            second in changes(2 * KEPT),
            other in changes(3),
        ) {
            let mut map = TrackedMap::default();
            apply(&mut map, &first);
            let before = map.clone();
            apply(&mut map, &second);
            // A branch that the later state does not come from.
            let mut branch = before.clone();
            apply(&mut branch, &other);
            for before in [before, branch, TrackedMap::default()] {
                let (mut then, now) = (plain(&before), plain(&map));
                for difference in map.since(&before, |a, b| a == b) {
                    prop_assert_eq!(then.get(difference.key), difference.before);
                    prop_assert!(difference.before != difference.now);
                    match difference.now {
                        Some(value) => drop(then.insert(*difference.key, *value)),
                        None => drop(then.remove(difference.key)),
                    }
                }
                prop_assert_eq!(then, now);
            }
        }
    }

    #[test]
    fn a_change_is_known_without_looking_at_the_rest() {
        let mut map: TrackedMap<u32, u32> = TrackedMap::default();
        (0..10_000).for_each(|key| map.insert(key, 0));
        let before = map.clone();
        map.insert(7, 1);
        assert!(map.remove(&8) && !map.remove(&8));
        let looked_at = std::cell::Cell::new(0);
        let differences = map.since(&before, |a, b| {
            looked_at.set(looked_at.get() + 1);
            a == b
        });
        assert_eq!(differences.iter().map(|d| (*d.key, d.now.copied())).collect::<Vec<_>>(), [(7, Some(1)), (8, None)]);
        assert_eq!(looked_at.get(), 1);
    }
}
