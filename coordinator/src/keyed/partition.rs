//! One partition of a stream, seen from its client: the protocol's machine, and the owner that it talks to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use udfleet_edge::auth::SendToken;
use udfleet_edge::channel::error_of;
use udfleet_kill_points as kill_points;
use udfleet_proto::error::Error;
use udfleet_proto::limits::{MAX_CONTROL_BYTES, MAX_FRAME_BYTES};
use udfleet_proto::v1::partitions_client::PartitionsClient;
use udfleet_proto::v1::{ErrorCode, PartitionRequest};
use udfleet_state::{
    ClientEffect, ClientEvent, Digest, Header, PositionRecord, Refusal, Reply, Request, RowSpan, StreamClient,
    StreamOver,
};

use super::message::{self, Answer, BundleRows};
use super::owners::{Owner, Owners};
use crate::registry::Function;

/// How long a partition may be without an owner that answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries to find one, at first; then they come less and less often.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest time between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// How long the metadata store may know of no owner that an executor has heard of.
const BEHIND: Duration = Duration::from_secs(2);

/// What all partitions of a stream share.
pub struct StreamContext {
    /// The function.
    pub function: Arc<Function>,
    /// Names its state.
    pub state: String,
    /// The stream's id.
    pub stream: String,
    /// Shown to executors.
    pub token: SendToken,
    /// Finds owners.
    pub owners: Owners,
    /// How often a bundle may run whose interpreter is lost.
    pub max_attempts: u64,
}

/// See the module.
pub struct Partition {
    context: Arc<StreamContext>,
    number: u32,
    machine: StreamClient,
    owner: Owner,
    record: PositionRecord,
    rows: Option<BundleRows>,
    results: Vec<(Bytes, Bytes)>,
    digest: Digest,
    failures: u64,
    /// Since when no owner has done anything of what it was asked for.
    silent_since: Option<Instant>,
}

/// What was waited for.
enum Outcome {
    Opened,
    Delivered,
    Released,
}

impl Partition {
    /// Opens the stream at a partition.
    ///
    /// # Errors
    /// Where no executor can own it, or another client has the stream.
    pub async fn open(context: Arc<StreamContext>, number: u32, session: u64) -> Result<Self, Error> {
        let owner = context.owners.find(&context.function, &context.state, number, None).await?;
        let (machine, effects) = StreamClient::open(session, owner.epoch);
        let mut partition = Self {
            context,
            number,
            machine,
            owner,
            record: PositionRecord::default(),
            rows: None,
            results: Vec::new(),
            digest: Digest::default(),
            failures: 0,
            silent_since: None,
        };
        partition.drive(effects).await?;
        Ok(partition)
    }

    /// Where it stood when it was opened, or after the last commit.
    pub fn record(&self) -> &PositionRecord {
        &self.record
    }

    /// The results of the bundle that was delivered.
    pub fn results(&self) -> &[(Bytes, Bytes)] {
        &self.results
    }

    /// Runs a bundle.
    ///
    /// # Errors
    /// What the function raised, or why no owner answers.
    pub async fn run(&mut self, span: RowSpan, rows: BundleRows) -> Result<(), Error> {
        self.rows = Some(rows);
        self.failures = 0;
        let effects = self.machine.handle(ClientEvent::Submit(span));
        self.drive(effects).await?;
        self.record.next_offset = span.end;
        Ok(())
    }

    /// Commits what was delivered.
    ///
    /// # Errors
    /// Where the bundle had to run again and gave other results; why no owner answers.
    pub async fn commit(&mut self) -> Result<(), Error> {
        let delivered = self.digest;
        loop {
            let effects = self.machine.handle(ClientEvent::Commit);
            if matches!(self.drive(effects).await?, Outcome::Released) {
                self.rows = None;
                self.results = Vec::new();
                return Ok(());
            }
            if self.digest != delivered {
                let message = "the owner of a partition was lost before the commit, and the bundle gave other results on the next: \
                               those that were delivered are not committed";
                return Err(Error::new(ErrorCode::ExecutorLost, message)
                    .function(&self.context.function.name)
                    .hint("open the stream again: it goes on behind the last bundle that is committed"));
            }
        }
    }

