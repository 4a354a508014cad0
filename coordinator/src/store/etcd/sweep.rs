//! Removes chunks of values that have been replaced or deleted.
//!
//! Chunks that still hang on a lease may wait for their transaction, and go by themselves. Those without one have been
//! pointed to; once they are not any more, they never are again, since ids are not used twice.

use std::collections::BTreeMap;

use etcd_client::{DeleteOptions, GetOptions};

use super::super::StoreError;
use super::Etcd;
use super::connect::Services;
use super::keys::{ChunkSet, end_of};
use super::members::Repeat;
use super::split::Pointer;

/// Keys read at once.
const PAGE: i64 = 4096;

impl Etcd {
    /// Returns how many values were removed.
    pub(super) async fn sweep(&self) -> Result<usize, StoreError> {
        let mut removed = 0;
        for set in self.kept_chunks().await? {
            if self.points_to(&set).await? {
                continue;
            }
            let delete = |mut services: Services| {
                let prefix = self.keys.chunk_set(&set);
                async move { services.kv.delete(prefix, Some(DeleteOptions::new().with_prefix())).await }
            };
            self.members.request(Repeat::Safe, delete).await?;
            removed += 1;
        }
        Ok(removed)
    }

    /// All values in chunks whose transaction has happened.
    async fn kept_chunks(&self) -> Result<Vec<ChunkSet>, StoreError> {
        let (mut from, end) = (self.keys.all_chunks().as_bytes().to_vec(), end_of(self.keys.all_chunks()));
        let mut sets = BTreeMap::new();
        loop {
            let options = GetOptions::new().with_range(end.clone()).with_keys_only().with_limit(PAGE);
            let get = |mut services: Services| {
                let (from, options) = (from.clone(), options.clone());
                async move { services.kv.get(from, Some(options)).await }
            };
            let answer = self.members.request(Repeat::Safe, get).await?;
            for chunk in answer.kvs() {
                if let Some(set) = self.keys.set_of(chunk.key()) {
                    *sets.entry(set).or_insert(true) &= chunk.lease() == 0;
                }
            }
            match answer.kvs().last() {
                Some(last) if answer.more() => from = [last.key(), &[0]].concat(),
                _ => break,
            }
        }
        Ok(sets.into_iter().filter(|(_, kept)| *kept).map(|(set, _)| set).collect())
    }

    async fn points_to(&self, set: &ChunkSet) -> Result<bool, StoreError> {
        let get = |mut services: Services| {
            let key = self.keys.entry(&set.key);
            async move { services.kv.get(key, None).await }
        };
        let answer = self.members.request(Repeat::Safe, get).await?;
        let Some(entry) = answer.kvs().first() else { return Ok(false) };
        Ok(Pointer::of(entry.value())?.is_some_and(|pointer| pointer.id == set.id))
    }
}
