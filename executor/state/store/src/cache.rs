//! Blocks of tables that were read before, in memory: one cache for all partitions of a process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use lru::LruCache;
use parking_lot::Mutex;
use slatedb::db_cache::{CachedEntry, CachedKey, DbCache};

/// What an entry costs beside its content, bytes.
const ENTRY_OVERHEAD: usize = 128;

/// A cache of a bounded number of bytes, whose entries that were used longest ago go first.
#[derive(Clone)]
pub struct BlockCache(Arc<Shared>);

struct Shared {
    capacity: usize,
    entries: Mutex<Entries>,
    last_id: AtomicU64,
}

struct Entries {
    by_key: LruCache<CachedKey, CachedEntry>,
    bytes: usize,
}

impl fmt::Debug for BlockCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockCache").field("capacity", &self.0.capacity).field("bytes", &self.bytes()).finish()
    }
}

fn cost(entry: &CachedEntry) -> usize {
    entry.size() + ENTRY_OVERHEAD
}

impl BlockCache {
    /// Of at most so many bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let entries = Mutex::new(Entries { by_key: LruCache::unbounded(), bytes: 0 });
        Self(Arc::new(Shared { capacity, entries, last_id: AtomicU64::new(0) }))
    }

    /// The bytes that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.entries.lock().bytes
    }

    /// A number for a database that shares the cache: its entries are its own.
    pub(crate) fn next_id(&self) -> u64 {
        self.0.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn get(&self, key: &CachedKey) -> Option<CachedEntry> {
        self.0.entries.lock().by_key.get(key).cloned()
    }
}

impl Entries {
    fn remove(&mut self, key: &CachedKey) {
        if let Some(entry) = self.by_key.pop(key) {
            self.bytes -= cost(&entry);
        }
    }

    fn shrink(&mut self, capacity: usize) {
        while self.bytes > capacity
            && let Some((_, entry)) = self.by_key.pop_lru()
        {
            self.bytes -= cost(&entry);
        }
    }
}

#[async_trait]
impl DbCache for BlockCache {
    async fn get_block(&self, key: &CachedKey) -> Result<Option<CachedEntry>, slatedb::Error> {
        Ok(self.get(key))
    }

    async fn get_index(&self, key: &CachedKey) -> Result<Option<CachedEntry>, slatedb::Error> {
        Ok(self.get(key))
    }

    async fn get_filter(&self, key: &CachedKey) -> Result<Option<CachedEntry>, slatedb::Error> {
        Ok(self.get(key))
    }

    async fn get_stats(&self, key: &CachedKey) -> Result<Option<CachedEntry>, slatedb::Error> {
        Ok(self.get(key))
    }

    async fn insert(&self, key: CachedKey, value: CachedEntry) {
        let mut entries = self.0.entries.lock();
        entries.remove(&key);
        entries.bytes += cost(&value);
        entries.by_key.put(key, value);
        entries.shrink(self.0.capacity);
    }

    async fn remove(&self, key: &CachedKey) {
        self.0.entries.lock().remove(key);
    }

    fn entry_count(&self) -> u64 {
        self.0.entries.lock().by_key.len() as u64
    }
}
