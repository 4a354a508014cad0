//! The streams that there are, in the metadata store.
//!
//! | key | value |
//! |---|---|
//! | `state/streams/STREAM` | a [`StreamEntry`] |
//! | `state/open/STREAM` | a [`StreamHolder`], under the lease of the coordinator that it is open at |
//! | `state/live/STATE` | its stream's id, for as long as partitions of the state may get owners |
//! | `state/owners/STATE/PARTITION` | see `owners.rs` |

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, StreamInfo};

use super::entry::{StreamEntry, StreamStatus, family, unusable};
use crate::store::{Condition, Entry, LeaseId, Revision, SharedStore, Write};

/// So many deletions go into one transaction.
const DELETES: usize = 64;

/// How long after a client has closed a stream it may be noted as open.
const CLOSING: Duration = Duration::from_secs(2);

/// Who has a stream open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamHolder {
    /// The coordinator that serves it.
    pub coordinator: String,
    /// Whose stream it is.
    pub holder: String,
    /// Since when, in milliseconds since 1970.
    pub opened_unix_ms: u64,
    /// The session that has it.
    pub session: u64,
}

/// What a stream is opened with.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// Its id.
    pub stream: &'a str,
    /// The function's version.
    pub function: &'a str,
    /// Into how many partitions keys fall.
    pub partitions: u32,
    /// Of the key columns: an IPC message.
    pub key_schema: &'a Bytes,
}

/// See the module.
#[derive(Clone)]
pub struct StreamRegistry {
    /// Where all of it lies.
    pub store: SharedStore,
}

impl StreamRegistry {
    /// Begins a new session of the stream, which is created where it is new.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where the stream is another function's, or was begun otherwise; where the store fails.
    pub async fn begin(&self, opening: &Opening<'_>) -> Result<StreamEntry, Error> {
        let key = entry_key(opening.stream);
        loop {
            let found = self.store.get(&key).await?;
            let (revision, next) = match found {
                None => (None, StreamEntry::new(opening)),
                Some(found) => {
                    let known = StreamEntry::decode(&found.value)?;
                    known.check(opening)?;
                    let (session, function) = (known.session + 1, opening.function.to_owned());
                    (Some(found.revision), StreamEntry { session, function, ..known })
                }
            };
            let mut writes = vec![Write::put(key.as_str(), next.encode())];
            if revision.is_none() {
                writes.push(Write::put(live_key(&next.state), opening.stream.to_owned()));
            }
            let condition = Condition::unchanged(key.as_str(), revision);
            if self.store.transact(&[condition], writes).await?.is_some() {
                return Ok(next);
            }
        }
    }

    /// Creates a stream that is being imported: it can't be opened before [`finish_import`](Self::finish_import).
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where there is such a stream; where the store fails.
    pub async fn begin_import(&self, stream: &str, entry: &StreamEntry) -> Result<(), Error> {
        let key = entry_key(stream);
        let writes = vec![
            Write::put(key.as_str(), StreamEntry { status: StreamStatus::Importing, ..entry.clone() }.encode()),
            Write::put(live_key(&entry.state), stream.to_owned()),
        ];
        if self.store.transact(&[Condition::absent(key.as_str())], writes).await?.is_some() {
            return Ok(());
        }
        let error = Error::new(ErrorCode::InvalidInput, format!("there is a stream {stream:?} already"));
        Err(error.hint("import it under another id, or drop that one before"))
    }

    /// The import is complete.
    ///
    /// # Errors
    /// Where the stream was dropped meanwhile, or the store fails.
    pub async fn finish_import(&self, stream: &str) -> Result<StreamEntry, Error> {
        let (entry, revision) = self.get(stream).await?;
        let next = StreamEntry { status: StreamStatus::Ready, ..entry };
        if self.replace(stream, revision, &next).await? { Ok(next) } else { Err(unusable(stream)) }
    }

