//! A stream at a partition: the protocol's machine, and what it has done. Requests of one stream go one after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use udfleet_kill_points as kill_points;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{KeyedBundle, PartitionReply, PartitionResults, RetainedResults};
use udfleet_state::{
    BundleAttempt, Digest, Header, OwnerEffect, OwnerEvent, PositionRecord, RETAINED, Reply, Request, StreamOwner,
};
use udfleet_state_store::{Commit, PartitionStore, StateChange};

use super::budget::{HeldBytes, HeldShare};
use super::bundle::{BundleChanges, unreadable};
use super::message;
use crate::exchange::{BundleRows, KeyedInstance, ServedFunction};
use crate::link::RunningBundles;

/// What a request to run a bundle brings.
#[derive(Debug)]
pub struct RunInput {
    /// The rows.
    pub rows: BundleRows,
    /// How many of their columns are the key.
    pub key_columns: u32,
    /// The bundle's time.
    pub now_ms: u64,
    /// What is to be kept of its results, where anything is: without the results themselves.
    pub retained: Option<RetainedResults>,
}

/// What a stream needs of its surroundings.
pub struct StreamContext {
    /// The function.
    pub function: Arc<ServedFunction>,
    /// The partition's store.
    pub store: Arc<PartitionStore>,
    /// Where running bundles are found by their functions.
    pub bundles: Arc<RunningBundles>,
    /// What all bundles hold.
    pub held: HeldBytes,
    /// The stream's id.
    pub stream: String,
}

/// Results and changes of the attempt that has run.
struct Held {
    _share: HeldShare,
    changes: Vec<StateChange>,
    results: Vec<(Bytes, Bytes)>,
}

/// See the module.
pub struct PartitionStream {
    epoch: u64,
    machine: StreamOwner,
    /// The machine stands where the store does.
    is_read: bool,
    /// A request is being done. Where another one finds that, it has not come to its end.
    is_asked: bool,
    instance: Option<KeyedInstance>,
    held: Option<Held>,
    last_asked: Instant,
}

impl PartitionStream {
    /// Of a partition that was opened under `epoch`; nothing is read yet.
    #[must_use]
    pub fn new(epoch: u64) -> Self {
        Self {
            epoch,
            machine: StreamOwner::new(epoch, PositionRecord::default()),
            is_read: false,
            is_asked: false,
            instance: None,
            held: None,
            last_asked: Instant::now(),
        }
    }

    /// Whether nothing is lost with it that the store does not have.
    #[must_use]
    pub fn can_be_forgotten(&self) -> bool {
        self.held.is_none() && !self.is_asked
    }

    /// Whether this owner has given up the partition.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.machine.is_closed()
    }

    /// Nobody has asked for so long: its instance goes, with the caches that its interpreter holds for it.
    pub fn rest(&mut self, idle: Duration) {
        if self.held.is_none() && self.last_asked.elapsed() >= idle {
            self.instance = None;
        }
    }

    /// Does what a client asks, and waits for its end.
    ///
    /// # Errors
    /// Where a write failed: whether the bundle is committed only the next owner knows.
    pub async fn ask(
        &mut self,
        context: &StreamContext,
        header: Header,
        request: Request,
        input: Option<RunInput>,
    ) -> Result<Option<PartitionReply>, Error> {
        if !self.is_read {
            let record = context.store.position(&context.stream).await.map_err(|error| unreadable(&error))?;
            self.machine = StreamOwner::new(self.epoch, record);
            self.is_read = true;
        }
        let mut effects = VecDeque::new();
        if std::mem::replace(&mut self.is_asked, true) {
            // The request before has broken off: what it has done only the next owner knows.
            effects.extend(self.machine.handle(OwnerEvent::WriteFailed));
        }
        effects.extend(self.machine.handle(OwnerEvent::Asked(header, request)));
        self.last_asked = Instant::now();
        let (mut answer, mut failure) = (None, None);
        let mut input = input;
        while let Some(effect) = effects.pop_front() {
            let event = match effect {
                OwnerEffect::Run(attempt) => Some(match self.run(context, attempt, input.take()).await {
                    Ok(digest) => OwnerEvent::Ran(attempt, digest),
                    Err(error) => {
                        failure = Some(error);
                        OwnerEvent::RunFailed(attempt)
                    }
                }),
                OwnerEffect::Discard(_) => {
                    self.held = None;
                    self.instance = None;
                    None
                }
                OwnerEffect::Write(record, attempt) => Some(match self.write(context, record, attempt).await {
                    Ok(()) => OwnerEvent::Durable,
                    Err(error) => {
                        failure = Some(error);
                        OwnerEvent::WriteFailed
                    }
                }),
                OwnerEffect::Reply(header, reply) => {
                    let results = match (reply, &self.held) {
                        (Reply::Delivered(..), Some(held)) => held.results.clone(),
                        _ => Vec::new(),
                    };
                    let failure = if matches!(reply, Reply::Failed(_)) { failure.take() } else { None };
                    answer = Some(message::reply(header, reply, results, failure));
                    None
                }
                OwnerEffect::Close => {
                    self.instance = None;
                    None
                }
            };
            if let Some(event) = event {
                effects.extend(self.machine.handle(event));
            }
        }
        self.is_asked = false;
        match failure {
            Some(error) => Err(error),
            None => Ok(answer),
        }
    }

    async fn run(
        &mut self,
        context: &StreamContext,
        attempt: BundleAttempt,
        input: Option<RunInput>,
    ) -> Result<Digest, Error> {
        let input = input.ok_or_else(|| Error::internal("a bundle came without rows"))?;
        kill_points::reach("bundle-received");
        let changes = BundleChanges::new(Arc::clone(&context.store), &context.stream);
        let running = context.bundles.begin(Arc::clone(&changes) as _);
        let mut instance = match self.instance.take().filter(|instance| instance.is_of(&context.function)) {
            Some(instance) => instance,
            None => KeyedInstance::new(&context.function, context.stream.clone())?,
        };
        let bundle = KeyedBundle {
            token: running.token,
            bundle: attempt.bundle,
            now_ms: input.now_ms,
            key_columns: input.key_columns,
        };
        let ran = instance.run(bundle, &input.rows, attempt.attempt).await;
        drop(running);
        // What the function makes of a store that fails is not what went wrong.
        if let Some(failure) = changes.failure() {
            return Err(failure.function(&context.function.name));
        }
        let results = ran?;
        let mut changes = changes.collect().await?;
        if let Some(mut retained) = input.retained {
            let results = results.iter().cloned();
            retained.results = results.map(|(header, body)| PartitionResults { header, body }).collect();
            changes.push(StateChange { key: RETAINED.to_vec(), value: Some(retained.encode_to_vec()) });
        }
        let result_bytes: usize = results.iter().map(|(header, body)| header.len() + body.len()).sum();
        let change = |change: &StateChange| change.key.len() + change.value.as_ref().map_or(0, Vec::len);
        let share = context.held.take(result_bytes + changes.iter().map(change).sum::<usize>())?;
        self.instance = Some(instance);
        let digest = digest(&results);
        self.held = Some(Held { _share: share, changes, results });
        kill_points::reach("bundle-run");
        Ok(digest)
    }

    async fn write(
        &mut self,
        context: &StreamContext,
        record: PositionRecord,
        attempt: Option<BundleAttempt>,
    ) -> Result<(), Error> {
        let changes = match attempt {
            Some(_) => self.held.take().ok_or_else(|| Error::internal("a bundle without its changes"))?.changes,
            None => Vec::new(),
        };
        let commit = Commit { stream: &context.stream, record, changes };
        if attempt.is_none() {
            return context.store.commit(commit).await.map_err(|error| unreadable(&error));
        }
        kill_points::reach("bundle-confirmed");
        context.store.commit(commit).await.map_err(|error| unreadable(&error))?;
        kill_points::reach("bundle-durable");
        Ok(())
    }
}

