//! Bundles of a stream that several executors work on: one count for all of them.

use std::collections::HashMap;

use arrow_flight::FlightData;
use prost::Message as _;
use udfleet_proto::v1::{BatchResult, BundleProgress};

use super::exchange::Exchange;

/// The numbers of bundles that have begun.
#[derive(Default)]
pub(super) struct Bundles {
    open: HashMap<(usize, u64), u64>,
    next: u64,
}

impl Bundles {
    /// The client's number of an upstream's bundle.
    fn number(&mut self, upstream: usize, bundle: u64, completed: bool) -> u64 {
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

impl Exchange {
    /// Bundles are told of as they go on, whatever batch is due.
    pub(super) fn tell_of_bundle(&mut self, upstream: usize, bundle: BundleProgress) {
        let number = self.bundles.number(upstream, bundle.bundle, bundle.completed);
        let told = BundleProgress { bundle: number, ..bundle };
        let result = BatchResult { bundle: Some(told), ..BatchResult::default() };
        self.out.push_back(FlightData::new().with_app_metadata(result.encode_to_vec()));
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
