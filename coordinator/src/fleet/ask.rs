//! Questions to all executors at once.

use std::time::Duration;

use futures::future::join_all;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Response, Status};
use udfleet_proto::v1::node_client::NodeClient;

use crate::membership::NodeAddress;
use udfleet_edge::auth::SendToken;

/// How long an executor may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) type Node = NodeClient<InterceptedService<Channel, SendToken>>;

/// The answers of all that answer. One that can't be reached hides no other's, unless none can.
///
/// # Errors
/// What the last one said, where none has answered.
pub(super) async fn all<T, F>(
    nodes: Vec<NodeAddress>,
    token: &SendToken,
    question: impl Fn(Node) -> F,
) -> Result<Vec<T>, Status>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let ask = |node: NodeAddress| {
        let answer = question(NodeClient::with_interceptor(node.channel, token.clone()));
        async move {
            let answer = tokio::time::timeout(PATIENCE, answer).await;
            let answer = answer.unwrap_or_else(|_| Err(Status::unavailable("an executor does not answer in time")));
            if let Err(status) = &answer {
                tracing::warn!(executor = node.executor, %status, "an executor could not be asked");
            }
            answer.map(Response::into_inner)
        }
    };
    let (mut answers, mut failed) = (Vec::new(), None);
    for answer in join_all(nodes.into_iter().map(ask)).await {
        match answer {
            Ok(answer) => answers.push(answer),
            Err(status) => failed = Some(status),
        }
    }
    match failed {
        Some(status) if answers.is_empty() => Err(status),
        _ => Ok(answers),
    }
}
