//! The Partitions service: what coordinators ask of this executor as the owner of partitions.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::partitions_server::Partitions as Service;
use udfleet_proto::v1::{
    ErrorCode, PartitionAborted, PartitionReply, PartitionRequest, PartitionRun, partition_reply, partition_request,
};

use super::message;
use super::partitions::{NoPartition, PartitionId, Partitions};
use super::stream::{RunInput, StreamContext};
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
        let invalid = |what: &str| Error::new(ErrorCode::InvalidInput, format!("a request names no {what}"));
        if !is_folder(&request.state) {
            return Err(invalid("state that could be a folder"));
        }
        let named = FunctionRef::parse(&request.function).map_err(|_| invalid("function"))?;
        let function = self.table.resolve(&named)?;
        let id = PartitionId { state: std::mem::take(&mut request.state), partition: request.partition };
        let partition = match self.partitions.get(&id, header).await {
            Ok(partition) => partition,
            Err(NoPartition::Refused(refusal)) => return Ok(message::refusal(header, refusal)),
            Err(NoPartition::Failed(error)) => return Err(error.function(&function.name)),
        };
        let input = match request.request {
            Some(partition_request::Request::Run(run)) => Some(run_input(run)),
            _ => None,
        };
        let stream = partition.stream(&request.stream).await?;
        let context = StreamContext {
            function,
            store: Arc::clone(&partition.store),
            bundles: Arc::clone(&self.partitions.bundles),
            stream: request.stream,
        };
        let mut stream = stream.lock().await;
        let answer = stream.ask(&context, header, asked, input).await;
        if stream.is_closed() {
            self.partitions.give_up(&id, &partition);
        }
        let aborted = || PartitionReply {
            session: header.session,
            epoch: header.epoch,
            reply: Some(partition_reply::Reply::Aborted(PartitionAborted {})),
        };
        answer.map(|answer| answer.unwrap_or_else(aborted))
    }
}

fn run_input(run: PartitionRun) -> RunInput {
    let rows = BundleRows { schema: run.schema, header: run.header, body: run.body };
    RunInput { rows, key_columns: run.key_columns, now_ms: run.now_ms }
}

/// Nothing that leads elsewhere.
fn is_folder(state: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '@' | '.');
    !state.is_empty() && !state.starts_with('.') && state.chars().all(fits)
}

#[tonic::async_trait]
impl Service for PartitionsService {
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
