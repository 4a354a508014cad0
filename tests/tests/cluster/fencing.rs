//! An executor between coordinators: it attaches to all that it hears of, and obeys none that leads no more.

use std::ffi::OsString;
use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::{Request, Response, Status, Streaming};
use udfleet_proto::v1::coordinator_message::Kind as Down;
use udfleet_proto::v1::executor_message::Kind as Up;
use udfleet_proto::v1::membership_server::{Membership, MembershipServer};
use udfleet_proto::v1::{
    CoordinatorAddress, CoordinatorMessage, DesiredState, ExecutorMessage, FetchDefinitionsRequest,
    FetchDefinitionsResponse, JoinRequest, JoinResponse, Report, Welcome,
};
use udfleet_tests::binaries::uv;
use udfleet_tests::process::Process;
use udfleet_tests::wait::within;

type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A coordinator of which the test is the mind.
struct Puppet {
    address: String,
    /// Down the attachment that is open.
    say: mpsc::UnboundedReceiver<mpsc::UnboundedSender<Result<CoordinatorMessage, Status>>>,
    reports: mpsc::UnboundedReceiver<Report>,
}

struct Service {
    opened: mpsc::UnboundedSender<mpsc::UnboundedSender<Result<CoordinatorMessage, Status>>>,
    reports: mpsc::UnboundedSender<Report>,
    welcome: Arc<Mutex<Welcome>>,
}

#[tonic::async_trait]
impl Membership for Service {
    type AttachStream = BoxStream<CoordinatorMessage>;
    type FetchDefinitionsStream = BoxStream<FetchDefinitionsResponse>;

    async fn attach(
        &self,
        request: Request<Streaming<ExecutorMessage>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let (down, messages) = mpsc::unbounded_channel();
        let _ = down.send(Ok(message(Down::Welcome(self.welcome.lock().await.clone()))));
        let _ = self.opened.send(down);
        let (mut up, reports) = (request.into_inner(), self.reports.clone());
        tokio::spawn(async move {
            while let Ok(Some(message)) = up.message().await {
                if let Some(Up::Report(report)) = message.kind {
                    let _ = reports.send(report);
                }
            }
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(messages))))
    }

    async fn fetch_definitions(
        &self,
        _: Request<FetchDefinitionsRequest>,
    ) -> Result<Response<Self::FetchDefinitionsStream>, Status> {
        Err(Status::unimplemented("nothing is desired"))
    }

    async fn join(&self, _: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        Err(Status::unimplemented("nobody has a credential"))
    }
}

fn message(kind: Down) -> CoordinatorMessage {
    CoordinatorMessage { kind: Some(kind) }
}

/// Coordinators that tell of each other.
async fn puppets<const N: usize>() -> [Puppet; N] {
    let mut listeners = Vec::new();
    for _ in 0..N {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let addresses: Vec<String> = listeners.iter().map(|l| l.local_addr().unwrap().to_string()).collect();
    let all = addresses.iter().enumerate();
    let all: Vec<_> =
        all.map(|(n, address)| CoordinatorAddress { id: n.to_string(), address: address.clone() }).collect();
    let puppet = |(n, listener): (usize, TcpListener)| {
        let (opened, say) = mpsc::unbounded_channel();
        let (sender, reports) = mpsc::unbounded_channel();
        let welcome =
            Welcome { epoch: 1, coordinator_id: n.to_string(), coordinators: all.clone(), ..Default::default() };
        let service = Service { opened, reports: sender, welcome: Arc::new(Mutex::new(welcome)) };
        let server = tonic::transport::Server::builder().add_service(MembershipServer::new(service));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Puppet { address: addresses[n].clone(), say, reports }
    };
    let all: Vec<Puppet> = listeners.into_iter().enumerate().map(puppet).collect();
    all.try_into().unwrap_or_else(|_| panic!("as many as were bound"))
}

/// Desired state that differs by whether the executor drains.
fn desired(term: u64, revision: u64) -> CoordinatorMessage {
    message(Down::Desired(DesiredState { term, revision, draining: revision % 2 == 1, ..Default::default() }))
}

/// Reads reports until one is about this desired state; none on the way may be about `never`.
async fn reported(puppet: &mut Puppet, wanted: (u64, u64), never: &[(u64, u64)]) {
    let read = async {
        loop {
            let report = puppet.reports.recv().await.expect("a report");
            let about = (report.term, report.revision);
            assert!(!never.contains(&about), "it obeys {about:?}");
            if about == wanted {
                return;
            }
        }
    };
    within(&format!("a report of {wanted:?}"), read).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_leads_no_more_is_not_obeyed_whatever_it_repeats() {
    let [mut a, mut b] = puppets().await;
    let folder = tempfile::tempdir().unwrap();
    let arguments: Vec<OsString> = vec![
        // It learns of the other.
        format!("--coordinator={}", a.address).into(),
        "--id=e1".into(),
        "--work-dir".into(),
        folder.path().join("work").into(),
        "--uv".into(),
        uv().into(),
    ];
    let _executor = Process::start("udfleet-executor", "e1", folder.path(), &arguments).await;
    let from_a = within("attached to the one it was told of", a.say.recv()).await.unwrap();
    let from_b = within("attached to the one it has learned of", b.say.recv()).await.unwrap();
    reported(&mut b, (0, 0), &[]).await;

    from_a.send(Ok(desired(7, 3))).unwrap();
    reported(&mut a, (7, 3), &[]).await;
    reported(&mut b, (7, 3), &[]).await;

    // b leads now; a does not know yet, and goes on where it was.
    from_b.send(Ok(desired(8, 4))).unwrap();
    reported(&mut a, (8, 4), &[]).await;
    for revision in 4..50 {
        from_a.send(Ok(desired(7, revision))).unwrap();
    }
    // What the new leader has said before, and an earlier change of it, as a network may deliver them again.
    from_b.send(Ok(desired(8, 4))).unwrap();
    from_b.send(Ok(desired(8, 3))).unwrap();
    from_b.send(Ok(desired(8, 5))).unwrap();
    let stale: Vec<_> = (4..50).map(|revision| (7, revision)).chain([(8, 3)]).collect();
    reported(&mut a, (8, 5), &stale).await;
    reported(&mut b, (8, 5), &stale).await;
    // a has come to lead again.
    from_a.send(Ok(desired(9, 1))).unwrap();
    reported(&mut b, (9, 1), &stale).await;
}
