//! The Node service: what functions of this executor print, and what became of their rows and time.

mod profile;

use std::pin::Pin;
use std::sync::Arc;

use async_stream::stream;
use futures::Stream;
use futures::future::join_all;
use tokio::sync::broadcast::error::RecvError;
use tonic::{Request, Response, Status};
use udfleet_proto::config::PROFILE_ENABLED;
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::runs::runs;
use udfleet_proto::v1::node_server::Node;
use udfleet_proto::v1::{
    ErrorCode, FunctionProfile, LogLine, LogsRequest, ProfileRequest, ProfileResponse, RowErrorsRequest,
    RowErrorsResponse,
};

use crate::exchange::FunctionTable;
use crate::logs::{LogStore, Wanted};
use crate::metrics::StatsRegistry;
use profile::profile;

/// Serves what is kept of functions.
pub struct NodeService {
    executor: String,
    logs: Arc<LogStore>,
    stats: Arc<StatsRegistry>,
    table: Arc<FunctionTable>,
}

impl NodeService {
    /// Reads from these.
    #[must_use]
    pub fn new(executor: String, logs: Arc<LogStore>, stats: Arc<StatsRegistry>, table: Arc<FunctionTable>) -> Self {
        Self { executor, logs, stats, table }
    }
}

type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What a request names: "add", "add@3", or everything.
fn wanted(function: &str) -> Result<Wanted, Error> {
    if function.is_empty() {
        return Ok(Wanted::All);
    }
    let parsed = FunctionRef::parse(function);
    Ok(Wanted::Function(parsed.map_err(|e| Error::new(ErrorCode::InvalidInput, e.to_string()))?))
}

#[tonic::async_trait]
impl Node for NodeService {
    type LogsStream = BoxStream<LogLine>;

    async fn logs(&self, request: Request<LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        let LogsRequest { function, tail, follow } = request.into_inner();
        let wanted = wanted(&function)?;
        // Subscribed first: no line falls between what is kept and what follows, but one may come twice.
        let feed = follow.then(|| self.logs.follow());
        let kept = self.logs.tail(&wanted, tail as usize);
        let lines = stream! {
            let mut repeated: Vec<_> = kept.clone();
            for line in kept {
                yield Ok(LogLine::clone(&line));
            }
            let Some(mut feed) = feed else { return };
            loop {
                match feed.recv().await {
                    Ok(line) => {
                        let before = repeated.len();
                        repeated.retain(|kept| !Arc::ptr_eq(kept, &line));
                        if repeated.len() == before && wanted.includes(&line.function) {
                            yield Ok(LogLine::clone(&line));
                        }
                    }
                    // A reader that is too slow loses lines, never holds anybody up.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
                if repeated.len() > 64 {
                    repeated.drain(..32);
                }
            }
        };
        Ok(Response::new(Box::pin(lines)))
    }

    type RowErrorsStream = BoxStream<RowErrorsResponse>;

    async fn row_errors(&self, request: Request<RowErrorsRequest>) -> Result<Response<Self::RowErrorsStream>, Status> {
        let wanted = wanted(&request.into_inner().function)?;
        let functions = self.stats.row_errors(&self.executor, |name| wanted.includes(name));
        let responses = runs(functions).map(|functions| Ok(RowErrorsResponse { functions }));
        Ok(Response::new(Box::pin(futures::stream::iter(responses))))
    }

    type ProfileStream = BoxStream<ProfileResponse>;

    async fn profile(&self, request: Request<ProfileRequest>) -> Result<Response<Self::ProfileStream>, Status> {
        let wanted = wanted(&request.into_inner().function)?;
        let chosen = self.table.all().into_iter().filter(|function| wanted.includes(&function.name));
        let profiled = chosen.filter(|function| PROFILE_ENABLED.boolean(&function.definition.config));
        let asked = profiled.map(|function| async move { profile(&self.executor, &function).await });
        let functions: Vec<FunctionProfile> = join_all(asked).await.into_iter().flatten().collect();
        let responses = runs(functions).map(|functions| Ok(ProfileResponse { functions }));
        Ok(Response::new(Box::pin(futures::stream::iter(responses))))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;
    use crate::logs::Stream as Output;

    async fn open(service: &NodeService, function: &str, follow: bool) -> Result<Vec<String>, Status> {
        let request = LogsRequest { function: function.into(), tail: 0, follow };
        let stream = service.logs(Request::new(request)).await?.into_inner();
        if follow {
            service.logs.push("f@1", Output::Stdout, 1, "later");
            service.logs.push("g@1", Output::Stdout, 1, "other");
            service.logs.push("f@2", Output::Stderr, 1, "last");
        }
        let count = if follow { 4 } else { usize::MAX };
        Ok(stream.take(count).map(|line| line.unwrap().text).collect().await)
    }

    #[tokio::test]
    async fn kept_lines_come_first_then_new_ones_each_once() {
        let logs = Arc::new(LogStore::new("e"));
        let service = NodeService::new("e".to_owned(), logs, Arc::default(), Arc::default());
        service.logs.push("f@1", Output::Stdout, 1, "one");
        service.logs.push("f@2", Output::Stdout, 1, "two");
        assert_eq!(open(&service, "f", false).await.unwrap(), ["one", "two"]);
        assert_eq!(open(&service, "f", true).await.unwrap(), ["one", "two", "later", "last"]);
        assert_eq!(open(&service, "f@2", false).await.unwrap(), ["two", "last"]);
        assert!(open(&service, "no name!", false).await.is_err());
    }
}
