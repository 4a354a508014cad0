//! What operators do with the state of streams: read, import and drop it, through the owners of its partitions.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::try_join_all;
use tonic::Streaming;
use udfleet_edge::auth::SendToken;
use udfleet_edge::channel::error_of;
use udfleet_proto::error::Error;
use udfleet_proto::limits::{MAX_CONTROL_BYTES, MAX_FRAME_BYTES};
use udfleet_proto::v1::partitions_client::PartitionsClient;
use udfleet_proto::v1::{
    DropStateRequest, ErrorCode, LoadPartition, PartitionEntries, ReadStateRequest, ScanPartition, StateEntry,
};

use super::cut::Cutter;
use super::entry::StreamEntry;
use super::owners::{Owner, Owners};
use super::registry::StreamRegistry;
use crate::routes::Endpoint;

/// Begins the entry that says which states a stream has: no key's state can begin like this.
const DESCRIPTORS: &[u8] = &[0xff; 4];
/// How long owners may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);
/// How often a stream is read that commits meanwhile.
const TRIES: usize = 100;

type Client = PartitionsClient<tonic::service::interceptor::InterceptedService<tonic::transport::Channel, SendToken>>;

/// See the module.
#[derive(Clone)]
pub struct StateAccess {
    /// Finds owners of partitions.
    pub owners: Owners,
    /// The streams.
    pub registry: StreamRegistry,
    /// Shown to executors.
    pub token: SendToken,
}

/// What a partition has of a stream, as of one moment.
pub struct Scan {
    /// Which partition.
    pub partition: u32,
    /// Its position record.
    pub record: Bytes,
    /// Its entries.
    pub entries: Streaming<PartitionEntries>,
}

impl StateAccess {
    /// The state of one key: what its partition has of it.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where the batch is no key of the stream; where its partition can't be read.
    pub async fn key(&self, stream: &str, entry: &StreamEntry, request: ReadStateRequest) -> Result<Scan, Error> {
        let schema = entry.key_message()?;
        let columns = super::entry::key_schema(&schema)?.fields().len() as u32;
        let cutter = Cutter::new(schema, columns, entry.partitions)?;
        let batch = cutter.decode(&request.key_header, &request.key_body, 1)?;
        let (partition, key) = cutter.key(&batch)?;
        let mut prefix = (key.len() as u32).to_be_bytes().to_vec();
        prefix.extend(key);
        self.scan(stream, entry, partition, &[DESCRIPTORS, &prefix]).await
    }

    /// All state of a stream, as of one moment in all of its partitions.
    ///
    /// # Errors
    /// [`ErrorCode::NoCapacity`] where it commits too fast for that; where a partition can't be read.
    pub async fn whole(&self, stream: &str, entry: &StreamEntry) -> Result<Vec<Scan>, Error> {
        for _ in 0..TRIES {
            let all = (0..entry.partitions).map(|partition| self.scan(stream, entry, partition, &[DESCRIPTORS, b""]));
            let scans = try_join_all(all).await?;
            // Each partition's is of another moment. Where none has committed since, all are of the one after the last.
            let all = (0..entry.partitions).map(|partition| self.scan(stream, entry, partition, &[]));
            let now = try_join_all(all).await?;
            if scans.iter().zip(&now).all(|(scan, now)| scan.record == now.record) {
                return Ok(scans);
            }
            tokio::time::sleep(PAUSE).await;
        }
        let message = format!("stream {stream:?} commits faster than the moment can be found at which to read it");
        Err(Error::new(ErrorCode::NoCapacity, message).hint("close the stream while it is read, or try again"))
    }

    /// What a partition has of a stream under some prefixes.
    ///
    /// # Errors
    /// Where it can't be read.
    pub async fn scan(
        &self,
        stream: &str,
        entry: &StreamEntry,
        partition: u32,
        prefixes: &[&[u8]],
    ) -> Result<Scan, Error> {
        let prefixes: Vec<Bytes> = prefixes.iter().map(|prefix| Bytes::copy_from_slice(prefix)).collect();
        self.at_owner(entry, partition, |mut client, epoch| {
            let request = ScanPartition {
                state: entry.state.clone(),
                partition,
                epoch,
                stream: stream.to_owned(),
                prefixes: prefixes.clone(),
            };
            async move {
                let mut entries = client.scan(request).await?.into_inner();
                let record = entries.message().await?.unwrap_or_default().record;
                Ok(Scan { partition, record, entries })
            }
        })
        .await
    }

