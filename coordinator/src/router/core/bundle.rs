//! Bundles of a stream that several executors work on: one count for all of them.

use std::collections::HashMap;

/// The numbers of bundles that have begun.
#[derive(Default)]
pub(super) struct Bundles {
    open: HashMap<(usize, u64), u64>,
    next: u64,
}

impl Bundles {
    /// The client's number of an upstream's bundle.
    pub fn number(&mut self, upstream: usize, bundle: u64, completed: bool) -> u64 {
        let number = *self.open.entry((upstream, bundle)).or_insert_with(|| {
            self.next += 1;
            self.next - 1
        });
        if completed {
            self.open.remove(&(upstream, bundle));
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bundle_has_a_number_of_its_own() {
        let mut bundles = Bundles::default();
        let numbers = [(0, 0, false), (1, 0, false), (0, 0, true), (0, 1, true), (1, 0, true)]
            .map(|(u, b, c)| bundles.number(u, b, c));
        assert_eq!(numbers, [0, 1, 0, 2, 1]);
        assert!(bundles.open.is_empty());
    }
}
