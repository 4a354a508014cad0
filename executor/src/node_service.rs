//! The Node service: row errors and profiles of this executor's functions.

mod profile;

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use futures::future::join_all;
use tonic::{Request, Response, Status};
use udfleet_proto::config::PROFILE_ENABLED;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::runs::runs;
use udfleet_proto::v1::node_server::Node;
use udfleet_proto::v1::{
    ErrorCode, FunctionProfile, ProfileRequest, ProfileResponse, RowErrorsRequest, RowErrorsResponse,
};

use crate::exchange::FunctionTable;
use crate::metrics::StatsRegistry;
use profile::profile;

/// Serves what is kept of functions.
pub struct NodeService {
    executor: String,
    stats: Arc<StatsRegistry>,
    table: Arc<FunctionTable>,
}

impl NodeService {
    /// Reads from these.
    #[must_use]
    pub fn new(executor: String, stats: Arc<StatsRegistry>, table: Arc<FunctionTable>) -> Self {
        Self { executor, stats, table }
    }
}

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
        let functions = self.stats.row_errors(&self.executor, |name| wanted.includes(name));
        let responses = runs(functions).map(|functions| Ok(RowErrorsResponse { functions }));
        Ok(Response::new(Box::pin(futures::stream::iter(responses))))
    }

    type ProfileStream = BoxStream<ProfileResponse>;

    async fn profile(&self, request: Request<ProfileRequest>) -> Result<Response<Self::ProfileStream>, Status> {
        let wanted = FunctionFilter::parse(&request.into_inner().function)?;
        let chosen = self.table.all().into_iter().filter(|function| wanted.includes(&function.name));
        let profiled = chosen.filter(|function| PROFILE_ENABLED.boolean(&function.definition.config));
        let asked = profiled.map(|function| async move { profile(&self.executor, &function).await });
        let functions: Vec<FunctionProfile> = join_all(asked).await.into_iter().flatten().collect();
        let responses = runs(functions).map(|functions| Ok(ProfileResponse { functions }));
        Ok(Response::new(Box::pin(futures::stream::iter(responses))))
    }
}
