//! A partition's store, opened.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use slatedb::config::{CloseOptions, FlushOptions, FlushType};
use slatedb::{Db, WriteBatch};
use tokio::sync::RwLock;
use udfleet_kill_points as kill_points;
use udfleet_state::PositionRecord;

use crate::snapshot::{PageRange, StreamSnapshot};
use crate::{StatePlace, StoreError, StoreOptions, claim, layout};

/// How many keys of one request are read at a time.
const READS_AT_A_TIME: usize = 64;

/// A page ends with the entry that reaches so many bytes.
const PAGE_BYTES: usize = 16 << 20;

/// How many keys one write deletes where a stream is dropped.
const DELETES_AT_A_TIME: usize = 1000;

/// One change of a stream's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The key, within the stream.
    pub key: Vec<u8>,
    /// The value, or none where the key is deleted.
    pub value: Option<Vec<u8>>,
}

/// What one write makes durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit<'a> {
    /// The stream.
    pub stream: &'a str,
    /// Where it stands then.
    pub record: PositionRecord,
    /// What changes, each key once.
    pub changes: Vec<StateChange>,
}

/// Some entries of a stream's state, in the order of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatePage {
    /// Keys and values.
    pub entries: Vec<(Bytes, Bytes)>,
    /// Whether these are all there are behind the key that was given.
    pub is_last: bool,
}

/// A partition's state, opened by its owner.
pub struct PartitionStore {
    database: Db,
    place: String,
    options: StoreOptions,
    closed: AtomicBool,
    commits: AtomicU64,
    /// Held while something is written and not durable.
    writes: RwLock<()>,
}

