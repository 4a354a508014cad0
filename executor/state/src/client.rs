//! The client's side: which attempt is the current one, and when results are released.

use thiserror::Error;

use crate::{BundleAttempt, Digest, Header, PositionRecord, Refusal, Reply, Request, RowSpan};

/// A stream at its client, for one partition. One bundle is under way at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamClient {
    session: u64,
    /// The newest owner that this client has heard of.
    epoch: u64,
    /// The bundle under way, or the last one that was committed.
    current: BundleAttempt,
    phase: ClientPhase,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ClientPhase {
    Opening,
    Ready,
    Running(RowSpan),
    Delivered(RowSpan, Digest),
    Confirmed(RowSpan, Digest),
    /// The function failed; the bundle may be tried again.
    Failed(RowSpan),
    Over,
}

/// What happens to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The partition has an owner of this epoch. One that is not newer than what is known changes nothing.
    Owner(u64),
    /// The next bundle, once the one before is released.
    Submit(RowSpan),
    /// Commit what was delivered.
    Commit,
    /// Try a bundle again that has failed.
    Retry,
    /// No answer for a while.
    Timeout,
    /// The client is done with the stream. A bundle that was confirmed may still be committed.
    Close,
    /// An owner has answered.
    Answered(Header, Reply),
}

/// What a client wants done. Effects are done in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientEffect {
    /// Send this to the partition's owner.
    Send(Header, Request),
    /// The stream is open and stands here: the next row to send is the one at its `next_offset`.
    Opened(PositionRecord),
    /// The results of this attempt are here, and not committed.
    Delivered(BundleAttempt),
    /// Results of this attempt that were delivered are worth nothing: the bundle runs again.
    Withdrawn(BundleAttempt),
    /// The function failed.
    Failed(BundleAttempt),
    /// The bundle is committed: its results may leave.
    Released(BundleAttempt, Digest),
    /// The stream has ended here.
    Over(StreamOver),
}

/// Why a stream has ended at its client. Whether a bundle that was confirmed is committed, opening the stream again tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum StreamOver {
    /// Another client has it.
    #[error("the stream was opened by another client, as session {session}: only one may have it")]
    Replaced {
        /// That client's session.
        session: u64,
    },
    /// The owner knows the stream otherwise than this client does.
    #[error("the partition's owner disagrees with this client: {0}")]
    Disagreement(Refusal),
}

impl StreamClient {
    /// A client that begins to open its stream under `session`, which has to be higher than all before it, at the owner of
    /// `epoch`; and what to send.
    #[must_use]
    pub fn open(session: u64, epoch: u64) -> (Self, Vec<ClientEffect>) {
        let client =
            Self { session, epoch, current: BundleAttempt { bundle: 0, attempt: 0 }, phase: ClientPhase::Opening };
        let effects = client.send();
        (client, effects)
    }

