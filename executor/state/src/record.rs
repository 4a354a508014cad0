//! Where a stream stands at a partition: written with the changes to state, in one write.

use std::fmt;

use thiserror::Error;

/// Where a partition keeps the results of its last bundle, among its state: no key's state can begin like this.
pub const RETAINED: &[u8] = &[0xff, 0xff, 0xff, 0xfe];

/// A digest of a bundle's results: 128 bits of XXH3. It tells results apart that differ by accident, not on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub u128);

impl Digest {
    /// The digest of results as bytes.
    #[must_use]
    pub fn of(results: &[u8]) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128(results))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Where a stream stands at a partition. All zero for a stream that the partition does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PositionRecord {
    /// The session that the stream belongs to.
    pub session: u64,
    /// The offset behind the last row that is applied.
    pub next_offset: u64,
    /// The last bundle that is committed, 0 for none.
    pub bundle: u64,
    /// The attempt that was committed.
    pub attempt: u32,
    /// The epoch under which this was written.
    pub epoch: u64,
    /// The digest of the last bundle's results.
    pub digest: Digest,
    /// Of the last bundle: [`RowSpan::cut_first`](crate::RowSpan::cut_first).
    pub cut_first: u64,
    /// Of the last bundle: [`RowSpan::cut_partitions`](crate::RowSpan::cut_partitions).
    pub cut_partitions: u32,
}

/// The first byte of a record.
const VERSION: u8 = 1;
const LENGTH: usize = 1 + 8 + 8 + 8 + 4 + 8 + 16 + 8 + 4;

/// Bytes that are no position record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// A record of another version.
    #[error(
        "a position record of version {found}, and this program knows version {VERSION}: use the program that wrote it, or a newer one"
    )]
    Version {
        /// The version that was found.
        found: u8,
    },
    /// Not as long as a record is.
    #[error("a position record of {found} bytes, and it has to have {LENGTH}: the store is damaged")]
    Length {
        /// How many bytes there are.
        found: usize,
    },
}

impl PositionRecord {
    /// The record as bytes: its version, then its fields in order, little-endian.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.push(VERSION);
        bytes.extend(self.session.to_le_bytes());
        bytes.extend(self.next_offset.to_le_bytes());
        bytes.extend(self.bundle.to_le_bytes());
        bytes.extend(self.attempt.to_le_bytes());
        bytes.extend(self.epoch.to_le_bytes());
        bytes.extend(self.digest.0.to_le_bytes());
        bytes.extend(self.cut_first.to_le_bytes());
        bytes.extend(self.cut_partitions.to_le_bytes());
        bytes
    }

    /// The record that [`encode`](Self::encode) gave these bytes for.
    ///
    /// # Errors
    /// Where they are not of this version, or not as long as they have to be.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let length = RecordError::Length { found: bytes.len() };
        let (&version, mut rest) = bytes.split_first().ok_or(length)?;
        if version != VERSION {
            return Err(RecordError::Version { found: version });
        }
        if bytes.len() != LENGTH {
            return Err(length);
        }
        let record = Self {
            session: u64::from_le_bytes(take(&mut rest).ok_or(length)?),
            next_offset: u64::from_le_bytes(take(&mut rest).ok_or(length)?),
            bundle: u64::from_le_bytes(take(&mut rest).ok_or(length)?),
            attempt: u32::from_le_bytes(take(&mut rest).ok_or(length)?),
            epoch: u64::from_le_bytes(take(&mut rest).ok_or(length)?),
            digest: Digest(u128::from_le_bytes(take(&mut rest).ok_or(length)?)),
            cut_first: u64::from_le_bytes(take(&mut rest).ok_or(length)?),
            cut_partitions: u32::from_le_bytes(take(&mut rest).ok_or(length)?),
        };
        Ok(record)
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::{Digest, LENGTH, PositionRecord, RecordError};

    #[test]
    fn a_record_is_these_bytes_for_ever() {
        let record = PositionRecord {
            session: 1,
            next_offset: 0x0203,
            bundle: 4,
            attempt: 5,
            epoch: 6,
            digest: Digest(0x0708),
            cut_first: 9,
            cut_partitions: 10,
        };
        let bytes = record.encode();
        let mut expected = vec![1];
        for (low, high, width) in
            [(1, 0, 8), (3, 2, 8), (4, 0, 8), (5, 0, 4), (6, 0, 8), (8, 7, 16), (9, 0, 8), (10, 0, 4)]
        {
            expected.extend([low, high]);
            expected.extend(vec![0; width - 2]);
        }
        assert_eq!(bytes, expected);
        assert_eq!(PositionRecord::decode(&bytes), Ok(record));
    }

    #[test]
    fn other_bytes_are_refused() {
        let bytes = PositionRecord::default().encode();
        assert_eq!(PositionRecord::decode(&bytes[..LENGTH - 1]), Err(RecordError::Length { found: LENGTH - 1 }));
        assert_eq!(PositionRecord::decode(&[]), Err(RecordError::Length { found: 0 }));
        assert_eq!(PositionRecord::decode(&[0; LENGTH]), Err(RecordError::Version { found: 0 }));
    }

    #[test]
    fn digests_are_those_of_xxh3() {
        assert_eq!(Digest::of(b"").to_string(), "99aa06d3014798d86001c324468d497f");
        assert_ne!(Digest::of(b"1"), Digest::of(b"2"));
    }
}
