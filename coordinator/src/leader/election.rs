//! Who leads, as a sans-I/O core: events in, the next operation on the store out. It has no clock, task or store.
//!
//! A coordinator holds one lease, under which it announces itself, claims executors, and holds the key of the leader where
//! it could create that. The key's revision is the term: whoever creates it next has a larger one. A leader counts its
//! lease from when it asked for the renewal, not from when the answer came, and steps down a margin before the lease can
//! have ended. Should it be paused just then, its writes still name its term and are refused.
//!
//! One that may not lead ([`Event::MayLead`]) gives the key back and creates none, and keeps its lease.

use std::time::{Duration, Instant};

use crate::store::{LeaseId, Revision};

/// What a coordinator is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// Its lease may have ended: it claims nothing, and routes by what executors tell it.
    #[default]
    Detached,
    /// It holds a lease; another leads, or nobody does yet.
    Follower,
    /// It leads.
    Leader {
        /// Revision of the leader's key.
        term: Revision,
    },
}

impl Role {
    /// Of a leader.
    #[must_use]
    pub fn term(self) -> Option<Revision> {
        match self {
            Self::Leader { term } => Some(term),
            Self::Detached | Self::Follower => None,
        }
    }
}

/// How long things take, all derived from the lease.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The lease ends so long after it was last renewed.
    pub ttl: Duration,
}

impl Timing {
    /// Between two renewals; also the longest that one operation may take.
    #[must_use]
    pub fn renewal(self) -> Duration {
        self.ttl / 4
    }

    /// A leader steps down so long before its lease can have ended.
    fn margin(self) -> Duration {
        self.ttl / 6
    }

    /// After an operation that failed at once.
    fn pause(self) -> Duration {
        self.ttl / 12
    }

    /// Between two looks at a key that another leader holds: news of it comes earlier, unless they are lost.
    fn poll(self) -> Duration {
        self.ttl / 3
    }
}

/// What is asked of the store. One operation at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Get a lease and announce this coordinator under it.
    Grant,
    /// Keep the lease alive.
    Renew(LeaseId),
    /// Create the leader's key under the lease, unless another's is there.
    Campaign(LeaseId),
    /// Delete the leader's key where it is this coordinator's.
    Resign,
}

/// Why an operation has not done what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The lease has ended.
    LeaseEnded,
    /// Nobody knows: it may have happened.
    Unknown,
}

/// What has happened.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    /// Time has passed, nothing else.
    Time,
    /// The answer to [`Operation::Grant`].
    Granted(Result<LeaseId, Failure>),
    /// The answer to [`Operation::Renew`].
    Renewed(Result<(), Failure>),
    /// The answer to [`Operation::Campaign`]: this coordinator's term, or `None` where another leads.
    Campaigned(Result<Option<Revision>, Failure>),
    /// The answer to [`Operation::Resign`]: the key is not this coordinator's.
    Resigned(Result<(), Failure>),
    /// Whether this coordinator may lead: one that reaches no executor may not while another does.
    MayLead(bool),
    /// The leader's key was written by somebody at this revision.
    KeyWritten(Revision),
    /// It was deleted at this revision.
    KeyDeleted(Revision),
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    id: LeaseId,
    /// It lives at least until then.
    until: Instant,
    renew_at: Instant,
}

/// One coordinator's part in the election.
#[derive(Debug)]
pub struct Election {
    timing: Timing,
    role: Role,
    lease: Option<Lease>,
    /// The operation under way, and when it began.
    operation: Option<(Operation, Instant)>,
    grant_at: Instant,
    campaign_at: Instant,
    may_lead: bool,
}

impl Election {
    /// A coordinator that has just started.
    #[must_use]
    pub fn new(timing: Timing, now: Instant) -> Self {
        Self {
            timing,
            role: Role::Detached,
            lease: None,
            operation: None,
            grant_at: now,
            campaign_at: now,
            may_lead: true,
        }
    }

    /// What this coordinator is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its lease; it may have ended.
    #[must_use]
    pub fn lease(&self) -> Option<LeaseId> {
        self.lease.map(|lease| lease.id)
    }

    /// Takes in what has happened, and says what to ask the store for now.
    pub fn step(&mut self, event: Event, now: Instant) -> Option<Operation> {
        self.take(event, now);
        self.expire(now);
        if self.operation.is_some() {
            return None;
        }
        let next = self.next(now)?;
        self.operation = Some((next, now));
        Some(next)
    }

