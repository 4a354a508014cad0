//! Where a stream stands over all of its partitions.

use std::collections::BTreeMap;

use crate::PositionRecord;

/// The offset of the first row that is not known to be applied in all partitions: where a client that opens the stream goes
/// on. Partitions may have applied rows behind it, at most those of one cut: they apply none of them again.
///
/// A client cuts rows into bundles of several partitions at once, and begins with the next cut when all of one are
/// committed. So all before the newest cut are, and that one is where as many partitions are behind it as had rows of it.
#[must_use]
pub fn stream_position<'a>(records: impl IntoIterator<Item = &'a PositionRecord>) -> u64 {
    let records: Vec<&PositionRecord> = records.into_iter().filter(|record| record.bundle > 0).collect();
    let Some(newest) = records.iter().map(|record| record.cut_first).max() else { return 0 };
    let mut behind = BTreeMap::<u64, (u32, u32)>::new();
    for record in records.iter().filter(|record| record.cut_first == newest) {
        let (there, wanted) = behind.entry(record.next_offset).or_default();
        *there += 1;
        *wanted = record.cut_partitions.max(*wanted);
    }
    let whole = behind.into_iter().rev().find(|(_, (there, wanted))| there >= wanted);
    whole.map_or(newest, |(end, _)| end)
}

#[cfg(test)]
mod tests {
    use super::stream_position;
    use crate::PositionRecord;

    fn record(cut_first: u64, next_offset: u64, cut_partitions: u32) -> PositionRecord {
        PositionRecord { bundle: 1, cut_first, next_offset, cut_partitions, ..PositionRecord::default() }
    }

    #[test]
    fn a_stream_without_rows_begins_at_the_first() {
        assert_eq!(stream_position(&[]), 0);
        assert_eq!(stream_position(&[PositionRecord { session: 3, ..PositionRecord::default() }]), 0);
    }

    #[test]
    fn a_cut_counts_once_all_of_its_partitions_are_committed() {
        let idle = record(0, 10, 3);
        assert_eq!(stream_position(&[idle, record(10, 20, 2), record(10, 20, 2)]), 20);
        assert_eq!(stream_position(&[idle, record(10, 20, 2), idle]), 10);
        assert_eq!(stream_position(&[record(0, 10, 2), PositionRecord::default()]), 0);
    }

    #[test]
    fn after_a_crash_rows_may_be_cut_otherwise() {
        // The first was committed to 20 by a client that died, and has no rows between 10 and 15.
        let before = record(10, 20, 2);
        assert_eq!(stream_position(&[before, record(10, 15, 1)]), 15);
        assert_eq!(
            stream_position(&[before, record(10, 15, 2)]),
            10,
            "its rows before 15 are applied, which is not known"
        );
        assert_eq!(stream_position(&[before, record(15, 30, 1)]), 30);
        assert_eq!(stream_position(&[record(15, 30, 2), record(15, 30, 2)]), 30);
    }
}
