//! The Node service: row errors, profiles and failed batches of this executor's functions.

mod capsules;
mod profile;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use futures::future::join_all;
use ractor::ActorRef;
use tokio::sync::mpsc::UnboundedReceiver;
use tonic::{Request, Response, Status};
use udfleet_proto::config::PROFILE_ENABLED;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::runs::runs;
use udfleet_proto::v1::node_server::Node;
use udfleet_proto::v1::{
    CapsulesRequest, CapsulesResponse, ErrorCode, FetchCapsuleRequest, FetchCapsuleResponse, FunctionProfile,
    ProfileRequest, ProfileResponse, RestartRequest, RestartResponse, RestartedEnvironment, RowErrorsRequest,
    RowErrorsResponse,
};

use crate::node::{Context, NodeMessage, RestartWish};
use profile::profile;

/// Serves what is kept of functions.
pub struct NodeService {
    context: Arc<Context>,
    node: ActorRef<NodeMessage>,
}

impl NodeService {
    /// Reads from `context`, and tells `node` what to replace.
    #[must_use]
    pub fn new(context: Arc<Context>, node: ActorRef<NodeMessage>) -> Self {
        Self { context, node }
    }
}

/// Between two signs of life while interpreters are replaced.
const STILL_BUSY: Duration = Duration::from_secs(2);

type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What a request names.
enum FunctionFilter {
    All,
    /// One version, or all versions of a name.
    Function(FunctionRef),
}

impl FunctionFilter {
    /// "add", "add@3", or empty: everything.
    fn parse(function: &str) -> Result<Self, Error> {
        if function.is_empty() {
            return Ok(Self::All);
        }
        let parsed = FunctionRef::parse(function);
        Ok(Self::Function(parsed.map_err(|e| Error::new(ErrorCode::InvalidInput, e.to_string()))?))
    }

    /// `function` is `name@version`.
    fn includes(&self, function: &str) -> bool {
        match self {
            Self::All => true,
            Self::Function(which) => which.includes(function),
        }
    }
}

#[tonic::async_trait]
impl Node for NodeService {
    type RowErrorsStream = BoxStream<RowErrorsResponse>;

    async fn row_errors(&self, request: Request<RowErrorsRequest>) -> Result<Response<Self::RowErrorsStream>, Status> {
        let wanted = FunctionFilter::parse(&request.into_inner().function)?;
        let functions = self.context.stats.row_errors(&self.context.executor, |name| wanted.includes(name));
        let responses = runs(functions).map(|functions| Ok(RowErrorsResponse { functions }));
        Ok(Response::new(Box::pin(futures::stream::iter(responses))))
    }

    type CapsulesStream = BoxStream<CapsulesResponse>;

    async fn capsules(&self, request: Request<CapsulesRequest>) -> Result<Response<Self::CapsulesStream>, Status> {
        let wanted = FunctionFilter::parse(&request.into_inner().function)?;
        let capsules = self.context.stats.capsules().list(|name| wanted.includes(name));
        let responses = runs(capsules).map(|capsules| Ok(CapsulesResponse { capsules }));
        Ok(Response::new(Box::pin(futures::stream::iter(responses))))
    }

    type FetchCapsuleStream = BoxStream<FetchCapsuleResponse>;

    async fn fetch_capsule(
        &self,
        request: Request<FetchCapsuleRequest>,
    ) -> Result<Response<Self::FetchCapsuleStream>, Status> {
        let pieces = match self.context.stats.capsules().find(&request.into_inner().id) {
            Some(capsule) => capsules::pieces(&capsule, &self.context).await,
            None => Vec::new(),
        };
        Ok(Response::new(Box::pin(futures::stream::iter(pieces.into_iter().map(Ok)))))
    }

    type ProfileStream = BoxStream<ProfileResponse>;

    async fn profile(&self, request: Request<ProfileRequest>) -> Result<Response<Self::ProfileStream>, Status> {
        let wanted = FunctionFilter::parse(&request.into_inner().function)?;
        let chosen = self.context.table.all().into_iter().filter(|function| wanted.includes(&function.name));
        let profiled = chosen.filter(|function| PROFILE_ENABLED.boolean(&function.definition.config));
        let asked = profiled.map(|function| async move { profile(&self.context.executor, &function).await });
        let functions: Vec<FunctionProfile> = join_all(asked).await.into_iter().flatten().collect();
        let responses = runs(functions).map(|functions| Ok(ProfileResponse { functions }));
        Ok(Response::new(Box::pin(futures::stream::iter(responses))))
    }

    type RestartStream = BoxStream<RestartResponse>;

    async fn restart(&self, request: Request<RestartRequest>) -> Result<Response<Self::RestartStream>, Status> {
        let wanted = FunctionFilter::parse(&request.into_inner().function)?;
        let (done, environments) = tokio::sync::mpsc::unbounded_channel();
        let wish = RestartWish { includes: Arc::new(move |function: &str| wanted.includes(function)), done };
        // Fails only while the executor stops; then nothing is replaced.
        let _ = self.node.send_message(NodeMessage::Renew(wish));
        let executor = self.context.executor.clone();
        let next = |(executor, mut environments): (String, UnboundedReceiver<RestartedEnvironment>)| async move {
            // Those who ask take an executor for lost that says nothing for long.
            let environments_done = match tokio::time::timeout(STILL_BUSY, environments.recv()).await {
                Ok(None) => return None,
                Ok(Some(done)) => vec![RestartedEnvironment { executor: executor.clone(), ..done }],
                Err(_) => Vec::new(),
            };
            Some((Ok(RestartResponse { environments: environments_done }), (executor, environments)))
        };
        Ok(Response::new(Box::pin(futures::stream::unfold((executor, environments), next))))
    }
}
