//! What functions print, gathered from all executors.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::stream::{self, SelectAll};
use futures::{FutureExt as _, Stream, StreamExt as _, TryFutureExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status};
use udfleet_proto::v1::node_client::NodeClient;
use udfleet_proto::v1::{LogLine, LogsRequest};

use crate::membership::{Fleet, NodeAddress};
use udfleet_edge::auth::SendToken;

/// How often a follower looks for executors that have attached meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Lines on their way to a client; when it does not read, executors are not read either.
const LINES: usize = 64;

/// All executors' lines as they come. One that can't be reached is told in a line of its own and hides no other's.
/// A follower also gets the lines of executors that attach later, or again.
pub(super) fn gather(
    fleet: Fleet,
    nodes: Vec<NodeAddress>,
    token: SendToken,
    request: LogsRequest,
) -> impl Stream<Item = Result<LogLine, Status>> + Send + 'static {
    let (sender, lines) = mpsc::channel(LINES);
    tokio::spawn(run(fleet, nodes, token, request, sender));
    ReceiverStream::new(lines).map(Ok)
}

async fn run(
    fleet: Fleet,
    nodes: Vec<NodeAddress>,
    token: SendToken,
    request: LogsRequest,
    client: mpsc::Sender<LogLine>,
) {
    let mut readers = Readers::default();
    let mut events = SelectAll::new();
    for node in nodes {
        readers.begin(&node.executor);
        events.push(read(node, &token, request.clone()));
    }
    // What later ones wrote before they were noticed is new to the client, all of it.
    let later = LogsRequest { tail: 0, ..request };
    let mut look = tokio::time::interval(LOOK_EVERY);
    while later.follow || !events.is_empty() {
        tokio::select! {
            event = events.next(), if !events.is_empty() => {
                // `None` when the last of them has ended.
                let line = event.and_then(|event| readers.line_of(event));
                if let Some(line) = line && client.send(line).await.is_err() {
                    return;
                }
            }
            _ = look.tick(), if later.follow => {
                // Fails while the coordinator stops.
                let Ok(nodes) = fleet.nodes().await else { return };
                for node in nodes {
                    if readers.begin(&node.executor) {
                        events.push(read(node, &token, later.clone()));
                    }
                }
            }
            () = client.closed() => return,
        }
    }
}

/// What comes from one executor.
enum Event {
    Line(LogLine),
    Failed { executor: String, status: Status },
    Ended { executor: String },
}

fn read(
    node: NodeAddress,
    token: &SendToken,
    request: LogsRequest,
) -> impl Stream<Item = Event> + Send + Unpin + 'static {
    let mut client = NodeClient::with_interceptor(node.channel, token.clone());
    let lines = async move { client.logs(request).await.map(Response::into_inner) }.boxed().try_flatten_stream();
    let executor = node.executor.clone();
    let lines = lines.map(move |line| match line {
        Ok(line) => Event::Line(line),
        Err(status) => Event::Failed { executor: executor.clone(), status },
    });
    lines.chain(stream::iter([Event::Ended { executor: node.executor }])).boxed()
}

/// Which executors are read, and what of them the client has seen.
#[derive(Default)]
struct Readers {
    open: HashSet<String>,
    /// The time of the newest line by executor, and what it was before the executor was read anew: it then repeats
    /// what it keeps.
    seen: HashMap<String, (i64, i64)>,
    /// Of these the client has been told that they can't be read.
    unreadable: HashSet<String>,
}

impl Readers {
    /// Whether the executor is to be read: it is not yet.
    fn begin(&mut self, executor: &str) -> bool {
        if let Some((newest, before)) = self.seen.get_mut(executor).filter(|_| !self.open.contains(executor)) {
            *before = *newest;
        }
        self.open.insert(executor.to_owned())
    }

    /// What the client is to be shown of an event.
    fn line_of(&mut self, event: Event) -> Option<LogLine> {
        match event {
            Event::Line(line) => {
                self.unreadable.remove(&line.executor);
                let (newest, before) = self.seen.entry(line.executor.clone()).or_insert((i64::MIN, i64::MIN));
                *newest = line.unix_ms.max(*newest);
                (line.unix_ms > *before).then_some(line)
            }
            Event::Failed { executor, status } => self.unreadable.insert(executor.clone()).then(|| LogLine {
                stream: "stderr".to_owned(),
                text: format!("[udfleet] logs of {executor} can't be read: {}", status.message()),
                executor,
                ..LogLine::default()
            }),
            Event::Ended { executor } => {
                self.open.remove(&executor);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(executor: &str, unix_ms: i64) -> Event {
        Event::Line(LogLine { executor: executor.to_owned(), unix_ms, ..LogLine::default() })
    }

    fn ended(executor: &str) -> Event {
        Event::Ended { executor: executor.to_owned() }
    }

    fn failed(executor: &str) -> Event {
        Event::Failed { executor: executor.to_owned(), status: Status::unavailable("gone") }
    }

    #[test]
    fn an_executor_that_is_read_again_shows_what_is_new() {
        let mut readers = Readers::default();
        assert!(readers.begin("a") && readers.begin("b") && !readers.begin("a"));
        for unix_ms in [5, 5, 7] {
            assert!(readers.line_of(line("a", unix_ms)).is_some());
        }
        assert!(readers.line_of(ended("a")).is_none());
        assert!(readers.begin("a") && !readers.begin("b"));
        let shown = [5, 7, 8, 8].map(|unix_ms| readers.line_of(line("a", unix_ms)).is_some());
        assert_eq!(shown, [false, false, true, true]);
        assert!(readers.line_of(line("b", 1)).is_some(), "each executor has its own clock");
    }

    #[test]
    fn that_one_cannot_be_read_is_told_once_until_it_can() {
        let mut readers = Readers::default();
        let told = readers.line_of(failed("a")).unwrap();
        assert_eq!((told.executor.as_str(), told.text.as_str()), ("a", "[udfleet] logs of a can't be read: gone"));
        assert!(readers.line_of(failed("a")).is_none() && readers.line_of(failed("b")).is_some());
        assert!(readers.line_of(line("a", 1)).is_some());
        assert!(readers.line_of(failed("a")).is_some());
    }
}