fn digest(results: &[(Bytes, Bytes)]) -> Digest {
    let mut all = Vec::new();
    for (header, body) in results {
        all.extend((header.len() as u64).to_le_bytes());
        all.extend_from_slice(header);
        all.extend_from_slice(body);
    }
    Digest::of(&all)
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use udfleet_proto::types::simple;
    use udfleet_proto::v1::partition_refused::Reason;
    use udfleet_proto::v1::partition_reply::Reply as Answer;
    use udfleet_proto::v1::{FunctionDefinition, TypeRoot};
    use udfleet_state_store::{StatePlace, StoreOptions};

    use super::*;
    use crate::link::Pool;

    async fn context() -> StreamContext {
        let place = StatePlace { objects: Arc::new(InMemory::new()), folder: "f".into() };
        let store = PartitionStore::open(&place, 1, StoreOptions::default()).await.unwrap();
        let result_type = Some(simple(TypeRoot::Bigint));
        let definition = FunctionDefinition { name: "f".to_owned(), version: 1, result_type, ..Default::default() };
        StreamContext {
            function: ServedFunction::new(definition, 1, "", Pool::new(), Arc::default(), "e".to_owned()).unwrap(),
            store: Arc::new(store),
            bundles: Arc::default(),
            held: HeldBytes::default(),
            stream: "s".to_owned(),
        }
    }

    fn header(session: u64) -> Header {
        Header { session, epoch: 1 }
    }

    async fn open(stream: &mut PartitionStream, context: &StreamContext, session: u64) -> Answer {
        let answer = stream.ask(context, header(session), Request::Open, None).await;
        answer.unwrap().unwrap().reply.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stream_that_is_forgotten_stands_where_the_store_does() {
        let context = context().await;
        let mut first = PartitionStream::new(1);
        assert!(matches!(open(&mut first, &context, 7).await, Answer::Opened(_)));
        assert!(first.can_be_forgotten());
        let mut again = PartitionStream::new(1);
        let Answer::Refused(refused) = open(&mut again, &context, 6).await else { panic!("session 7 is open") };
        assert_eq!((refused.reason(), refused.number), (Reason::SessionReplaced, 7));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_that_broke_off_closes_the_stream() {
        let context = context().await;
        let mut stream = PartitionStream::new(1);
        assert!(matches!(open(&mut stream, &context, 1).await, Answer::Opened(_)));
        // Whoever panics leaves this.
        stream.is_asked = true;
        assert!(!stream.can_be_forgotten());
        let Answer::Refused(refused) = open(&mut stream, &context, 2).await else { panic!("its state is unknown") };
        assert_eq!(refused.reason(), Reason::NotOwner);
        assert!(stream.is_closed());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_bundle_without_its_changes_is_not_committed() {
        let context = context().await;
        let mut stream = PartitionStream::new(1);
        let record = PositionRecord { bundle: 1, next_offset: 9, ..PositionRecord::default() };
        let attempt = BundleAttempt { bundle: 1, attempt: 1 };
        assert!(stream.write(&context, record, Some(attempt)).await.is_err());
        assert_eq!(context.store.position("s").await.unwrap(), PositionRecord::default());
    }
}
