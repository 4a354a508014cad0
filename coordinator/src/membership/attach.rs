//! The Membership service: one stream per executor, a thin shell around the actor.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{Stream, StreamExt as _};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status, Streaming};
use udfleet_edge::auth::{Principal, PrincipalKind, SecretHash, TicketSigner};
use udfleet_edge::clock;
use udfleet_edge::engine::Connection;
use udfleet_edge::identity::{Identity, Peer};
use udfleet_proto::error::Error;
use udfleet_proto::limits::MAX_NAME_BYTES;
use udfleet_proto::v1::coordinator_message::Kind as Down;
use udfleet_proto::v1::executor_message::Kind as Up;
use udfleet_proto::v1::{
    BuildLogLine, CoordinatorAddress, CoordinatorMessage, Coordinators, ErrorCode, ExecutorMessage,
    FetchDefinitionsRequest, FetchDefinitionsResponse, Hello, JoinRequest, JoinResponse, LogLine, Report,
    ReportRequest, Welcome,
};
use udfleet_proto::{VERSION, compatible};

use super::message::{Message, Origin, Outbound};
use super::{MembershipHandle, definitions};
use crate::access::AccessTable;
use crate::audit::{AuditEvent, AuditLog};
use crate::leader::{Peers, Session};
use crate::logs::LogStore;
use crate::registry::Registry;

const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Who may attach, what executors check callers with, and where attaches are noted.
pub struct AttachTrust {
    /// Knows whose credentials have ended.
    pub access: Arc<AccessTable>,
    /// Its keys are given to executors.
    pub tickets: Arc<TicketSigner>,
    /// Notes attaches.
    pub audit: AuditLog,
}

/// Where what is printed is kept.
#[derive(Clone, Default)]
pub struct Output {
    /// By functions.
    pub functions: Arc<LogStore>,
    /// While environments are built, by their hashes.
    pub builds: Arc<LogStore>,
}

/// Serves executors.
pub struct MembershipService {
    fleet: MembershipHandle,
    registry: Arc<Registry>,
    output: Output,
    trust: AttachTrust,
    session: Session,
    coordinator: String,
    /// Attaches so far.
    attaches: AtomicU64,
}

impl MembershipService {
    /// What is printed goes to `output`; `coordinator` is the name it gives itself.
    #[must_use]
    pub fn new(
        fleet: MembershipHandle,
        registry: Arc<Registry>,
        output: Output,
        trust: AttachTrust,
        session: Session,
        coordinator: String,
    ) -> Self {
        Self { fleet, registry, output, trust, session, coordinator, attaches: AtomicU64::new(0) }
    }

    fn welcome(&self, epoch: u64) -> Welcome {
        Welcome {
            epoch,
            coordinator: self.coordinator.clone(),
            coordinator_id: self.session.me().owner.coordinator.clone(),
            coordinators: addresses(&self.session.peers().borrow()),
        }
    }
}

fn addresses(peers: &Peers) -> Vec<CoordinatorAddress> {
    let reachable = peers.coordinators.iter().filter(|(_, peer)| !peer.address.is_empty());
    reachable.map(|(id, peer)| CoordinatorAddress { id: id.clone(), address: peer.address.clone() }).collect()
}