    /// Writes a part of a stream that is imported.
    ///
    /// # Errors
    /// Where the partition can't be written.
    pub async fn load(
        &self,
        stream: &str,
        entry: &StreamEntry,
        (partition, record): (u32, Bytes),
        entries: Vec<StateEntry>,
    ) -> Result<(), Error> {
        self.at_owner(entry, partition, |mut client, epoch| {
            let request = LoadPartition {
                state: entry.state.clone(),
                partition,
                epoch,
                stream: stream.to_owned(),
                record: record.clone(),
                entries: entries.clone(),
            };
            async move { client.load(request).await.map(drop) }
        })
        .await
    }

    /// Asks the owner of a partition, or the next one where that does not answer as its owner.
    async fn at_owner<T, F: Future<Output = Result<T, tonic::Status>>>(
        &self,
        entry: &StreamEntry,
        partition: u32,
        mut ask: impl FnMut(Client, u64) -> F,
    ) -> Result<T, Error> {
        let since = Instant::now();
        let mut lost: Option<Owner> = None;
        loop {
            let owner = self.owners.find_for(&entry.function, &entry.state, partition, lost.as_ref()).await?;
            let asked = tokio::time::timeout(PATIENCE, ask(self.client(&owner.endpoint), owner.epoch)).await;
            let error = match asked {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) => error_of(&status, &owner.endpoint.address),
                Err(_) => Error::new(ErrorCode::ExecutorLost, "the partition's owner is silent"),
            };
            let passes = matches!(error.code(), ErrorCode::ExecutorLost | ErrorCode::NoCapacity);
            if !passes || since.elapsed() > PATIENCE {
                return Err(error);
            }
            lost = Some(owner);
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn client(&self, endpoint: &Endpoint) -> Client {
        PartitionsClient::with_interceptor(endpoint.channel(), self.token.clone())
            .max_decoding_message_size(MAX_FRAME_BYTES + MAX_CONTROL_BYTES)
            .max_encoding_message_size(MAX_FRAME_BYTES + MAX_CONTROL_BYTES)
    }

    /// Deletes a stream with its state, and all that is recorded of it. Done again, it goes on where it was cut short.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] where there is none, or it is open and that is not to be ignored; where no executor can
    /// delete its files.
    pub async fn drop_stream(&self, stream: &str, force: bool) -> Result<(), Error> {
        let entry = self.registry.begin_drop(stream, force).await?;
        let executors = self.owners.everybody();
        let owning = self.owners.of_state(&entry.state).await?;
        // An owner that can't be reached is fenced by its files' end: what it would write, nobody reads.
        let (reached, others): (Vec<_>, Vec<_>) =
            executors.into_iter().partition(|endpoint| owning.contains(&endpoint.executor));
        for endpoint in &reached {
            if let Err(error) = self.drop_state(endpoint, &entry.state, false).await {
                tracing::warn!(%error, executor = endpoint.executor, stream, "did not close a stream that is dropped");
            }
        }
        let mut failed = Error::new(ErrorCode::NoCapacity, "no executor is there that could delete a stream's state")
            .hint("drop it again when one is there: it can't be opened until then");
        for endpoint in reached.iter().chain(&others) {
            match self.drop_state(endpoint, &entry.state, true).await {
                Ok(()) => return self.registry.finish_drop(stream, &entry.state).await,
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn drop_state(&self, endpoint: &Endpoint, state: &str, delete_files: bool) -> Result<(), Error> {
        let request = DropStateRequest { state: state.to_owned(), delete_files };
        let mut client = self.client(endpoint);
        match tokio::time::timeout(PATIENCE, client.drop_state(request)).await {
            Ok(done) => done.map(drop).map_err(|status| error_of(&status, &endpoint.address)),
            Err(_) => Err(Error::new(ErrorCode::ExecutorLost, format!("{} is silent", endpoint.executor))),
        }
    }
}
