//! The partitions that this executor owns, by the state that they are of.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use parking_lot::Mutex;
use udfleet_kill_points as kill_points;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;
use udfleet_state::{Header, Refusal};
use udfleet_state_store::{PartitionStore, StatePlace, StoreError, StoreOptions};

use super::budget::HeldBytes;
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
    /// What they hold once they have run.
    pub held: HeldBytes,
    slots: Mutex<HashMap<PartitionId, Slot>>,
    /// States that were dropped, the oldest first: who still has one of their streams open must not create them again.
    dropped: Mutex<VecDeque<String>>,
}

impl Partitions {
    /// None is open. Without settings there is no keyed state here.
    #[must_use]
    pub fn new(settings: Option<StateSettings>, bundles: Arc<RunningBundles>) -> Self {
        let (slots, dropped) = (Mutex::default(), Mutex::default());
        Self { settings, bundles, held: HeldBytes::default(), slots, dropped }
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
        let is_dropped = self.dropped.lock().contains(&id.state);
        let opened =
            if is_dropped { Err(NoPartition::Refused(Refusal::NotOwner)) } else { self.open(id, header.epoch).await };
        match opened {
            Ok(opened) => {
                let opened = Arc::new(opened);
                *held = Some(Arc::clone(&opened));
                Ok(opened)
            }
            Err(none) => {
                drop(held);
                self.forget(id, &slot);
                Err(none)
            }
        }
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
            // Who asks may know of no newer one: what says so is behind.
            Err(StoreError::StaleEpoch { newest, .. }) if newest > epoch => {
                Err(NoPartition::Refused(Refusal::NewerOwner { epoch: newest }))
            }
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
            self.forget(&id, &slot);
        }
        let Some(settings) = self.settings.as_ref().filter(|_| files) else { return Ok(()) };
        let place = StatePlace { objects: Arc::clone(&settings.objects), folder: state.into() };
        PartitionStore::delete(&place).await.map_err(|error| unreadable(&error))
    }

    /// Its store can't be used any more: who asks next has to have a new epoch.
    pub(super) async fn give_up(&self, id: &PartitionId, partition: &Arc<OpenPartition>) {
        let slot = self.slots.lock().get(id).cloned();
        let Some(slot) = slot else { return };
        let mut held = slot.lock().await;
        if held.take_if(|open| Arc::ptr_eq(open, partition)).is_some() {
            close(partition).await;
        }
        drop(held);
        self.forget(id, &slot);
    }

    /// Drops a slot that is empty, unless somebody waits for it.
    fn forget(&self, id: &PartitionId, slot: &Slot) {
        let mut slots = self.slots.lock();
        // The map has one, and the caller.
        let unused = Arc::strong_count(slot) == 2 && slot.try_lock().is_ok_and(|held| held.is_none());
        if unused && slots.get(id).is_some_and(|known| Arc::ptr_eq(known, slot)) {
            slots.remove(id);
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
    /// The stream. Whoever asks for it gets the same one, also while the store is read for the first of them: of two, one would
    /// not know what the other has committed.
    pub(super) fn stream(&self, stream: &str) -> Result<Arc<tokio::sync::Mutex<PartitionStream>>, Error> {
        let mut streams = self.streams.lock();
        if streams.len() >= MAX_STREAMS && !streams.contains_key(stream) {
            // One that nobody asks anything, and that holds no results, is read again when somebody asks.
            let is_used = |stream: &Arc<tokio::sync::Mutex<PartitionStream>>| {
                Arc::strong_count(stream) > 1 || !stream.try_lock().is_ok_and(|stream| stream.can_be_forgotten())
            };
            streams.retain(|_, stream| is_used(stream));
            if streams.len() >= MAX_STREAMS {
                let message = format!("{MAX_STREAMS} streams have bundles in this partition, its limit");
                return Err(Error::new(ErrorCode::NoCapacity, message).hint("use fewer streams, or more partitions"));
            }
        }
        let new = || Arc::new(tokio::sync::Mutex::new(PartitionStream::new(self.epoch)));
        Ok(Arc::clone(streams.entry(stream.to_owned()).or_insert_with(new)))
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn partitions() -> Partitions {
        let settings = StateSettings { objects: Arc::new(InMemory::new()), options: StoreOptions::default() };
        Partitions::new(Some(settings), Arc::default())
    }

    fn id() -> PartitionId {
        PartitionId { state: "f@1-00".to_owned(), partition: 0 }
    }

    fn header(epoch: u64) -> Header {
        Header { session: 1, epoch }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stream_that_is_used_is_not_replaced_by_another() {
        let partitions = partitions();
        let open = partitions.get(&id(), header(1)).await.unwrap();
        let used: Vec<_> = (0..MAX_STREAMS).map(|number| open.stream(&format!("s{number}")).unwrap()).collect();
        assert!(Arc::ptr_eq(&used[3], &open.stream("s3").unwrap()));
        assert_eq!(open.stream("more").err().unwrap().code(), ErrorCode::NoCapacity);
        drop(used);
        open.stream("more").unwrap();
        assert_eq!(open.streams.lock().len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_slot_stays_for_those_who_wait_for_it() {
        let partitions = partitions();
        let open = partitions.get(&id(), header(2)).await.unwrap();
        let slot = partitions.slot(&id()).unwrap();
        partitions.give_up(&id(), &open).await;
        assert!(Arc::ptr_eq(&slot, &partitions.slot(&id()).unwrap()), "somebody has it");
        let refused = partitions.get(&id(), header(1)).await;
        assert!(matches!(refused, Err(NoPartition::Refused(Refusal::NewerOwner { epoch: 2 }))));
        let refused = partitions.get(&id(), header(2)).await;
        assert!(matches!(refused, Err(NoPartition::Refused(Refusal::NotOwner))), "an epoch is taken once");
        drop(slot);
        let next = partitions.get(&id(), header(3)).await.unwrap();
        partitions.give_up(&id(), &next).await;
        assert!(partitions.slots.lock().is_empty());
    }
}