#[tonic::async_trait]
impl udfleet_proto::v1::membership_server::Membership for MembershipService {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<CoordinatorMessage, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<ExecutorMessage>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let connection = Connection::of(&request);
        let origin = Origin { address: connection.peer(), since: SystemTime::now() };
        let caller = Principal::of(&request);
        let mut reports = request.into_inner();
        let hello = first_hello(&mut reports).await?;
        let asked = AuditEvent::new(&caller, origin.address, "Attach", hello.executor.as_str());
        let allowed = may_attach(&caller, &hello).and_then(|()| owns_name(connection.shown(), &hello.executor));
        self.trust.audit.note(asked.ended(&allowed)).await;
        allowed?;
        let (executor, incarnation) = (hello.executor.clone(), hello.incarnation.clone());
        let number = self.attaches.fetch_add(1, Ordering::Relaxed) + 1;
        // Goes on where the executor waits no more: a claim on it must not stay behind.
        let let_in = tokio::spawn(self.fleet.clone().let_in(hello, origin, number));
        let (epoch, outbound) = let_in.await.map_err(|_| super::stopping())??;
        let pump = Pump { fleet: self.fleet.clone(), output: self.output.clone(), executor, incarnation, number };
        let access = Arc::clone(&self.trust.access);
        let revoked = async move { access.revoked(&caller).await };
        tokio::spawn(pump.run(reports, outbound.clone(), revoked));
        let welcome = futures::stream::once(std::future::ready(Down::Welcome(self.welcome(epoch))));
        let mut told = addresses(&self.session.peers().borrow());
        let coordinators = WatchStream::from_changes(self.session.peers()).filter_map(move |peers| {
            let now = addresses(&peers);
            let news = (now != told).then(|| Down::Coordinators(Coordinators { coordinators: now.clone() }));
            told = now;
            std::future::ready(news)
        });
        // Only the newest desired state matters: the stream skips what was replaced unsent, and ends with the link.
        let mut sent = Outbound::default();
        let news = WatchStream::new(outbound).flat_map(move |newest| futures::stream::iter(news(&mut sent, newest)));
        // The keys are there before anything that callers with tickets could be sent for.
        let keys = self.trust.tickets.keys();
        let known = Down::TicketKeys(keys.borrow().clone());
        let welcome = welcome.chain(futures::stream::once(std::future::ready(known)));
        let beside = futures::stream::select(coordinators, WatchStream::from_changes(keys).map(Down::TicketKeys));
        let news = welcome.chain(while_first(news, beside));
        Ok(Response::new(Box::pin(news.map(|kind| Ok(CoordinatorMessage { kind: Some(kind) })))))
    }

    type FetchDefinitionsStream = Pin<Box<dyn Stream<Item = Result<FetchDefinitionsResponse, Status>> + Send>>;

    async fn fetch_definitions(
        &self,
        request: Request<FetchDefinitionsRequest>,
    ) -> Result<Response<Self::FetchDefinitionsStream>, Status> {
        let answers = definitions::answers(request.into_inner(), &self.registry.catalog())?;
        Ok(Response::new(Box::pin(futures::stream::iter(answers.map(Ok)))))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let caller = Principal::of(&request);
        let from = Connection::of(&request).peer();
        let JoinRequest { executor, secret_sha256 } = request.into_inner();
        let hash = SecretHash::stored(&secret_sha256)
            .ok_or_else(|| Error::new(ErrorCode::InvalidInput, "secret_sha256 is no SHA-256"))?;
        let joined = self.trust.access.join(&caller, &executor, hash).await;
        self.trust.audit.note(AuditEvent::new(&caller, from, "Join", executor).ended(&joined)).await;
        let expires_unix_s = joined?;
        Ok(Response::new(JoinResponse { expires_unix_s }))
    }
}

/// A credential is good for its own executor only: nobody takes over another's name.
fn may_attach(caller: &Principal, hello: &Hello) -> Result<(), Error> {
    if caller.kind == PrincipalKind::Executor && caller.name != hello.executor {
        let message = format!("{} may not attach as {:?}", caller.title(), hello.executor);
        return Err(Error::new(ErrorCode::PermissionDenied, message).hint("start it with the id of its credential"));
    }
    Ok(())
}

/// Where certificates are asked for, an executor's name belongs to its certificate.
fn owns_name(peer: &Peer, executor: &str) -> Result<(), Error> {
    let shown = match peer {
        Peer::Unasked => return Ok(()),
        Peer::Known(Identity::Executor(name)) if name == executor => return Ok(()),
        Peer::Known(identity) => format!("its certificate is that of {identity}"),
        Peer::Anonymous => "it shows no certificate".to_owned(),
        Peer::Refused(error) => return Err(error.clone()),
    };
    let hint =
        format!("give it a certificate with the URI udfleet://executor/{executor}, or that certificate's name as id");
    Err(Error::new(ErrorCode::Unauthenticated, format!("{executor} may not attach: {shown}")).hint(hint))
}

/// Both streams, until the first ends.
fn while_first<T>(first: impl Stream<Item = T>, second: impl Stream<Item = T>) -> impl Stream<Item = T> {
    let first = first.map(Some).chain(futures::stream::once(std::future::ready(None)));
    let both = futures::stream::select(first, second.map(Some));
    both.take_while(|item| std::future::ready(item.is_some())).filter_map(std::future::ready)
}

/// What differs from what was sent before.
fn news(sent: &mut Outbound, newest: Outbound) -> Vec<Down> {
    let before = sent.desired.as_deref();
    let changed = newest.desired.as_deref().filter(|desired| before.is_none_or(|b| b.revision != desired.revision));
    let desired = changed.map(|desired| desired.messages(before)).unwrap_or_default();
    let request = (newest.request != sent.request).then_some(Down::Report(ReportRequest { number: newest.request }));
    let news = desired.into_iter().map(Down::Desired).chain(request).collect();
    *sent = newest;
    news
}

