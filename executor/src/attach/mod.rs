//! Keeps this executor attached to each coordinator of the fleet: hello and reports up, desired state down. Detached, it goes
//! on serving and tries again for ever.

mod logs;
pub mod report;
mod roster;
mod set;

use std::sync::Arc;
use std::time::Duration;

use ractor::ActorRef;
use rand::Rng;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use udfleet_edge::auth::{SendToken, TicketCheck};
use udfleet_edge::channel::{endpoint, error_of};
use udfleet_edge::tls::{Connector, ExpectedPeer};
use udfleet_proto::error::Error;
use udfleet_proto::v1::membership_client::MembershipClient;
use udfleet_proto::v1::{
    CoordinatorAddress, CoordinatorMessage, ErrorCode, ExecutorMessage, Goodbye, Hello, coordinator_message,
    executor_message,
};

use crate::credential::Identification;
use crate::node::{Context, DesiredFeed, NodeMessage};
use logs::LogShipper;
use report::Reporter;

pub use set::AttachmentSet;

const REPORT_PERIOD: Duration = Duration::from_millis(500);
/// Changes that come in quick succession (build output, say) share a report.
const REPORT_GAP: Duration = Duration::from_millis(20);
/// Within which coordinators give the same answers: several reports come in that time, should one be late.
const SAME_ANSWERS_WITHIN: Duration = Duration::from_secs(2);
const _: () = assert!(3 * (REPORT_PERIOD.as_millis() + REPORT_GAP.as_millis()) < SAME_ANSWERS_WITHIN.as_millis());
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Finds a coordinator that vanished without a word.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// Unsent messages; a coordinator that takes no more than this is as good as gone.
const OUTBOX: usize = 8;

/// A connection to a coordinator that is made when first used and again whenever it breaks.
///
/// # Errors
/// `INVALID_CONFIG` for an address that is none.
pub fn channel(connector: &Connector, coordinator: &str) -> Result<Channel, Error> {
    let endpoint = endpoint(coordinator).map_err(|_| {
        let message = format!("coordinator is {coordinator:?}, expected HOST:PORT");
        Error::new(ErrorCode::InvalidConfig, message)
    })?;
    let endpoint =
        endpoint.http2_keep_alive_interval(KEEPALIVE).keep_alive_timeout(KEEPALIVE).keep_alive_while_idle(true);
    Ok(connector.connect_lazy(&endpoint, Some(ExpectedPeer::Coordinator)))
}

/// How far the executor's orderly stop has come.
#[derive(Debug, Clone, Default)]
pub struct OrderlyStop {
    /// Nothing new is taken.
    pub begun: CancellationToken,
    /// What was running has ended.
    pub finished: CancellationToken,
}

/// Who this executor is to coordinators, and how it knows its callers.
#[derive(Clone)]
pub struct AttachmentIdentity {
    /// On every call to a coordinator.
    pub bearer: SendToken,
    /// What that is made from.
    pub identification: Arc<Identification>,
    /// Is given the keys of coordinators.
    pub tickets: Arc<TicketCheck>,
}

/// What an attachment says to the set of all.
enum News {
    /// The coordinator has let this executor in.
    Welcomed { id: String, coordinators: Vec<CoordinatorAddress> },
    /// It says which coordinators there are.
    Coordinators(Vec<CoordinatorAddress>),
    /// It has sent what this executor shall hold.
    Leads,
    /// The attachment has ended, after a welcome.
    Ended,
}

/// This executor's side of the attachment to one coordinator.
struct Attachment {
    address: String,
    channel: Channel,
    identity: AttachmentIdentity,
    client: MembershipClient<InterceptedService<Channel, SendToken>>,
    hello: Hello,
    context: Arc<Context>,
    node: ActorRef<NodeMessage>,
    reporter: Reporter,
    news: UnboundedSender<(String, News)>,
}

impl Attachment {
    fn tell(&self, news: News) {
        // Fails only while the executor stops.
        let _ = self.news.send((self.address.clone(), news));
    }

    /// Attaches, and again whenever the attachment ends. Says goodbye once `stop.begun`, and ends with a last report once
    /// `stop.finished`.
    async fn run(mut self, stop: OrderlyStop) {
        let mut pause = FIRST_PAUSE;
        let mut said = String::new();
        loop {
            let mut welcomed = false;
            let error = match self.attached(&mut welcomed, &stop).await {
                Ok(()) => return,
                Err(error) => error,
            };
            if error.code() == ErrorCode::Unauthenticated {
                self.identity.identification.refused();
            }
            if welcomed {
                self.tell(News::Ended);
                (pause, said) = (FIRST_PAUSE, String::new());
            }
            // Said once, not with every try.
            let text = error.to_string();
            if text != said {
                let coordinator = &self.address;
                tracing::warn!(coordinator, "not attached to the coordinator, trying again: {text}");
                said = text;
            }
            let jitter = rand::rng().random_range(0.5..1.0);
            tokio::select! {
                () = tokio::time::sleep(pause.mul_f64(jitter)) => pause = (pause * 2).min(LONGEST_PAUSE),
                // Nobody to say goodbye to.
                () = stop.begun.cancelled() => return,
            }
        }
    }

