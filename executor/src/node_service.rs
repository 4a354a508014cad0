//! The Node service: what functions of this executor print.

use std::pin::Pin;
use std::sync::Arc;

use async_stream::stream;
use futures::Stream;
use tokio::sync::broadcast::error::RecvError;
use tonic::{Request, Response, Status};
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::node_server::Node;
use udfleet_proto::v1::{ErrorCode, LogLine, LogsRequest};

use crate::logs::{LogStore, Wanted};

/// Serves the log store.
pub struct NodeService {
    logs: Arc<LogStore>,
}

impl NodeService {
    /// Reads from `logs`.
    #[must_use]
    pub fn new(logs: Arc<LogStore>) -> Self {
        Self { logs }
    }
}

#[tonic::async_trait]
impl Node for NodeService {
    type LogsStream = Pin<Box<dyn Stream<Item = Result<LogLine, Status>> + Send>>;

    async fn logs(&self, request: Request<LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        let LogsRequest { function, tail, follow } = request.into_inner();
        let wanted = match function.as_str() {
            "" => Wanted::All,
            name => {
                let parsed = FunctionRef::parse(name);
                Wanted::Function(parsed.map_err(|e| Error::new(ErrorCode::InvalidInput, e.to_string()))?)
            }
        };
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
        let service = NodeService::new(Arc::new(LogStore::new("e")));
        service.logs.push("f@1", Output::Stdout, 1, "one");
        service.logs.push("f@2", Output::Stdout, 1, "two");
        assert_eq!(open(&service, "f", false).await.unwrap(), ["one", "two"]);
        assert_eq!(open(&service, "f", true).await.unwrap(), ["one", "two", "later", "last"]);
        assert_eq!(open(&service, "f@2", false).await.unwrap(), ["two", "last"]);
        assert!(open(&service, "no name!", false).await.is_err());
    }
}
