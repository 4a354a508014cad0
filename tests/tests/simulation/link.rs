//! One attach stream between an executor and a coordinator: the coordinator's own service, with a network between.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;
use udfleet_edge::clock;
use udfleet_proto::v1::executor_message::Kind as Up;
use udfleet_proto::v1::membership_client::MembershipClient;
use udfleet_proto::v1::{CoordinatorMessage, ExecutorMessage, Hello};

use super::coordinator::Coordinator;
use super::network::{Network, Node};

/// A connection over which nothing can come is given up after so long.
const SILENT_FOR: Duration = Duration::from_secs(3);
/// Between two looks at a line that is cut.
const LOOK: Duration = Duration::from_millis(250);
const ATTACH_WITHIN: Duration = Duration::from_secs(10);

/// The executor's end. Dropping it ends the connection.
pub struct Connection {
    pub up: UnboundedSender<ExecutorMessage>,
    pub down: UnboundedReceiver<CoordinatorMessage>,
}

/// The line of one connection.
#[derive(Clone)]
struct Line {
    network: Arc<Network>,
    executor: Node,
    at: Node,
    coordinator: Arc<Coordinator>,
}

/// Attaches; `None` where that is refused, or nobody answers.
pub async fn connect(
    network: &Arc<Network>,
    executor: Node,
    at: Node,
    coordinator: &Arc<Coordinator>,
    hello: Hello,
) -> Option<Connection> {
    let line = Line { network: Arc::clone(network), executor, at, coordinator: Arc::clone(coordinator) };
    clock::sleep(network.delay(&line.what("connects"))).await;
    if !network.linked(executor, at) {
        clock::sleep(SILENT_FOR).await;
        return None;
    }
    let (to_server, messages) = mpsc::unbounded_channel();
    to_server.send(ExecutorMessage { kind: Some(Up::Hello(hello)) }).ok()?;
    let mut client = MembershipClient::new(coordinator.membership.clone());
    let attach = client.attach(UnboundedReceiverStream::new(messages));
    let inbox = tokio::select! {
        biased;
        () = coordinator.crashed.cancelled() => return None,
        inbox = clock::timeout(ATTACH_WITHIN, attach) => inbox.ok()?.ok()?.into_inner(),
    };
    let (up, from_executor) = mpsc::unbounded_channel();
    let (to_executor, down) = mpsc::unbounded_channel();
    tokio::spawn(line.clone().carry_up(from_executor, to_server));
    tokio::spawn(line.carry_down(inbox, to_executor));
    Some(Connection { up, down })
}

impl Line {
    fn what(&self, does: &str) -> String {
        format!("{:?} {does} {:?}", self.executor, self.at)
    }

    async fn carry_up(self, mut from: UnboundedReceiver<ExecutorMessage>, to: UnboundedSender<ExecutorMessage>) {
        let crashed = self.coordinator.crashed.clone();
        loop {
            let message = tokio::select! {
                biased;
                () = crashed.cancelled() => return,
                message = from.recv() => message,
            };
            clock::sleep(self.network.delay(&self.what("up"))).await;
            // What has been sent arrives once the line is mended, if both are still there: also after the executor has
            // attached anew.
            while !self.network.reaches(self.executor, self.at) {
                if crashed.is_cancelled() {
                    return;
                }
                clock::sleep(LOOK).await;
            }
            let Some(message) = message else { return };
            if to.send(message).is_err() {
                return;
            }
        }
    }

    async fn carry_down(self, mut from: Streaming<CoordinatorMessage>, to: UnboundedSender<CoordinatorMessage>) {
        let crashed = self.coordinator.crashed.clone();
        let silent = self.clone().silent();
        tokio::pin!(silent);
        loop {
            let message = tokio::select! {
                biased;
                () = crashed.cancelled() => return,
                () = to.closed() => return,
                () = &mut silent => return,
                message = from.message() => message,
            };
            clock::sleep(self.network.delay(&self.what("down"))).await;
            while !self.network.reaches(self.at, self.executor) {
                tokio::select! {
                    biased;
                    () = &mut silent => return,
                    () = clock::sleep(LOOK) => {}
                }
            }
            let Ok(Some(message)) = message else { return };
            if to.send(message).is_err() {
                return;
            }
        }
    }

    /// Until the line has been cut for so long that the executor gives it up.
    async fn silent(self) {
        let mut heard = clock::now();
        loop {
            clock::sleep(LOOK).await;
            if self.network.linked(self.executor, self.at) {
                heard = clock::now();
            } else if clock::now() - heard > SILENT_FOR {
                return;
            }
        }
    }
}