    /// One attachment, until it breaks off or the executor has stopped.
    async fn attached(&mut self, welcomed: &mut bool, stop: &OrderlyStop) -> Result<(), Error> {
        self.identity.identification.prepare(&self.channel, &self.address).await?;
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let hello = Hello {
            built_environments: self.context.board.built_environments(),
            holds_desired_state: self.context.board.holds_desired_state(),
            secrets: self.context.secrets.names(),
            ..self.hello.clone()
        };
        let first = ExecutorMessage { kind: Some(executor_message::Kind::Hello(hello)) };
        // The channel is empty.
        let _ = outbox.try_send(first);
        let mut inbox = match self.client.attach(ReceiverStream::new(messages)).await {
            Ok(response) => response.into_inner(),
            Err(status) => return Err(error_of(&status, &self.address)),
        };
        self.reporter.start_over();
        let mut feed = DesiredFeed::default();
        let mut changes = self.context.board.changes();
        let mut ticks = tokio::time::interval(REPORT_PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The first change is reported at once, those right behind it together.
        let (mut news, mut next) = (false, Instant::now());
        let mut leaving = false;
        let mut logs = LogShipper::new(Arc::clone(&self.context.logs));
        loop {
            tokio::select! {
                message = inbox.message() => match message {
                    Ok(Some(message)) => news |= self.take(message, &mut feed, welcomed)?,
                    Ok(None) => return Err(Error::new(ErrorCode::NoCapacity, "the coordinator ended the attachment")),
                    Err(status) => return Err(error_of(&status, &self.address)),
                },
                () = stop.begun.cancelled(), if !leaving => {
                    leaving = true;
                    let goodbye = executor_message::Kind::Goodbye(Goodbye {});
                    // Fails where the stream has ended: the inbox says so too.
                    let _ = outbox.send(ExecutorMessage { kind: Some(goodbye) }).await;
                }
                () = logs.due() => if let Ok(place) = outbox.try_reserve() && let Some(batch) = logs.batch() {
                    place.send(batch);
                },
                () = stop.finished.cancelled(), if leaving => {
                    while let Some(batch) = logs.batch() {
                        // Fails where the stream has ended: so has everything.
                        let _ = outbox.send(batch).await;
                    }
                    self.report(&outbox);
                    drop(outbox);
                    // The coordinator ends its side once it has read all of this one.
                    while let Ok(Some(_)) = inbox.message().await {}
                    return Ok(());
                }
                Ok(()) = changes.changed(), if !news => news = true,
                _ = ticks.tick() => news = true,
                () = tokio::time::sleep_until(next), if news => {
                    next = Instant::now() + REPORT_GAP;
                    news = self.report(&outbox);
                }
            }
        }
    }

    /// True where a report is asked for.
    fn take(
        &mut self,
        message: CoordinatorMessage,
        feed: &mut DesiredFeed,
        welcomed: &mut bool,
    ) -> Result<bool, Error> {
        match message.kind {
            Some(coordinator_message::Kind::Welcome(welcome)) => {
                *welcomed = true;
                tracing::info!(coordinator = self.address, epoch = welcome.epoch, "attached");
                self.tell(News::Welcomed { id: welcome.coordinator_id, coordinators: welcome.coordinators });
            }
            Some(coordinator_message::Kind::TicketKeys(keys)) => self.identity.tickets.add(keys),
            Some(coordinator_message::Kind::Coordinators(all)) => self.tell(News::Coordinators(all.coordinators)),
            Some(coordinator_message::Kind::Desired(desired)) => {
                if let Some(desired) = feed.take(desired)? {
                    self.tell(News::Leads);
                    // Fails only while the executor stops.
                    let _ = self.node.send_message(NodeMessage::Desired(Box::new(desired)));
                }
            }
            Some(coordinator_message::Kind::Report(request)) => {
                self.reporter.asked(request.number);
                return Ok(true);
            }
            // From a newer coordinator.
            None => {}
        }
        Ok(false)
    }

    /// Sends what has changed since the last report; where there is no room for one, the next says it. True where more
    /// is to be said.
    fn report(&mut self, outbox: &mpsc::Sender<ExecutorMessage>) -> bool {
        let Ok(place) = outbox.try_reserve() else { return false };
        let (report, more) = self.reporter.report();
        place.send(ExecutorMessage { kind: Some(executor_message::Kind::Report(report)) });
        more
    }
}
