//! What functions print, gathered from all executors.

use futures::{FutureExt as _, Stream, StreamExt as _, TryFutureExt as _};
use tonic::{Response, Status};
use udfleet_proto::v1::node_client::NodeClient;
use udfleet_proto::v1::{LogLine, LogsRequest};

use crate::auth::SendToken;
use crate::membership::NodeAddress;

/// All executors' lines as they come. One that can't be reached is told in a line of its own and hides no other's.
pub(super) fn gather(
    nodes: Vec<NodeAddress>,
    token: &SendToken,
    request: &LogsRequest,
) -> impl Stream<Item = Result<LogLine, Status>> + Send + 'static {
    let streams = nodes.into_iter().map(|node| {
        let mut client = NodeClient::with_interceptor(node.channel, token.clone());
        let request = request.clone();
        let executor = node.executor;
        let lines = async move { client.logs(request).await.map(Response::into_inner) }.boxed().try_flatten_stream();
        lines
            .map(move |line| {
                Ok(match line {
                    Ok(line) => line,
                    Err(status) => LogLine {
                        executor: executor.clone(),
                        stream: "stderr".to_owned(),
                        text: format!("[udfleet] logs of {executor} can't be read: {}", status.message()),
                        ..LogLine::default()
                    },
                })
            })
            .boxed()
    });
    futures::stream::select_all(streams)
}
