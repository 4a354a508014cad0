//! Batches by the number of their rows: powers of two tell tiny batches from large ones.

/// The most entries: the last one takes all that are larger.
pub const ENTRIES: usize = 33;

/// The entry of a batch: 0 has no rows, `i` has 2^(i-1) to 2^i - 1.
#[must_use]
pub fn entry(rows: u64) -> usize {
    ((u64::BITS - rows.leading_zeros()) as usize).min(ENTRIES - 1)
}

/// The fewest rows of an entry's batches.
#[must_use]
pub fn least(entry: usize) -> u64 {
    match entry {
        0 => 0,
        _ => 1 << (entry.min(ENTRIES - 1) - 1),
    }
}

/// Counts one batch.
pub fn record(counts: &mut Vec<u64>, rows: u64) {
    let entry = entry(rows);
    if counts.len() <= entry {
        counts.resize(entry + 1, 0);
    }
    counts[entry] += 1;
}

/// Adds counts from elsewhere.
pub fn merge(sum: &mut Vec<u64>, more: &[u64]) {
    let more = &more[..more.len().min(ENTRIES)];
    if sum.len() < more.len() {
        sum.resize(more.len(), 0);
    }
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_counted_by_powers_of_two() {
        let mut counts = Vec::new();
        for rows in [0, 1, 2, 3, 4, 7, 8, 1023, 1024, u64::MAX] {
            let entry = entry(rows);
            assert!(least(entry) <= rows && (entry == ENTRIES - 1 || rows < least(entry + 1)), "{rows}");
            record(&mut counts, rows);
        }
        assert_eq!((counts.len(), counts[2], counts[3], counts[10], counts[11]), (ENTRIES, 2, 2, 1, 1));
        let mut sum = vec![5];
        merge(&mut sum, &counts);
        assert_eq!((sum.len(), sum[0], sum[2]), (ENTRIES, 6, 2));
        merge(&mut sum, &[1; 1000]);
        assert_eq!(sum.len(), ENTRIES, "an executor can't make it grow");
    }
}
