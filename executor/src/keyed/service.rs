//! The Partitions service: what coordinators ask of this executor as the owner of partitions.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::partitions_server::Partitions as Service;
use udfleet_proto::v1::{
    DropStateRequest, ErrorCode, LoadPartition, PartitionAborted, PartitionLoaded, PartitionReply, PartitionRequest,
    PartitionRun, RetainedResults, ScanPartition, StateDropped, StateEntry, partition_reply, partition_request,
};
use udfleet_state::{Header, PositionRecord};
use udfleet_state_store::{Commit, StateChange};

use super::bundle::unreadable;
use super::partitions::{NoPartition, OpenPartition, PartitionId, Partitions};
use super::stream::{RunInput, StreamContext};
use super::{message, scan};
use crate::exchange::{BundleRows, FunctionTable};

/// See the module.
#[derive(Clone)]
pub struct PartitionsService {
    table: Arc<FunctionTable>,
    partitions: Arc<Partitions>,
}

impl PartitionsService {
    /// Of the functions in the table.
    #[must_use]
    pub fn new(table: Arc<FunctionTable>, partitions: Arc<Partitions>) -> Self {
        Self { table, partitions }
    }

    async fn answer(self, mut request: PartitionRequest) -> Result<PartitionReply, Error> {
        let (header, asked) = message::request(&request)?;
        check_folder(&request.state)?;
        let named = FunctionRef::parse(&request.function);
        let named = named.map_err(|_| Error::new(ErrorCode::InvalidInput, "a request names no function"))?;
        let function = self.table.resolve(&named)?;
        let begins = matches!(asked, udfleet_state::Request::Open | udfleet_state::Request::Run(..));
        // What was delivered can be committed here also once nothing new begins.
        let _slot =
            if begins { Some(self.table.admit().map_err(|error| error.function(&function.name))?) } else { None };
        let id = PartitionId { state: std::mem::take(&mut request.state), partition: request.partition };
        let partition = match self.partitions.get(&id, header).await {
            Ok(partition) => partition,
            Err(NoPartition::Refused(refusal)) => return Ok(message::refusal(header, refusal)),
            Err(NoPartition::Failed(error)) => return Err(error.function(&function.name)),
        };
        let input = match request.request {
            Some(partition_request::Request::Run(run)) => Some(run_input(run, &function.name)),
            _ => None,
        };
        let stream = partition.stream(&request.stream)?;
        let context = StreamContext {
            function,
            store: Arc::clone(&partition.store),
            bundles: Arc::clone(&self.partitions.bundles),
            held: self.partitions.held.clone(),
            stream: request.stream,
        };
        let mut stream = stream.lock().await;
        let answer = stream.ask(&context, header, asked, input).await;
        let is_closed = stream.is_closed();
        drop(stream);
        if is_closed {
            self.partitions.give_up(&id, &partition).await;
        }
        let aborted = || PartitionReply {
            session: header.session,
            epoch: header.epoch,
            reply: Some(partition_reply::Reply::Aborted(PartitionAborted {})),
        };
        answer.map(|answer| answer.unwrap_or_else(aborted))
    }
}

fn run_input(run: PartitionRun, function: &str) -> RunInput {
    let rows = BundleRows { schema: run.schema, header: run.header, body: run.body };
    let retained = (!run.retained_rows.is_empty()).then(|| RetainedResults {
        cut_first: run.cut_first,
        end: run.end,
        rows: run.retained_rows,
        results: Vec::new(),
        function: function.to_owned(),
    });
    RunInput { rows, key_columns: run.key_columns, now_ms: run.now_ms, retained }
}

fn check_folder(state: &str) -> Result<(), Error> {
    if is_folder(state) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::InvalidInput, "a request names no state that could be a folder"))
}

/// Nothing that leads elsewhere.
fn is_folder(state: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '@' | '.');
    !state.is_empty() && !state.starts_with('.') && state.chars().all(fits)
}

impl PartitionsService {
    /// The partition of a request that is about its store, and not about a bundle.
    async fn partition(&self, state: String, partition: u32, epoch: u64) -> Result<Arc<OpenPartition>, Error> {
        check_folder(&state)?;
        let header = Header { session: 0, epoch };
        match self.partitions.get(&PartitionId { state, partition }, header).await {
            Ok(partition) => Ok(partition),
            Err(NoPartition::Refused(refusal)) => Err(Error::new(ErrorCode::ExecutorLost, refusal.to_string())),
            Err(NoPartition::Failed(error)) => Err(error),
        }
    }

    async fn loaded(&self, request: LoadPartition) -> Result<(), Error> {
        let partition = self.partition(request.state, request.partition, request.epoch).await?;
        let record = PositionRecord::decode(&request.record);
        let record = record.map_err(|error| Error::new(ErrorCode::InvalidInput, error.to_string()))?;
        let record = PositionRecord { epoch: request.epoch, ..record };
        let change = |entry: StateEntry| StateChange { key: entry.key.to_vec(), value: Some(entry.value.to_vec()) };
        let changes = request.entries.into_iter().map(change).collect();
        let commit = Commit { stream: &request.stream, record, changes };
        partition.store.commit(commit).await.map_err(|error| unreadable(&error))
    }
}

#[tonic::async_trait]
impl Service for PartitionsService {
    type ScanStream = scan::PartitionScan;

    async fn scan(&self, request: Request<ScanPartition>) -> Result<Response<Self::ScanStream>, Status> {
        let asked = request.into_inner();
        let partition = self.partition(asked.state, asked.partition, asked.epoch).await?;
        let snapshot = partition.store.snapshot(&asked.stream).await.map_err(|error| unreadable(&error))?;
        Ok(Response::new(scan::messages(snapshot, asked.prefixes)))
    }

    async fn load(&self, request: Request<LoadPartition>) -> Result<Response<PartitionLoaded>, Status> {
        self.loaded(request.into_inner()).await?;
        Ok(Response::new(PartitionLoaded {}))
    }

    async fn drop_state(&self, request: Request<DropStateRequest>) -> Result<Response<StateDropped>, Status> {
        let asked = request.into_inner();
        check_folder(&asked.state)?;
        self.partitions.drop_state(&asked.state, asked.delete_files).await?;
        Ok(Response::new(StateDropped {}))
    }

    async fn ask(&self, request: Request<PartitionRequest>) -> Result<Response<PartitionReply>, Status> {
        // What has begun goes to its end, also where the coordinator that asked has gone.
        let answered = tokio::spawn(self.clone().answer(request.into_inner()));
        let answer = answered.await.map_err(|e| Error::internal(format!("a partition's task did not end: {e}")))?;
        Ok(Response::new(answer?))
    }
}

#[cfg(test)]
mod tests {
    use super::is_folder;

    #[test]
    fn states_are_folders_of_their_own() {
        assert!(is_folder("sessions@3-0123abcd"));
        for other in ["", "..", ".hidden", "a/b", "a\\b", "ä"] {
            assert!(!is_folder(other), "{other:?}");
        }
    }
}
