//! The partitions that this executor owns, by the state that they are of.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use parking_lot::Mutex;
use udfleet_kill_points as kill_points;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;
use udfleet_state::{Header, PositionRecord, Refusal};
use udfleet_state_store::{PartitionStore, StatePlace, StoreError, StoreOptions};

use super::bundle::unreadable;
use super::stream::PartitionStream;
use crate::link::RunningBundles;

/// The most partitions that an executor has open: each has a write buffer, and tasks of its own.
const MAX_OPEN: usize = 1024;
/// After this time without a request, interpreters hold nothing of a stream any more.
const IDLE: Duration = Duration::from_secs(120);
/// So many states that were dropped are remembered.
const MAX_DROPPED: usize = 4096;
/// The most streams that a partition has open.
const MAX_STREAMS: usize = 256;

/// Where state lies, and how it is treated.
#[derive(Debug, Clone)]
pub struct StateSettings {
    /// What all executors of the fleet see.
    pub objects: Arc<dyn ObjectStore>,
    /// How partitions are opened.
    pub options: StoreOptions,
}

/// A partition of a function's state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionId {
    /// The state, as coordinators name it.
    pub state: String,
    /// Which of its partitions.
    pub partition: u32,
}

/// A partition that this executor has opened.
pub struct OpenPartition {
    /// Under which epoch.
    pub epoch: u64,
    /// Its store.
    pub store: Arc<PartitionStore>,
    streams: Mutex<HashMap<String, Arc<tokio::sync::Mutex<PartitionStream>>>>,
}

/// Why there is no partition.
#[derive(Debug)]
pub enum NoPartition {
    /// Somebody else has it, or a newer epoch.
    Refused(Refusal),
    /// It can't be opened.
    Failed(Error),
}

type Slot = Arc<tokio::sync::Mutex<Option<Arc<OpenPartition>>>>;

/// See the module.
pub struct Partitions {
    settings: Option<StateSettings>,
    /// The bundles that run, for the functions' requests.
    pub bundles: Arc<RunningBundles>,
    slots: Mutex<HashMap<PartitionId, Slot>>,
    /// States that were dropped, the oldest first: who still has one of their streams open must not create them again.
    dropped: Mutex<VecDeque<String>>,
}

impl Partitions {
    /// None is open. Without settings there is no keyed state here.
    #[must_use]
    pub fn new(settings: Option<StateSettings>, bundles: Arc<RunningBundles>) -> Self {
        Self { settings, bundles, slots: Mutex::default(), dropped: Mutex::default() }
    }

    /// The partition under the epoch that a request names. One that is not open, or open under an older epoch, is opened.
    pub(super) async fn get(&self, id: &PartitionId, header: Header) -> Result<Arc<OpenPartition>, NoPartition> {
        let slot = self.slot(id).map_err(NoPartition::Failed)?;
        // Opening takes a while: those who ask meanwhile wait for the same.
        let mut held = slot.lock().await;
        if let Some(open) = held.as_ref() {
            if open.epoch == header.epoch {
                return Ok(Arc::clone(open));
            }
            if open.epoch > header.epoch {
                return Err(NoPartition::Refused(Refusal::NewerOwner { epoch: open.epoch }));
            }
        }
        if let Some(older) = held.take() {
            close(&older).await;
        }
        if self.dropped.lock().contains(&id.state) {
            self.slots.lock().remove(id);
            return Err(NoPartition::Refused(Refusal::NotOwner));
        }
        let opened = self.open(id, header.epoch).await;
        if opened.is_err() {
            self.slots.lock().remove(id);
        }
        let opened = Arc::new(opened?);
        *held = Some(Arc::clone(&opened));
        Ok(opened)
    }

    fn slot(&self, id: &PartitionId) -> Result<Slot, Error> {
        let mut slots = self.slots.lock();
        if !slots.contains_key(id) && slots.len() >= MAX_OPEN {
            let message = format!("this executor has {MAX_OPEN} partitions of keyed state open, its limit");
            return Err(Error::new(ErrorCode::NoCapacity, message).hint("add executors, or use fewer partitions"));
        }
        Ok(Arc::clone(slots.entry(id.clone()).or_default()))
    }

