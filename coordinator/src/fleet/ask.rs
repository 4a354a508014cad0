//! Requests to all executors at once.

use std::pin::Pin;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::select_all;
use futures::{Stream, StreamExt as _};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};
use udfleet_proto::limits::MAX_CONTROL_BYTES;
use udfleet_proto::v1::node_client::NodeClient;

use crate::membership::NodeAddress;
use udfleet_edge::auth::SendToken;

/// How long an executor may take to answer, and between two messages of its answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) type Node = NodeClient<InterceptedService<Channel, SendToken>>;

/// The answers of all that answer, as they come. One that can't be reached hides no other's, unless none can.
///
/// # Errors
/// What the last one said, where none has answered.
pub(super) async fn all<T, F>(
    nodes: Vec<NodeAddress>,
    token: &SendToken,
    question: impl Fn(Node) -> F,
) -> Result<Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>, Status>
where
    T: Send + 'static,
    F: Future<Output = Result<Response<Streaming<T>>, Status>>,
{
    let ask = |node: NodeAddress| {
        let client = NodeClient::with_interceptor(node.channel, token.clone());
        let answer = question(client.max_decoding_message_size(MAX_CONTROL_BYTES));
        async move {
            let answer = tokio::time::timeout(PATIENCE, answer).await;
            let answer = answer.unwrap_or_else(|_| Err(Status::unavailable("an executor does not answer in time")));
            if let Err(status) = &answer {
                not_asked(&node.executor, status);
            }
            answer.map(|answer| messages(node.executor, answer.into_inner()))
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
        _ => Ok(Box::pin(select_all(answers))),
    }
}

/// What one executor says, as far as it comes.
fn messages<T: Send + 'static>(
    executor: String,
    answer: Streaming<T>,
) -> Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>> {
    let next = |(executor, mut answer): (String, Streaming<T>)| async move {
        let message = tokio::time::timeout(PATIENCE, answer.message()).await;
        match message.unwrap_or_else(|_| Err(Status::unavailable("an executor stopped answering"))) {
            Ok(message) => message.map(|message| (Ok(message), (executor, answer))),
            Err(status) => {
                not_asked(&executor, &status);
                None
            }
        }
    };
    futures::stream::unfold((executor, answer), next).boxed()
}

fn not_asked(executor: &str, status: &Status) {
    tracing::warn!(executor, %status, "an executor could not be asked");
}
