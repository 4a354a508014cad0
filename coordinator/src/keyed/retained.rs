//! Results that partitions keep with their last commit, for the stream's next client: the one before may have died without them.

use bytes::Bytes;
use futures::future::try_join_all;
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, RetainedResults};
use udfleet_state::RETAINED;

use super::access::StateAccess;
use super::entry::StreamEntry;
use super::merge::PartitionResults;

/// What one partition has kept of its last bundle.
pub struct RetainedBundle {
    function: String,
    first: u64,
    end: u64,
    rows: Vec<u32>,
    batches: Vec<(Bytes, Bytes)>,
}

/// What a partition has kept of some rows: for each row that its batches are of, its offset among those that were asked
/// for, and the batches.
pub type KeptRows<'a> = (Vec<Option<u32>>, &'a [(Bytes, Bytes)]);

/// What the partitions of a stream have kept.
#[derive(Default)]
pub struct Retained(Vec<RetainedBundle>);

impl Retained {
    /// Reads it.
    ///
    /// # Errors
    /// Where a partition can't be read.
    pub async fn read(access: &StateAccess, stream: &str, entry: &StreamEntry) -> Result<Self, Error> {
        let reads = (0..entry.partitions).map(|partition| async move {
            let mut scan = access.scan(stream, entry, partition, &[RETAINED]).await?;
            let mut found = None;
            while let Some(message) = scan.entries.message().await.map_err(|status| Error::from(&status))? {
                found = message.entries.into_iter().next().or(found);
            }
            found.map(|entry| RetainedBundle::decode(entry.value)).transpose()
        });
        Ok(Self(try_join_all(reads).await?.into_iter().flatten().collect()))
    }

    /// Forgets bundles that end before `position`: nobody is told of them again.
    pub fn forget_before(&mut self, position: u64) {
        self.0.retain(|bundle| bundle.end >= position);
    }

    /// Whether all of it was given by this version of the function: another one's results may have other types.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] naming the version that gave them.
    pub fn check(&self, function: &str) -> Result<(), Error> {
        let Some(other) = self.0.iter().find(|bundle| bundle.function != function) else { return Ok(()) };
        let message =
            format!("results that are kept of the stream were given by {}, not by {function}", other.function);
        let hint = "open the stream with that version to get them, or without retain_results";
        Err(Error::new(ErrorCode::InvalidInput, message).function(function).hint(hint))
    }

    /// The first row of the bundle that ends at `position`, where its results are kept.
    ///
    /// A later one that was committed in some partitions has taken the place of their results of this one, unless they
    /// had none: then it begins with the same row.
    pub fn whole(&self, position: u64) -> Option<u64> {
        let first = self.0.iter().filter(|bundle| bundle.end == position).map(|bundle| bundle.first).max()?;
        let is_replaced = self.0.iter().any(|bundle| bundle.end > position && bundle.first > first);
        (!is_replaced).then_some(first)
    }

    /// The rows from `first` to `end` whose results are kept, counted from `first`; nothing of partitions without any.
    pub fn between(&self, first: u64, end: u64) -> Vec<KeptRows<'_>> {
        let of = |bundle: &RetainedBundle, row: &u32| {
            let row = bundle.first + u64::from(*row);
            (first..end).contains(&row).then(|| (row - first) as u32)
        };
        let bundles = self.0.iter().map(|bundle| {
            let rows: Vec<_> = bundle.rows.iter().map(|row| of(bundle, row)).collect();
            (rows, bundle.batches.as_slice())
        });
        bundles.filter(|(rows, _)| rows.iter().any(Option::is_some)).collect()
    }
}

impl RetainedBundle {
    fn decode(bytes: Bytes) -> Result<Self, Error> {
        let kept = RetainedResults::decode(bytes).map_err(|e| Error::internal(format!("retained results: {e}")))?;
        let batches = kept.results.into_iter().map(|part| (part.header, part.body)).collect();
        Ok(Self { function: kept.function, first: kept.cut_first, end: kept.end, rows: kept.rows, batches })
    }
}

/// As parts of a bundle's results.
pub fn parts<'a>(kept: &'a [KeptRows<'a>]) -> impl Iterator<Item = PartitionResults<'a>> {
    kept.iter().map(|(rows, batches)| PartitionResults { rows, batches })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(first: u64, end: u64, rows: &[u32]) -> RetainedBundle {
        RetainedBundle { function: "f@1".to_owned(), first, end, rows: rows.to_vec(), batches: Vec::new() }
    }

    #[test]
    fn the_last_bundle_is_the_one_that_ends_where_the_stream_stands() {
        let retained = Retained(vec![bundle(0, 10, &[1]), bundle(10, 20, &[0, 3])]);
        assert_eq!((retained.whole(20), retained.whole(10), retained.whole(30)), (Some(10), None, None));
    }

    #[test]
    fn a_later_cut_from_the_same_row_that_is_committed_in_part_takes_nothing_away() {
        let retained = Retained(vec![bundle(10, 20, &[5]), bundle(10, 15, &[0, 3])]);
        assert_eq!(retained.whole(15), Some(10));
        let found = retained.between(10, 15);
        assert_eq!(found.iter().map(|kept| kept.0.clone()).collect::<Vec<_>>(), [[Some(0), Some(3)]]);
    }

    #[test]
    fn what_ended_before_is_forgotten_and_another_versions_results_are_refused() {
        let mut retained = Retained(vec![bundle(0, 10, &[1]), bundle(10, 20, &[0])]);
        assert!(retained.check("f@1").is_ok());
        assert_eq!(retained.check("f@2").unwrap_err().code(), ErrorCode::InvalidInput);
        retained.forget_before(20);
        assert_eq!(retained.whole(20), Some(10));
        retained.forget_before(21);
        assert!(retained.check("f@2").is_ok(), "nothing is left");
    }

    #[test]
    fn rows_are_counted_from_where_the_bundle_begins_that_they_are_asked_for() {
        let retained = Retained(vec![bundle(0, 10, &[1]), bundle(10, 20, &[0, 3, 9])]);
        let found = retained.between(12, 18);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, [None, Some(1), None]);
    }
}
