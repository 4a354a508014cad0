//! The owner's side: which requests are done, and when something may be said to be committed.

use crate::{BundleAttempt, Digest, Header, PositionRecord, Refusal, Reply, Request, RowSpan};

/// A stream at the owner of a partition, from the opening of the partition's store until this owner loses it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamOwner {
    epoch: u64,
    /// What is durable.
    record: PositionRecord,
    /// The last attempt at the next bundle that this owner has heard of.
    last_attempt: u32,
    phase: OwnerPhase,
    /// A session that waits for a write that goes on.
    waiting: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum OwnerPhase {
    Idle,
    Running(BundleAttempt, RowSpan),
    Delivered(BundleAttempt, RowSpan, Digest),
    /// This record, with the changes of a bundle or without any, is being written.
    Writing(PositionRecord),
    /// The store is another owner's, or what it holds is unknown.
    Closed,
}

/// What happens to an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerEvent {
    /// A client asks.
    Asked(Header, Request),
    /// The attempt has run; its changes to state are held.
    Ran(BundleAttempt, Digest),
    /// The function failed, or its interpreter is lost.
    RunFailed(BundleAttempt),
    /// The write is durable.
    Durable,
    /// The write failed, or was fenced: whether it is in the store only the next owner knows.
    WriteFailed,
}

/// What an owner wants done. Effects are done in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerEffect {
    /// Run the rows of this attempt.
    Run(BundleAttempt),
    /// Drop what the attempt has changed: held changes, caches and the instance of the function.
    Discard(BundleAttempt),
    /// Write the record durably, in one write with the changes of the attempt, if there is one.
    Write(PositionRecord, Option<BundleAttempt>),
    /// Send this to the client.
    Reply(Header, Reply),
    /// Close the store. Whoever opens it next begins with a new [`StreamOwner`].
    Close,
}

impl StreamOwner {
    /// A stream at a partition whose store was opened under `epoch`, and holds `record` for it.
    #[must_use]
    pub fn new(epoch: u64, record: PositionRecord) -> Self {
        Self { epoch, record, last_attempt: 0, phase: OwnerPhase::Idle, waiting: None }
    }

    /// What is durable.
    #[must_use]
    pub fn record(&self) -> &PositionRecord {
        &self.record
    }

