//! How much memory and patience a partition's store has.

use std::time::Duration;

use slatedb::Settings;
use slatedb::config::{
    CompactionWorkerOptions, CompactorOptions, GarbageCollectorDirectoryOptions, GarbageCollectorOptions,
};

use crate::BlockCache;

/// Bytes of the cache of a partition that shares none.
const DEFAULT_CACHE: usize = 8 << 20;

/// How much memory and patience a partition's store has.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// How long an object store may fail before that is an error.
    pub patience: Duration,
    /// The most bytes of writes that are held in memory.
    pub write_buffer: usize,
    /// After how many commits they become a table, so that the next owner has no more of them to read.
    pub commits_per_table: u64,
    /// How long files that nothing needs any more are kept: longer than an owner may be paused.
    pub garbage_age: Duration,
    /// How often they are looked for.
    pub garbage_interval: Duration,
    /// Blocks that were read before. Partitions of a process share one.
    pub cache: BlockCache,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(45),
            write_buffer: 16 << 20,
            commits_per_table: 256,
            garbage_age: Duration::from_secs(3600),
            garbage_interval: Duration::from_secs(600),
            cache: BlockCache::new(DEFAULT_CACHE),
        }
    }
}

impl StoreOptions {
    /// How long one operation may take. Its retries by SlateDB wait a second at most, and up to twice that by chance.
    pub(crate) fn deadline(&self) -> Duration {
        self.patience * 2 + Duration::from_secs(10)
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            // Commits flush: nothing else waits for a write.
            flush_interval: None,
            // Fencing does not depend on it, and each look at the manifest is a request.
            manifest_poll_interval: Duration::from_secs(30),
            manifest_update_timeout: self.deadline(),
            max_unflushed_bytes: self.write_buffer,
            l0_sst_size_bytes: self.write_buffer / 4,
            compactor_options: Some(CompactorOptions {
                poll_interval: Duration::from_secs(30),
                max_concurrent_compactions: 1,
                worker: Some(CompactionWorkerOptions {
                    max_concurrent_compactions: 1,
                    max_sst_size: 32 << 20,
                    ..CompactionWorkerOptions::default()
                }),
                ..CompactorOptions::default()
            }),
            garbage_collector_options: Some(self.garbage()),
            object_store_max_retries: Some(u32::try_from(self.patience.as_secs()).unwrap_or(u32::MAX)),
            ..Settings::default()
        }
    }

    /// Fences are kept for ever: without one, an owner that wakes up writes what nobody reads, and is told that it is durable.
    fn garbage(&self) -> GarbageCollectorOptions {
        let old = Some(GarbageCollectorDirectoryOptions {
            interval: Some(self.garbage_interval),
            min_age: self.garbage_age,
            dry_run: false,
        });
        GarbageCollectorOptions {
            manifest_options: old,
            wal_options: old,
            wal_fence_options: None,
            compacted_options: old,
            compactions_options: old,
            detach_options: None,
            // Local file systems have no conditional overwrites.
            boundary_files_enabled: false,
            ..GarbageCollectorOptions::default()
        }
    }
}