    /// The stream, and the revision of its entry; None where there is none.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn find(&self, stream: &str) -> Result<Option<(StreamEntry, Revision)>, Error> {
        let found = self.store.get(&entry_key(stream)).await?;
        found.map(|found| Ok((StreamEntry::decode(&found.value)?, found.revision))).transpose()
    }

    /// The stream, and the revision of its entry.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where there is none; where the store fails.
    pub async fn get(&self, stream: &str) -> Result<(StreamEntry, Revision), Error> {
        self.find(stream).await?.ok_or_else(|| {
            let error = Error::new(ErrorCode::InvalidInput, format!("there is no stream {stream:?}"));
            error.hint("`udfleet streams` lists them")
        })
    }

    /// Who has the stream open, and the revision of that.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn holder(&self, stream: &str) -> Result<Option<(StreamHolder, Revision)>, Error> {
        let found = self.store.get(&open_key(stream)).await?;
        Ok(found.and_then(|found| Some((serde_json::from_slice(&found.value).ok()?, found.revision))))
    }

    /// The stream as clients are told of it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn info(&self, stream: &str) -> Result<StreamInfo, Error> {
        let (entry, _) = self.get(stream).await?;
        let holder = self.holder(stream).await?.map(|(holder, _)| holder);
        Ok(entry.info(stream, holder.as_ref()))
    }

    /// All streams, in the order of their ids.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn list(&self) -> Result<Vec<StreamInfo>, Error> {
        let holders = self.store.list("state/open/").await?.entries;
        let holder = |stream: &str| -> Option<StreamHolder> {
            let key = open_key(stream);
            let place = holders.binary_search_by(|entry| entry.key.as_str().cmp(&key)).ok()?;
            serde_json::from_slice(&holders[place].value).ok()
        };
        let shown = |found: &Entry| -> Option<StreamInfo> {
            let stream = found.key.strip_prefix("state/streams/")?;
            let entry = StreamEntry::decode(&found.value).ok()?;
            Some(entry.info(stream, holder(stream).as_ref()))
        };
        Ok(self.store.list("state/streams/").await?.entries.iter().filter_map(shown).collect())
    }

    /// Notes who has the stream open, under a lease; without one it is not noted, since it would stay for ever.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn note_open(&self, stream: &str, holder: &StreamHolder, lease: Option<LeaseId>) -> Result<(), Error> {
        let Some(lease) = lease else { return Ok(()) };
        let key = open_key(stream);
        let found = self.store.get(&key).await?;
        let known = found.as_ref().and_then(|entry| serde_json::from_slice::<StreamHolder>(&entry.value).ok());
        if known.as_ref().is_some_and(|known| known.session > holder.session) {
            return Ok(());
        }
        let condition = Condition::unchanged(key.as_str(), found.map(|entry| entry.revision));
        let value = serde_json::to_vec(holder).unwrap_or_default();
        self.store.transact(&[condition], vec![Write::leased(key, value, lease)]).await?;
        Ok(())
    }

    /// Notes how far a session has come.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn note_position(&self, stream: &str, session: u64, position: u64) -> Result<(), Error> {
        let (entry, revision) = self.get(stream).await?;
        if entry.session == session && entry.position != position {
            self.replace(stream, revision, &StreamEntry { position, ..entry }).await?;
        }
        Ok(())
    }

    /// The session has ended.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn note_closed(&self, stream: &str, session: u64) -> Result<(), Error> {
        let Some((holder, revision)) = self.holder(stream).await? else { return Ok(()) };
        if holder.session == session {
            let key = open_key(stream);
            let condition = Condition::unchanged(key.as_str(), Some(revision));
            self.store.transact(&[condition], vec![Write::delete(key)]).await?;
        }
        Ok(())
    }

    /// From now on nobody opens the stream, and no partition of its state gets a new owner.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where there is no such stream, or it is open and that is not to be ignored.
    pub async fn begin_drop(&self, stream: &str, force: bool) -> Result<StreamEntry, Error> {
        let since = Instant::now();
        loop {
            let (entry, revision) = self.get(stream).await?;
            if let Some((holder, _)) = self.holder(stream).await?.filter(|_| !force) {
                if since.elapsed() < CLOSING {
                    tokio::time::sleep(CLOSING / 40).await;
                    continue;
                }
                let message = format!("stream {stream:?} is open at {}, by {}", holder.coordinator, holder.holder);
                let error = Error::new(ErrorCode::InvalidInput, message).function(family(&entry.function));
                return Err(error.hint("close it before, or drop it with force"));
            }
            let next = StreamEntry { status: StreamStatus::Dropping, session: entry.session + 1, ..entry };
            let key = entry_key(stream);
            let writes = vec![
                Write::put(key.as_str(), next.encode()),
                Write::delete(live_key(&next.state)),
                Write::delete(open_key(stream)),
            ];
            if self.store.transact(&[Condition::unchanged(key, Some(revision))], writes).await?.is_some() {
                return Ok(next);
            }
        }
    }

    /// The state is gone: so are its records.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn finish_drop(&self, stream: &str, state: &str) -> Result<(), Error> {
        let owners = self.store.list(&format!("state/owners/{state}/")).await?.entries;
        for some in owners.chunks(DELETES) {
            let writes = some.iter().map(|entry| Write::delete(entry.key.as_str())).collect();
            self.store.transact(&[], writes).await?;
        }
        // Another client may have dropped it at the same time.
        let Some((entry, revision)) = self.find(stream).await? else { return Ok(()) };
        if entry.state == state {
            let key = entry_key(stream);
            self.store
                .transact(&[Condition::unchanged(key.as_str(), Some(revision))], vec![Write::delete(key)])
                .await?;
        }
        Ok(())
    }

    async fn replace(&self, stream: &str, revision: Revision, entry: &StreamEntry) -> Result<bool, Error> {
        let key = entry_key(stream);
        let condition = Condition::unchanged(key.as_str(), Some(revision));
        Ok(self.store.transact(&[condition], vec![Write::put(key, entry.encode())]).await?.is_some())
    }
}

/// Where it is said that a state may have owners.
pub fn live_key(state: &str) -> String {
    format!("state/live/{state}")
}

fn entry_key(stream: &str) -> String {
    format!("state/streams/{stream}")
}

fn open_key(stream: &str) -> String {
    format!("state/open/{stream}")
}

/// The time now, in milliseconds since 1970.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