    /// Whether the next bundle can be submitted.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == ClientPhase::Ready
    }

    /// Whether the stream has ended here.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase == ClientPhase::Over
    }

    /// What is to be done now that this has happened.
    #[must_use]
    pub fn handle(&mut self, event: ClientEvent) -> Vec<ClientEffect> {
        match event {
            ClientEvent::Owner(epoch) => self.owner(epoch),
            ClientEvent::Submit(span) => self.submit(span),
            ClientEvent::Commit => self.commit(),
            ClientEvent::Retry => match self.phase {
                ClientPhase::Failed(span) => self.run_again(span),
                _ => Vec::new(),
            },
            ClientEvent::Timeout => self.send(),
            ClientEvent::Close => self.close(),
            ClientEvent::Answered(header, reply) => self.answered(header, reply),
        }
    }

    /// What waits for an answer, to be sent (again).
    fn send(&self) -> Vec<ClientEffect> {
        let request = match self.phase {
            ClientPhase::Opening => Request::Open,
            ClientPhase::Running(span) => Request::Run(self.current, span),
            ClientPhase::Confirmed(_, digest) => Request::Confirm(self.current, digest),
            ClientPhase::Ready | ClientPhase::Delivered(..) | ClientPhase::Failed(_) | ClientPhase::Over => {
                return Vec::new();
            }
        };
        vec![ClientEffect::Send(Header { session: self.session, epoch: self.epoch }, request)]
    }

    fn submit(&mut self, span: RowSpan) -> Vec<ClientEffect> {
        if !self.is_ready() {
            return Vec::new();
        }
        self.current = BundleAttempt { bundle: self.current.bundle.saturating_add(1), attempt: 1 };
        self.phase = ClientPhase::Running(span);
        self.send()
    }

    fn commit(&mut self) -> Vec<ClientEffect> {
        let ClientPhase::Delivered(span, digest) = self.phase else { return Vec::new() };
        self.phase = ClientPhase::Confirmed(span, digest);
        self.send()
    }

    fn close(&mut self) -> Vec<ClientEffect> {
        let abort = matches!(self.phase, ClientPhase::Running(_) | ClientPhase::Delivered(..));
        self.phase = ClientPhase::Over;
        let header = Header { session: self.session, epoch: self.epoch };
        if abort { vec![ClientEffect::Send(header, Request::Abort(self.current))] } else { Vec::new() }
    }

    fn run_again(&mut self, span: RowSpan) -> Vec<ClientEffect> {
        self.current.attempt = self.current.attempt.saturating_add(1);
        self.phase = ClientPhase::Running(span);
        self.send()
    }

    /// What an owner held that has gone is lost, unless it was confirmed: then the new owner knows.
    fn owner(&mut self, epoch: u64) -> Vec<ClientEffect> {
        if epoch <= self.epoch {
            return Vec::new();
        }
        self.epoch = epoch;
        match self.phase {
            ClientPhase::Running(span) => self.run_again(span),
            ClientPhase::Delivered(span, _) => self.withdraw(span),
            _ => self.send(),
        }
    }

    fn withdraw(&mut self, span: RowSpan) -> Vec<ClientEffect> {
        let mut effects = vec![ClientEffect::Withdrawn(self.current)];
        effects.extend(self.run_again(span));
        effects
    }

    fn answered(&mut self, header: Header, reply: Reply) -> Vec<ClientEffect> {
        if header.session != self.session || self.is_over() {
            return Vec::new();
        }
        if let Reply::Refused(Refusal::NewerOwner { epoch }) = reply {
            return self.owner(epoch);
        }
        if header.epoch != self.epoch {
            return Vec::new();
        }
        match reply {
            Reply::Opened(record) => self.opened(record),
            Reply::Delivered(attempt, digest) => self.delivered(attempt, digest),
            Reply::Failed(attempt) => self.failed(attempt),
            Reply::Committed(attempt, digest) => self.committed(attempt, digest),
            Reply::Refused(refusal) => self.refused(refusal),
        }
    }

    fn opened(&mut self, record: PositionRecord) -> Vec<ClientEffect> {
        if self.phase != ClientPhase::Opening {
            return Vec::new();
        }
        self.current = BundleAttempt { bundle: record.bundle, attempt: 0 };
        self.phase = ClientPhase::Ready;
        vec![ClientEffect::Opened(record)]
    }

    fn delivered(&mut self, attempt: BundleAttempt, digest: Digest) -> Vec<ClientEffect> {
        match self.phase {
            ClientPhase::Running(span) if attempt == self.current => {
                self.phase = ClientPhase::Delivered(span, digest);
                vec![ClientEffect::Delivered(attempt)]
            }
            _ => Vec::new(),
        }
    }

    fn failed(&mut self, attempt: BundleAttempt) -> Vec<ClientEffect> {
        match self.phase {
            ClientPhase::Running(span) if attempt == self.current => {
                self.phase = ClientPhase::Failed(span);
                vec![ClientEffect::Failed(attempt)]
            }
            _ => Vec::new(),
        }
    }

    fn committed(&mut self, attempt: BundleAttempt, digest: Digest) -> Vec<ClientEffect> {
        match self.phase {
            ClientPhase::Confirmed(_, held) if (attempt, digest) == (self.current, held) => {
                self.phase = ClientPhase::Ready;
                vec![ClientEffect::Released(attempt, digest)]
            }
            _ => Vec::new(),
        }
    }

    fn refused(&mut self, refusal: Refusal) -> Vec<ClientEffect> {
        match refusal {
            Refusal::SessionReplaced { session } => self.end(StreamOver::Replaced { session }),
            Refusal::AttemptOver(attempt) | Refusal::DigestDiffers(attempt) if attempt == self.current => {
                match self.phase {
                    ClientPhase::Running(span) => self.run_again(span),
                    ClientPhase::Delivered(span, _) | ClientPhase::Confirmed(span, _) => self.withdraw(span),
                    _ => Vec::new(),
                }
            }
            // Of the attempt itself, a late copy of its run has asked: the confirm is answered too.
            Refusal::AlreadyCommitted(attempt)
                if attempt.bundle == self.current.bundle && attempt != self.current && self.is_under_way() =>
            {
                self.end(StreamOver::Disagreement(refusal))
            }
            Refusal::BundleGap { .. } | Refusal::RowsApplied { .. } | Refusal::NotOpen if self.is_under_way() => {
                self.end(StreamOver::Disagreement(refusal))
            }
            // A new owner will be announced; late refusals say nothing new.
            _ => Vec::new(),
        }
    }

    fn is_under_way(&self) -> bool {
        matches!(self.phase, ClientPhase::Running(_) | ClientPhase::Delivered(..) | ClientPhase::Confirmed(..))
    }

    fn end(&mut self, reason: StreamOver) -> Vec<ClientEffect> {
        self.phase = ClientPhase::Over;
        vec![ClientEffect::Over(reason)]
    }
}