    async fn open(&self, id: &PartitionId, epoch: u64) -> Result<OpenPartition, NoPartition> {
        let Some(settings) = &self.settings else {
            let message = "this executor has nowhere to keep state";
            let error = Error::new(ErrorCode::InvalidConfig, message).hint("start all executors with --state-store");
            return Err(NoPartition::Failed(error));
        };
        let folder = format!("{}/{:05}", id.state, id.partition).into();
        let place = StatePlace { objects: Arc::clone(&settings.objects), folder };
        match PartitionStore::open(&place, epoch, settings.options.clone()).await {
            Ok(store) => Ok(OpenPartition { epoch, store: Arc::new(store), streams: Mutex::default() }),
            Err(StoreError::StaleEpoch { .. } | StoreError::Fenced { .. }) => {
                Err(NoPartition::Refused(Refusal::NotOwner))
            }
            Err(error) => Err(NoPartition::Failed(unreadable(&error))),
        }
    }

    /// Closes the partitions of a state that is dropped, and with `files` deletes what lies there of it.
    ///
    /// # Errors
    /// Where that can't be deleted.
    pub(super) async fn drop_state(&self, state: &str, files: bool) -> Result<(), Error> {
        {
            let mut dropped = self.dropped.lock();
            if !dropped.iter().any(|known| known == state) {
                dropped.push_back(state.to_owned());
            }
            if dropped.len() > MAX_DROPPED {
                dropped.pop_front();
            }
        }
        let held: Vec<(PartitionId, Slot)> = {
            let slots = self.slots.lock();
            slots.iter().filter(|(id, _)| id.state == state).map(|(id, slot)| (id.clone(), Arc::clone(slot))).collect()
        };
        for (id, slot) in held {
            if let Some(open) = slot.lock().await.take() {
                close(&open).await;
            }
            self.slots.lock().remove(&id);
        }
        let Some(settings) = self.settings.as_ref().filter(|_| files) else { return Ok(()) };
        let place = StatePlace { objects: Arc::clone(&settings.objects), folder: state.into() };
        PartitionStore::delete(&place).await.map_err(|error| unreadable(&error))
    }

    /// Its store can't be used any more: who asks next has to have a new epoch.
    pub(super) fn give_up(&self, id: &PartitionId, partition: &Arc<OpenPartition>) {
        let slot = self.slots.lock().get(id).cloned();
        let Some(slot) = slot else { return };
        // Where it is locked, another opening has begun, which replaces it.
        if let Ok(mut held) = slot.try_lock()
            && held.as_ref().is_some_and(|open| Arc::ptr_eq(open, partition))
        {
            *held = None;
            self.slots.lock().remove(id);
        }
    }

    /// Lets go of what interpreters hold for streams that nobody asks for, until the executor ends.
    pub async fn watch(&self) {
        let mut turns = tokio::time::interval(IDLE / 4);
        loop {
            turns.tick().await;
            let slots: Vec<Slot> = self.slots.lock().values().cloned().collect();
            for slot in slots {
                // One that is locked is being opened.
                let Some(open) = slot.try_lock().ok().and_then(|open| open.clone()) else { continue };
                let streams: Vec<_> = open.streams.lock().values().cloned().collect();
                streams.iter().filter_map(|stream| stream.try_lock().ok()).for_each(|mut stream| stream.rest(IDLE));
            }
        }
    }

    /// Closes all partitions, so that their next owners open them at once.
    pub async fn close(&self) {
        let slots: Vec<Slot> = self.slots.lock().drain().map(|(_, slot)| slot).collect();
        let all = slots.into_iter().map(|slot| async move {
            if let Some(open) = slot.lock().await.take() {
                close(&open).await;
            }
        });
        futures::future::join_all(all).await;
    }
}

async fn close(partition: &OpenPartition) {
    partition.streams.lock().clear();
    kill_points::reach("partition-closing");
    if let Err(error) = partition.store.close().await {
        tracing::warn!(%error, "a partition of keyed state was not closed in order; what is committed is durable");
    }
}

impl OpenPartition {
    /// The stream, as the store has it where it was not asked for before.
    pub(super) async fn stream(&self, stream: &str) -> Result<Arc<tokio::sync::Mutex<PartitionStream>>, Error> {
        if let Some(known) = self.streams.lock().get(stream) {
            return Ok(Arc::clone(known));
        }
        let record: PositionRecord = self.store.position(stream).await.map_err(|error| unreadable(&error))?;
        let mut streams = self.streams.lock();
        if streams.len() >= MAX_STREAMS && !streams.contains_key(stream) {
            // One that nobody asks anything is read again when somebody does.
            streams.retain(|_, stream| Arc::strong_count(stream) > 1);
        }
        let new = || Arc::new(tokio::sync::Mutex::new(PartitionStream::new(self.epoch, record)));
        Ok(Arc::clone(streams.entry(stream.to_owned()).or_insert_with(new)))
    }
}