impl fmt::Debug for PartitionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionStore")
            .field("place", &self.place)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl PartitionStore {
    /// Opens the partition's state under `epoch`, which fences the owners before. It is created where there is none.
    ///
    /// # Errors
    /// Where `epoch` is not the newest, or the store fails or is damaged.
    pub async fn open(place: &StatePlace, epoch: u64, options: StoreOptions) -> Result<Self, StoreError> {
        let name = place.name();
        let deadline = options.deadline();
        let claimed = tokio::time::timeout(deadline, claim::claim(place, epoch)).await;
        claimed.map_err(|_| StoreError::Slow { place: name.clone(), seconds: deadline.as_secs() })??;
        kill_points::reach("epoch-claimed");
        let building = Db::builder(place.folder.clone().join("db"), place.objects.clone())
            .with_settings(options.settings())
            .with_db_cache(Arc::new(options.cache.clone()), options.cache.next_id())
            .build();
        let database = Box::pin(within(&name, &options, building)).await?;
        let (closed, commits, writes) = (AtomicBool::new(false), AtomicU64::new(0), RwLock::default());
        let store = Self { database, place: name, options, closed, commits, writes };
        kill_points::reach("database-opened");
        store.enter(epoch).await?;
        Ok(store)
    }

    /// Makes the epoch durable. One that was claimed, but slept until a newer one was here, ends here.
    async fn enter(&self, epoch: u64) -> Result<(), StoreError> {
        let seen = self.get(layout::EPOCH).await?;
        let newest = seen.and_then(|bytes| bytes.as_ref().try_into().ok().map(u64::from_be_bytes)).unwrap_or(0);
        if newest >= epoch {
            self.give_up().await;
            return Err(StoreError::StaleEpoch { place: self.place.clone(), epoch, newest });
        }
        let mut batch = WriteBatch::new();
        batch.put(layout::EPOCH, epoch.to_be_bytes());
        self.write(batch).await
    }

    /// Where a stream stands; all zero for one that is not known.
    ///
    /// # Errors
    /// Where the store has closed, fails or is damaged.
    pub async fn position(&self, stream: &str) -> Result<PositionRecord, StoreError> {
        match self.get(&layout::position(stream)).await? {
            Some(bytes) => PositionRecord::decode(&bytes).map_err(|error| StoreError::of_record(&self.place, error)),
            None => Ok(PositionRecord::default()),
        }
    }

    /// The values of these keys, in their order.
    ///
    /// # Errors
    /// Where the store has closed or fails.
    pub async fn read(&self, stream: &str, keys: &[Vec<u8>]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.read_first(stream, keys, usize::MAX).await
    }

    /// As [`Self::read`], of the first keys: up to the value that reaches so many bytes.
    ///
    /// # Errors
    /// Where the store has closed or fails.
    pub async fn read_first(
        &self,
        stream: &str,
        keys: &[Vec<u8>],
        bytes: usize,
    ) -> Result<Vec<Option<Bytes>>, StoreError> {
        let keys: Vec<Vec<u8>> = keys.iter().map(|key| layout::state(stream, key)).collect();
        let reads = keys.into_iter().map(|key| async move { self.get(&key).await });
        let mut reads = std::pin::pin!(stream::iter(reads).buffered(READS_AT_A_TIME));
        let (mut values, mut held) = (Vec::new(), 0);
        while held < bytes
            && let Some(value) = reads.try_next().await?
        {
            held += value.as_ref().map_or(0, Bytes::len);
            values.push(value);
        }
        Ok(values)
    }

    /// At most `limit` entries whose keys begin with `prefix`, those behind `after` where it is given. Of large ones they are
    /// fewer: a page ends with the entry that reaches 16 MiB.
    ///
    /// # Errors
    /// Where the store has closed or fails.
    pub async fn page(
        &self,
        stream: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<StatePage, StoreError> {
        self.check_open()?;
        let range = PageRange::new(stream, prefix, after, limit, PAGE_BYTES);
        within(&self.place, &self.options, async {
            let found = self.database.scan(range.keys()).await?;
            range.read(found).await
        })
        .await
    }

    /// The stream as it is now, committed. Waits for a commit that is being written.
    ///
    /// # Errors
    /// Where the store has closed, fails or is damaged.
    pub async fn snapshot(&self, stream: &str) -> Result<StreamSnapshot, StoreError> {
        let none_writes = self.writes.write().await;
        self.check_open()?;
        let (place, options) = (self.place.clone(), self.options.clone());
        let snapshot = self.database.snapshot().map_err(|error| StoreError::of(&place, error))?;
        drop(none_writes);
        let found = within(&place, &options, snapshot.get(layout::position(stream))).await?;
        let record = match found {
            Some(bytes) => PositionRecord::decode(&bytes).map_err(|error| StoreError::of_record(&place, error))?,
            None => PositionRecord::default(),
        };
        Ok(StreamSnapshot { snapshot, stream: stream.to_owned(), record, place, options })
    }

    /// Writes changes and record, and returns when both are durable.
    ///
    /// # Errors
    /// Where that is not known. The store has closed then.
    pub async fn commit(&self, commit: Commit<'_>) -> Result<(), StoreError> {
        let mut batch = WriteBatch::new();
        for change in &commit.changes {
            let key = layout::state(commit.stream, &change.key);
            match &change.value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        batch.put(layout::position(commit.stream), commit.record.encode());
        self.write(batch).await?;
        let commits = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        if commits.is_multiple_of(self.options.commits_per_table) {
            // In time for the next owner: a commit does not wait for it, nor fail with it.
            let database = self.database.clone();
            tokio::spawn(async move {
                kill_points::reach("table-flush");
                database.flush_with_options(FlushOptions { flush_type: FlushType::MemTable }).await
            });
        }
        Ok(())
    }

    /// Deletes a stream: first its state, last its record. Done again, it goes on where it was cut short.
    ///
    /// # Errors
    /// Where the store has closed or fails.
    pub async fn drop_stream(&self, stream: &str) -> Result<(), StoreError> {
        loop {
            let page = self.page(stream, b"", None, DELETES_AT_A_TIME).await?;
            let mut batch = WriteBatch::new();
            for (key, _) in &page.entries {
                batch.delete(layout::state(stream, key));
            }
            if page.is_last {
                batch.delete(layout::position(stream));
            }
            self.write(batch).await?;
            if page.is_last {
                return Ok(());
            }
        }
    }

    /// Deletes a partition's state for good, or all that lies in a folder of several. Their owners have to have closed them.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn delete(place: &StatePlace) -> Result<(), StoreError> {
        let failed = |error| StoreError::of_objects(&place.name(), error);
        // All at first: folders vanish with their last files.
        let found: Vec<_> = place.objects.list(Some(&place.folder)).try_collect().await.map_err(failed)?;
        let found = stream::iter(found.into_iter().map(|object| Ok(object.location))).boxed();
        let mut deleted = place.objects.delete_stream(found);
        while let Some(gone) = deleted.next().await {
            match gone {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Closes the store so that the next owner opens it at once: what was written becomes a table.
    ///
    /// # Errors
    /// Where that fails. What is committed is durable all the same.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.check_open()?;
        self.closed.store(true, Ordering::Release);
        within(&self.place, &self.options, self.database.close()).await
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.check_open()?;
        within(&self.place, &self.options, self.database.get(key)).await
    }

    async fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        let _writes = self.writes.read().await;
        self.check_open()?;
        let written = within(&self.place, &self.options, async {
            let handle = self.database.write(batch).await?;
            kill_points::reach("write-buffered");
            self.database.flush().await?;
            handle.await_durable().await
        });
        let written = written.await;
        if written.is_err() {
            self.give_up().await;
        }
        written
    }

    /// Never reads or writes again: SlateDB shows writes that are not durable.
    async fn give_up(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            let database = self.database.clone();
            tokio::spawn(async move { database.close_with_options(CloseOptions { flush_type: None }).await });
        }
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed { place: self.place.clone() });
        }
        Ok(())
    }
}

pub(crate) async fn within<T>(
    place: &str,
    options: &StoreOptions,
    operation: impl Future<Output = Result<T, slatedb::Error>>,
) -> Result<T, StoreError> {
    let deadline = options.deadline();
    match tokio::time::timeout(deadline, operation).await {
        Ok(done) => done.map_err(|error| StoreError::of(place, error)),
        Err(_) => Err(StoreError::Slow { place: place.to_owned(), seconds: deadline.as_secs() }),
    }
}
