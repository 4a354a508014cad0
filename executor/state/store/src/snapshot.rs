//! A stream's state as of one moment, while its owner goes on.

use std::ops::RangeFrom;
use std::sync::Arc;

use bytes::Bytes;
use slatedb::{DbIterator, DbSnapshot};
use udfleet_state::PositionRecord;

use crate::partition::within;
use crate::{StatePage, StoreError, StoreOptions, layout};

/// What a partition has of a stream as of one moment; all of it is durable.
pub struct StreamSnapshot {
    pub(crate) snapshot: Arc<DbSnapshot>,
    pub(crate) stream: String,
    pub(crate) record: PositionRecord,
    pub(crate) place: String,
    pub(crate) options: StoreOptions,
}

impl StreamSnapshot {
    /// Where the stream stands.
    #[must_use]
    pub fn record(&self) -> &PositionRecord {
        &self.record
    }

    /// At most `limit` entries, or about so many `bytes`, whose keys begin with `prefix`, behind `after` where it is given.
    ///
    /// # Errors
    /// Where the store has closed or fails.
    pub async fn page(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        bytes: usize,
    ) -> Result<StatePage, StoreError> {
        let range = PageRange::new(&self.stream, prefix, after, limit, bytes);
        within(&self.place, &self.options, async {
            let found = self.snapshot.scan(range.keys()).await?;
            range.read(found).await
        })
        .await
    }
}

/// What a page has.
pub(crate) struct PageRange {
    /// The first key; one that is to be left out where `after` was given.
    first: Vec<u8>,
    is_after: bool,
    prefix: Vec<u8>,
    /// How many bytes of each key are the stream's.
    skipped: usize,
    limit: usize,
    bytes: usize,
}

impl PageRange {
    pub(crate) fn new(stream: &str, prefix: &[u8], after: Option<&[u8]>, limit: usize, bytes: usize) -> Self {
        Self {
            first: layout::state(stream, after.unwrap_or(prefix)),
            is_after: after.is_some(),
            prefix: layout::state(stream, prefix),
            skipped: layout::state_of(stream).len(),
            limit,
            bytes,
        }
    }

    pub(crate) fn keys(&self) -> RangeFrom<Vec<u8>> {
        self.first.clone()..
    }

    pub(crate) async fn read(&self, mut found: DbIterator) -> Result<StatePage, slatedb::Error> {
        let mut entries: Vec<(Bytes, Bytes)> = Vec::new();
        let mut bytes = 0;
        while let Some(entry) = found.next().await? {
            if !entry.key.starts_with(&self.prefix) {
                break;
            }
            if self.is_after && entry.key == self.first {
                continue;
            }
            if entries.len() == self.limit || bytes >= self.bytes {
                return Ok(StatePage { entries, is_last: false });
            }
            bytes += entry.key.len() + entry.value.len();
            entries.push((entry.key.slice(self.skipped..), entry.value));
        }
        Ok(StatePage { entries, is_last: true })
    }
}