async fn first_hello(reports: &mut Streaming<ExecutorMessage>) -> Result<Hello, Status> {
    let bad = |message: String| Error::new(ErrorCode::InvalidInput, message);
    let first = clock::timeout(HELLO_TIMEOUT, reports.message()).await;
    let first = first.map_err(|_| bad("no Hello came in time".to_owned()))??;
    let Some(ExecutorMessage { kind: Some(Up::Hello(hello)) }) = first else {
        return Err(bad("an attach begins with Hello".to_owned()).into());
    };
    if !compatible(&hello.version, VERSION) {
        let message = format!("executor {} runs udfleet {}, this coordinator {VERSION}", hello.executor, hello.version);
        return Err(Error::new(ErrorCode::VersionMismatch, message)
            .hint("run the same minor version everywhere")
            .into());
    }
    let id = &hello.executor;
    if id.is_empty() || id.len() > MAX_NAME_BYTES || !id.bytes().all(|b| b.is_ascii_graphic() && b != b'/') {
        return Err(bad(format!(
            "executor id {id:?}: give it 1 to {MAX_NAME_BYTES} visible ASCII characters other than /"
        ))
        .into());
    }
    Ok(hello)
}

/// What building environments printed since the last report, as it came here.
fn build_lines(report: &Report) -> Vec<LogLine> {
    let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    let line = |line: &BuildLogLine| LogLine {
        function: line.environment.clone(),
        stream: "build".to_owned(),
        text: line.line.clone(),
        sequence: line.sequence,
        unix_ms,
        ..LogLine::default()
    };
    report.build_log.iter().map(line).collect()
}

/// One attachment's way up.
struct Pump {
    fleet: MembershipHandle,
    output: Output,
    executor: String,
    incarnation: String,
    number: u64,
}

impl Pump {
    /// Passes on what comes until the executor or the actor ends the attachment, or its credential is `revoked`.
    async fn run(
        self,
        mut messages: Streaming<ExecutorMessage>,
        mut outbound: watch::Receiver<Outbound>,
        revoked: impl Future<Output = ()>,
    ) {
        let closed = async { while outbound.changed().await.is_ok() {} };
        tokio::pin!(closed, revoked);
        loop {
            let message = tokio::select! {
                biased;
                () = &mut closed => return,
                () = &mut revoked => {
                    tracing::warn!(executor = self.executor, "its credential has ended, and so does its attachment");
                    break;
                }
                message = messages.message() => message,
            };
            match message {
                Ok(Some(ExecutorMessage { kind: Some(kind) })) => self.pass_on(kind),
                // From a newer executor.
                Ok(Some(ExecutorMessage { kind: None })) => {}
                Ok(None) | Err(_) => break,
            }
        }
        let Self { fleet, executor, number, .. } = self;
        fleet.tell(Message::Detached { executor, number });
    }

    fn pass_on(&self, kind: Up) {
        let (executor, number) = (self.executor.clone(), self.number);
        match kind {
            Up::Report(report) => {
                self.output.builds.push(&executor, &self.incarnation, build_lines(&report));
                self.fleet.tell(Message::Reported { executor, number, report: Box::new(report) });
            }
            Up::Goodbye(_) => self.fleet.tell(Message::Goodbye { executor, number }),
            Up::Logs(batch) => self.output.functions.push(&executor, &self.incarnation, batch.lines),
            // Only the first message counts.
            Up::Hello(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executor_attaches_under_the_name_in_its_certificate() {
        let outcome = |peer: Peer| owns_name(&peer, "e1").map_err(|error| error.code());
        assert_eq!(outcome(Peer::Unasked), Ok(()));
        assert_eq!(outcome(Peer::Known(Identity::Executor("e1".to_owned()))), Ok(()));
        for other in [
            Peer::Anonymous,
            Peer::Known(Identity::Executor("e2".to_owned())),
            Peer::Known(Identity::Client("e1".to_owned())),
            Peer::Known(Identity::Coordinator("e1".to_owned())),
            Peer::Refused(Error::new(ErrorCode::Unauthenticated, "expired")),
        ] {
            assert_eq!(outcome(other), Err(ErrorCode::Unauthenticated));
        }
    }
}
