//! Reorders answers: executors finish in any order, clients get answers in the order of their batches.

use std::collections::BTreeMap;

/// Holds back what is too early.
#[derive(Debug)]
pub(super) struct Reorder<T> {
    next: u64,
    held: BTreeMap<u64, T>,
}

impl<T> Default for Reorder<T> {
    fn default() -> Self {
        Self { next: 0, held: BTreeMap::new() }
    }
}

impl<T> Reorder<T> {
    /// Takes the answer to batch `sequence`. The first answer stands: a later one to the same batch is dropped.
    pub fn push(&mut self, sequence: u64, item: T) {
        if sequence >= self.next {
            self.held.entry(sequence).or_insert(item);
        }
    }

    /// The answer whose turn it is, if it is there.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.held.remove(&self.next)?;
        self.next += 1;
        Some(item)
    }

    /// The batch whose answer is next.
    pub fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_order_in_is_order_out(order in Just((0u64..50).collect::<Vec<_>>()).prop_shuffle()) {
            let (mut reorder, mut out) = (Reorder::default(), Vec::new());
            for sequence in &order {
                reorder.push(*sequence, *sequence);
                reorder.push(*sequence, 999);
                out.extend(std::iter::from_fn(|| reorder.pop()));
            }
            prop_assert_eq!(out, (0..50).collect::<Vec<_>>());
            reorder.push(3, 3);
            prop_assert_eq!(reorder.pop(), None);
            prop_assert_eq!(reorder.next(), 50);
        }
    }
}
