//! Keys of rows as bytes: what one row's key columns are, whoever looks at them. Rows have the same key where these bytes
//! are the same, and the partition that a key belongs to follows from their hash.
//!
//! Partitions of kept state stand on both, so neither may ever change: the tests hold golden vectors.
//!
//! The key of a row is the encoding of its columns, one behind the other. A value that is null is the byte 0. Any other is
//! the byte 1 and then
//!
//! | type | bytes |
//! |---|---|
//! | BOOLEAN | one: 0 or 1 |
//! | integers, dates, times, timestamps, intervals of seconds | eight: a signed integer |
//! | FLOAT, DOUBLE | eight: a double, with one zero and one NaN |
//! | DECIMAL | one for how many follow, then the unscaled value in as few as hold it, signed |
//! | texts and bytes | four for how many follow, then these |
//! | ARRAY | four for how many values follow, then these |
//! | ROW | its fields |
//! | intervals of months | four for months, four for days, eight for nanoseconds |
//!
//! Numbers are little-endian. How wide an integer or a floating-point number is, and which of Arrow's layouts a text or a
//! list has, makes no difference; units and scales do: they belong to the type of the column.

mod column;
mod encode;
mod float;
#[cfg(test)]
mod tests;

pub use encode::{EncodedKeys, encode, is_supported};
pub use float::{canonical_f32, canonical_f64};

/// The last column of rows that are changes of a table: what each does to it, 0 for +I, 1 for -U, 2 for +U, 3 for -D. It is
/// no argument of the function that gets the rows.
pub const ROW_KIND: &str = "$row_kind";

/// The hash of an encoded key: 64 bits of XXH3 without a seed.
#[must_use]
pub fn hash(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key)
}

/// The partition of an encoded key, below `partitions`.
#[must_use]
pub fn partition(key: &[u8], partitions: u32) -> u32 {
    // Below `partitions`, so it fits.
    (hash(key) % u64::from(partitions.max(1))) as u32
}