    /// When [`Event::Time`] is due, whatever else happens.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Instant {
        let mut moments = Vec::new();
        if let Some(lease) = &self.lease {
            moments.extend([self.steps_down_at(lease), lease.until].into_iter().filter(|moment| *moment > now));
        }
        if self.operation.is_none() {
            match (&self.lease, self.role) {
                (None, _) => moments.push(self.grant_at),
                (Some(lease), Role::Follower) if now < self.steps_down_at(lease) => {
                    moments.extend([lease.renew_at, self.campaign_at]);
                }
                (Some(lease), _) => moments.push(lease.renew_at),
            }
        }
        moments.into_iter().min().unwrap_or(now + self.timing.renewal())
    }

    fn steps_down_at(&self, lease: &Lease) -> Instant {
        lease.until.checked_sub(self.timing.margin()).unwrap_or(lease.until)
    }

    fn take(&mut self, event: Event, now: Instant) {
        match event {
            Event::Time => {}
            Event::Granted(answer) => self.granted(answer, now),
            Event::Renewed(answer) => self.renewed(answer, now),
            Event::Campaigned(answer) => self.campaigned(answer, now),
            Event::Resigned(answer) => self.resigned(answer, now),
            Event::MayLead(may_lead) => self.set_may_lead(may_lead, now),
            Event::KeyWritten(revision) => {
                if self.role.term().is_some_and(|term| revision > term) {
                    self.step_down(now);
                }
            }
            Event::KeyDeleted(revision) => {
                if self.role.term().is_none_or(|term| revision > term) {
                    self.step_down(now);
                }
            }
        }
    }

    fn granted(&mut self, answer: Result<LeaseId, Failure>, now: Instant) {
        let Some((_, sent)) = self.operation.take() else { return };
        match answer {
            Ok(id) => {
                self.lease = Some(Lease { id, until: sent + self.timing.ttl, renew_at: sent + self.timing.renewal() });
                (self.role, self.campaign_at) = (Role::Follower, now);
            }
            Err(_) => self.grant_at = now + self.timing.pause(),
        }
    }

    fn renewed(&mut self, answer: Result<(), Failure>, now: Instant) {
        let Some((_, sent)) = self.operation.take() else { return };
        match answer {
            Ok(()) => {
                if let Some(lease) = &mut self.lease {
                    (lease.until, lease.renew_at) = (sent + self.timing.ttl, sent + self.timing.renewal());
                }
                if self.role == Role::Detached {
                    (self.role, self.campaign_at) = (Role::Follower, now);
                }
            }
            Err(Failure::LeaseEnded) => self.lease_ended(now),
            Err(Failure::Unknown) => {
                if let Some(lease) = &mut self.lease {
                    lease.renew_at = now + self.timing.pause();
                }
            }
        }
    }

    fn campaigned(&mut self, answer: Result<Option<Revision>, Failure>, now: Instant) {
        self.operation = None;
        match answer {
            Ok(Some(_)) if !self.may_lead => self.campaign_at = now,
            // Expires at once where the lease has run out meanwhile.
            Ok(Some(term)) if self.role == Role::Follower => self.role = Role::Leader { term },
            Ok(_) => self.campaign_at = now + self.timing.poll(),
            Err(Failure::LeaseEnded) => self.lease_ended(now),
            Err(Failure::Unknown) => self.campaign_at = now + self.timing.pause(),
        }
    }

    fn resigned(&mut self, answer: Result<(), Failure>, now: Instant) {
        self.operation = None;
        // A campaign that was not answered may win late: it is looked for again.
        self.campaign_at = now + if answer.is_ok() { self.timing.poll() } else { self.timing.pause() };
    }

    fn set_may_lead(&mut self, may_lead: bool, now: Instant) {
        self.may_lead = may_lead;
        if may_lead {
            self.campaign_at = now;
        } else {
            self.step_down(now);
        }
    }

    fn lease_ended(&mut self, now: Instant) {
        (self.lease, self.role, self.grant_at) = (None, Role::Detached, now);
    }

    fn step_down(&mut self, now: Instant) {
        self.campaign_at = now;
        if self.role.term().is_some() {
            self.role = Role::Follower;
        }
    }

    /// What no answer has renewed in time.
    fn expire(&mut self, now: Instant) {
        let Some(lease) = self.lease else { return };
        if now >= self.steps_down_at(&lease) {
            self.step_down(now);
        }
        if now >= lease.until {
            self.role = Role::Detached;
        }
    }

    fn next(&self, now: Instant) -> Option<Operation> {
        let Some(lease) = self.lease else {
            return (now >= self.grant_at).then_some(Operation::Grant);
        };
        if now >= lease.renew_at {
            return Some(Operation::Renew(lease.id));
        }
        let campaigns = self.role == Role::Follower && now >= self.campaign_at && now < self.steps_down_at(&lease);
        campaigns.then_some(if self.may_lead { Operation::Campaign(lease.id) } else { Operation::Resign })
    }
}