    /// The client is done. What was delivered and not confirmed is dropped.
    pub async fn close(mut self) {
        for effect in self.machine.handle(ClientEvent::Close) {
            if let ClientEffect::Send(header, request) = effect {
                // Nobody waits for it: the next opening drops it too.
                let _ = self.ask(header, request).await;
            }
        }
    }

    /// Does what the machine wants until what is waited for has happened.
    async fn drive(&mut self, effects: Vec<ClientEffect>) -> Result<Outcome, Error> {
        let mut effects = VecDeque::from(effects);
        let mut outcome = None;
        while let Some(effect) = effects.pop_front() {
            match effect {
                ClientEffect::Send(header, request) => {
                    let event = self.exchange(header, request).await?;
                    let next = self.machine.handle(event);
                    if matches!(event, ClientEvent::Answered(..)) && !next.is_empty() {
                        self.silent_since = None;
                    }
                    effects.extend(next);
                }
                ClientEffect::Opened(record) => {
                    self.record = record;
                    outcome = Some(Outcome::Opened);
                }
                ClientEffect::Delivered(_) => outcome = Some(Outcome::Delivered),
                ClientEffect::Withdrawn(_) => outcome = None,
                ClientEffect::Failed(_) => effects.extend(self.machine.handle(ClientEvent::Retry)),
                ClientEffect::Released(..) => outcome = Some(Outcome::Released),
                ClientEffect::Over(over) => return Err(self.over(over)),
            }
            if effects.is_empty() && outcome.is_none() {
                // An answer that is late or says nothing new: what waits is asked again.
                self.pause(&Error::new(ErrorCode::ExecutorLost, "the partition's owner does not do what it is asked"))
                    .await?;
                effects.extend(self.machine.handle(ClientEvent::Timeout));
            }
        }
        outcome.ok_or_else(|| Error::internal("a partition's protocol has come to no end"))
    }

    /// Asks, and says what has happened by that.
    async fn exchange(&mut self, header: Header, request: Request) -> Result<ClientEvent, Error> {
        let answer = match self.ask(header, request).await {
            Ok(answer) => answer,
            Err(error) => return self.next_owner(error).await,
        };
        // Without a reply it is busy with something else.
        let Some(reply) = answer.reply else { return Ok(ClientEvent::Owner(self.owner.epoch)) };
        match reply {
            Reply::Refused(Refusal::NotOwner) => {
                let error = Error::new(ErrorCode::ExecutorLost, "the partition's owner has given it up");
                return self.next_owner(error).await;
            }
            Reply::Refused(Refusal::NewerOwner { epoch }) => return self.newer_owner(epoch).await,
            Reply::Failed(_) => {
                let failure = answer.failure.unwrap_or_else(|| Error::internal("a bundle failed without a reason"));
                if is_of_owner(&failure) {
                    return self.next_owner(failure).await;
                }
                self.may_retry(failure)?;
            }
            Reply::Delivered(_, digest) => {
                (self.results, self.digest) = (answer.results, digest);
            }
            Reply::Committed(..) => kill_points::reach("commit-answered"),
            Reply::Opened(_) | Reply::Refused(_) => {}
        }
        Ok(ClientEvent::Answered(answer.header, reply))
    }

    /// Waits before the next try.
    async fn pause(&mut self, error: &Error) -> Result<(), Error> {
        let silent = self.silent_since.get_or_insert_with(Instant::now).elapsed();
        if silent > PATIENCE {
            return Err(error.clone());
        }
        tokio::time::sleep((silent / 4).clamp(PAUSE, MAX_PAUSE)).await;
        Ok(())
    }