    /// Whether this owner has closed: it answers nothing but that.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == OwnerPhase::Closed
    }

    /// What is to be done now that this has happened.
    #[must_use]
    pub fn handle(&mut self, event: OwnerEvent) -> Vec<OwnerEffect> {
        match event {
            OwnerEvent::Asked(header, request) => self.asked(header, request),
            OwnerEvent::Ran(attempt, digest) => self.ran(attempt, digest),
            OwnerEvent::RunFailed(attempt) => self.run_failed(attempt),
            OwnerEvent::Durable => self.durable(),
            OwnerEvent::WriteFailed => self.close(),
        }
    }

    fn asked(&mut self, header: Header, request: Request) -> Vec<OwnerEffect> {
        if self.is_closed() {
            return vec![self.refuse(header, Refusal::NotOwner)];
        }
        if header.epoch < self.epoch {
            return vec![self.refuse(header, Refusal::NewerOwner { epoch: self.epoch })];
        }
        if header.epoch > self.epoch {
            let mut effects = self.close();
            effects.push(self.refuse(header, Refusal::NotOwner));
            return effects;
        }
        let session = self.session();
        if header.session < session {
            return vec![self.refuse(header, Refusal::SessionReplaced { session })];
        }
        if request == Request::Open {
            return self.open(header);
        }
        if header.session > self.record.session {
            // A session whose opening is not durable yet has nothing to ask.
            return vec![self.refuse(header, Refusal::NotOpen)];
        }
        match request {
            Request::Open => Vec::new(),
            Request::Run(attempt, span) => self.run(header, attempt, span),
            Request::Confirm(attempt, digest) => self.confirm(header, attempt, digest),
            Request::Abort(attempt) => self.abort(attempt),
        }
    }

    /// The highest session that this owner has heard of.
    fn session(&self) -> u64 {
        let writing = match &self.phase {
            OwnerPhase::Writing(record) => record.session,
            _ => 0,
        };
        self.record.session.max(writing).max(self.waiting.unwrap_or(0))
    }

    fn open(&mut self, header: Header) -> Vec<OwnerEffect> {
        if header.session == self.record.session {
            return vec![self.reply(Reply::Opened(self.record))];
        }
        if let OwnerPhase::Writing(record) = &self.phase {
            if record.session < header.session {
                self.waiting = Some(header.session);
            }
            return Vec::new();
        }
        let mut effects = self.discard();
        effects.push(self.write_session(header.session));
        effects
    }

    fn write_session(&mut self, session: u64) -> OwnerEffect {
        let record = PositionRecord { session, epoch: self.epoch, ..self.record };
        self.phase = OwnerPhase::Writing(record);
        OwnerEffect::Write(record, None)
    }

    fn run(&mut self, header: Header, attempt: BundleAttempt, span: RowSpan) -> Vec<OwnerEffect> {
        if let Some(refusal) = self.misplaced(attempt) {
            return vec![self.refuse(header, refusal)];
        }
        match self.phase {
            OwnerPhase::Writing(_) | OwnerPhase::Closed => return Vec::new(),
            OwnerPhase::Running(current, _) if current == attempt => return Vec::new(),
            OwnerPhase::Delivered(current, _, digest) if current == attempt => {
                return vec![self.reply(Reply::Delivered(attempt, digest))];
            }
            OwnerPhase::Idle | OwnerPhase::Running(..) | OwnerPhase::Delivered(..) => {}
        }
        if attempt.attempt <= self.last_attempt {
            return vec![self.refuse(header, Refusal::AttemptOver(attempt))];
        }
        if span.first < self.record.next_offset || span.end <= span.first {
            let next_offset = self.record.next_offset;
            return vec![self.refuse(header, Refusal::RowsApplied { next_offset })];
        }
        let mut effects = self.discard();
        self.last_attempt = attempt.attempt;
        self.phase = OwnerPhase::Running(attempt, span);
        effects.push(OwnerEffect::Run(attempt));
        effects
    }

    /// Why the bundle is not the next one, where it is not.
    fn misplaced(&self, attempt: BundleAttempt) -> Option<Refusal> {
        let expected = self.record.bundle.saturating_add(1);
        if attempt.bundle == expected {
            None
        } else if attempt.bundle > expected {
            Some(Refusal::BundleGap { expected })
        } else {
            let committed = if attempt.bundle == self.record.bundle { self.record.attempt } else { 0 };
            Some(Refusal::AlreadyCommitted(BundleAttempt { attempt: committed, ..attempt }))
        }
    }

    fn confirm(&mut self, header: Header, attempt: BundleAttempt, digest: Digest) -> Vec<OwnerEffect> {
        let record = &self.record;
        if (record.bundle, record.attempt, record.digest) == (attempt.bundle, attempt.attempt, digest) {
            return vec![self.reply(Reply::Committed(attempt, digest))];
        }
        if let Some(refusal) = self.misplaced(attempt) {
            return vec![self.refuse(header, refusal)];
        }
        match self.phase {
            OwnerPhase::Writing(ref record) if record.attempt == attempt.attempt => Vec::new(),
            OwnerPhase::Delivered(current, span, held) if current == attempt => {
                if held != digest {
                    let mut effects = self.discard();
                    effects.push(self.refuse(header, Refusal::DigestDiffers(attempt)));
                    return effects;
                }
                self.write_bundle(attempt, span, digest)
            }
            _ => self.attempt_over(header, attempt),
        }
    }

    fn write_bundle(&mut self, attempt: BundleAttempt, span: RowSpan, digest: Digest) -> Vec<OwnerEffect> {
        let record = PositionRecord {
            session: self.record.session,
            next_offset: span.end,
            bundle: attempt.bundle,
            attempt: attempt.attempt,
            epoch: self.epoch,
            digest,
            cut_first: span.cut_first,
            cut_partitions: span.cut_partitions,
        };
        self.phase = OwnerPhase::Writing(record);
        vec![OwnerEffect::Write(record, Some(attempt))]
    }

    /// Says that an attempt is not committed, and makes sure of it.
    fn attempt_over(&mut self, header: Header, attempt: BundleAttempt) -> Vec<OwnerEffect> {
        let superseded = matches!(self.phase, OwnerPhase::Running(current, _) | OwnerPhase::Delivered(current, ..)
            if current.attempt <= attempt.attempt);
        let mut effects = if superseded { self.discard() } else { Vec::new() };
        self.last_attempt = self.last_attempt.max(attempt.attempt);
        effects.push(self.refuse(header, Refusal::AttemptOver(attempt)));
        effects
    }

    fn abort(&mut self, attempt: BundleAttempt) -> Vec<OwnerEffect> {
        match self.phase {
            OwnerPhase::Running(current, _) | OwnerPhase::Delivered(current, ..) if current == attempt => {
                self.discard()
            }
            _ => Vec::new(),
        }
    }

    fn ran(&mut self, attempt: BundleAttempt, digest: Digest) -> Vec<OwnerEffect> {
        match self.phase {
            OwnerPhase::Running(current, span) if current == attempt => {
                self.phase = OwnerPhase::Delivered(attempt, span, digest);
                vec![self.reply(Reply::Delivered(attempt, digest))]
            }
            _ => Vec::new(),
        }
    }

    fn run_failed(&mut self, attempt: BundleAttempt) -> Vec<OwnerEffect> {
        match self.phase {
            OwnerPhase::Running(current, _) if current == attempt => {
                let mut effects = self.discard();
                effects.push(self.reply(Reply::Failed(attempt)));
                effects
            }
            _ => Vec::new(),
        }
    }

    fn durable(&mut self) -> Vec<OwnerEffect> {
        let OwnerPhase::Writing(written) = self.phase else { return Vec::new() };
        let committed = written.bundle > self.record.bundle;
        self.record = written;
        self.phase = OwnerPhase::Idle;
        let reply = if committed {
            self.last_attempt = 0;
            let attempt = BundleAttempt { bundle: written.bundle, attempt: written.attempt };
            self.reply(Reply::Committed(attempt, written.digest))
        } else {
            // Attempts are numbered within a session.
            self.last_attempt = 0;
            self.reply(Reply::Opened(written))
        };
        let mut effects = vec![reply];
        if let Some(session) = self.waiting.take() {
            effects.push(self.write_session(session));
        }
        effects
    }

    fn close(&mut self) -> Vec<OwnerEffect> {
        if self.is_closed() {
            return Vec::new();
        }
        let mut effects = self.discard();
        self.phase = OwnerPhase::Closed;
        effects.push(OwnerEffect::Close);
        effects
    }

    fn discard(&mut self) -> Vec<OwnerEffect> {
        match self.phase {
            OwnerPhase::Running(attempt, _) | OwnerPhase::Delivered(attempt, ..) => {
                self.phase = OwnerPhase::Idle;
                vec![OwnerEffect::Discard(attempt)]
            }
            OwnerPhase::Idle | OwnerPhase::Writing(_) | OwnerPhase::Closed => Vec::new(),
        }
    }

    fn reply(&self, reply: Reply) -> OwnerEffect {
        OwnerEffect::Reply(Header { session: self.record.session, epoch: self.epoch }, reply)
    }

    fn refuse(&self, header: Header, refusal: Refusal) -> OwnerEffect {
        OwnerEffect::Reply(Header { session: header.session, epoch: self.epoch }, Reply::Refused(refusal))
    }
}