    /// An executor has heard of a newer owner: of this epoch, or a later one.
    async fn newer_owner(&mut self, epoch: u64) -> Result<ClientEvent, Error> {
        let asked = Instant::now();
        while asked.elapsed() < BEHIND {
            let found =
                self.context.owners.find(&self.context.function, &self.context.state, self.number, None).await?;
            if found.epoch > self.owner.epoch {
                self.owner = found;
                return Ok(ClientEvent::Owner(self.owner.epoch));
            }
            tokio::time::sleep(PAUSE).await;
        }
        // The metadata store is older than the partition's: it was restored from a backup. The next epoch is newer than both.
        self.owner.epoch = self.owner.epoch.max(epoch);
        self.next_owner(Error::new(ErrorCode::ExecutorLost, "the partition has a newer owner that nobody knows")).await
    }

    async fn ask(&self, header: Header, request: Request) -> Result<Answer, Error> {
        match request {
            Request::Run(..) => kill_points::reach("run-forwarded"),
            Request::Confirm(..) => kill_points::reach("confirm-forwarded"),
            Request::Open | Request::Abort(_) => {}
        }
        let message = PartitionRequest {
            function: self.context.function.name.clone(),
            state: self.context.state.clone(),
            partition: self.number,
            stream: self.context.stream.clone(),
            session: header.session,
            epoch: header.epoch,
            request: Some(message::request(request, self.rows.as_ref())),
        };
        let endpoint = &self.owner.endpoint;
        let mut client = PartitionsClient::with_interceptor(endpoint.channel(), self.context.token.clone())
            .max_decoding_message_size(MAX_FRAME_BYTES + MAX_CONTROL_BYTES)
            .max_encoding_message_size(MAX_FRAME_BYTES + MAX_CONTROL_BYTES);
        let answered = tokio::select! {
            answered = client.ask(message) => answered,
            () = endpoint.lost() => return Err(Error::new(ErrorCode::ExecutorLost, "the partition's owner is silent")),
        };
        let answered = answered.map_err(|status| error_of(&status, &endpoint.address))?;
        message::answer(answered.into_inner())
    }

    /// Finds who owns the partition now that its owner does not answer, and says so to the machine.
    async fn next_owner(&mut self, error: Error) -> Result<ClientEvent, Error> {
        if !is_of_owner(&error) {
            return Err(error);
        }
        loop {
            self.pause(&error).await?;
            let (owners, lost) = (&self.context.owners, Some(&self.owner));
            match owners.find(&self.context.function, &self.context.state, self.number, lost).await {
                Ok(owner) => {
                    self.owner = owner;
                    return Ok(ClientEvent::Owner(self.owner.epoch));
                }
                Err(found) if found.code() == ErrorCode::NoCapacity => {}
                Err(found) => return Err(found),
            }
        }
    }

    /// A bundle whose interpreter is lost is run again; what a function raises fails the stream.
    fn may_retry(&mut self, failure: Error) -> Result<(), Error> {
        self.failures += 1;
        let lost = matches!(failure.code(), ErrorCode::InterpreterCrashed | ErrorCode::MemoryExceeded);
        if lost && self.failures < self.context.max_attempts { Ok(()) } else { Err(failure) }
    }

    fn over(&self, over: StreamOver) -> Error {
        let (code, hint) = match over {
            StreamOver::Replaced { .. } => (ErrorCode::InvalidInput, "open the stream in one process at a time"),
            StreamOver::Disagreement(_) => (ErrorCode::Internal, "open the stream again"),
        };
        let message = format!("stream {:?}: {over}", self.context.stream);
        Error::new(code, message).function(&self.context.function.name).hint(hint)
    }
}

/// Whether another owner can do what this one can't: it goes away, has no room, or does not reach its store.
fn is_of_owner(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::ExecutorLost | ErrorCode::NoCapacity | ErrorCode::FunctionNotFound)
}
