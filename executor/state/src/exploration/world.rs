//! Clients, owners, their store and the network between them, as one value.

use std::collections::BTreeSet;

use crate::{
    BundleAttempt, ClientEffect, ClientEvent, Digest, Header, OwnerEffect, OwnerEvent, PositionRecord, Reply, Request,
    RowSpan, StreamClient, StreamOwner,
};

/// How many bundles a stream has, and the rows of each.
pub const BUNDLES: u64 = 2;
pub const ROWS: u64 = 10;

/// How often things may still go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Crashes and pauses of owners and clients, failures of functions, writes whose outcome is unknown.
    pub crashes: u8,
    pub lost: u8,
    pub doubled: u8,
}

/// What functions give when a bundle runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Functions {
    /// Something else each time.
    Random,
    /// The same.
    Deterministic,
}

/// A mistake to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlantedBug {
    /// The store takes writes of owners that were replaced.
    NoFence,
    /// The owner says "committed" when it begins to write.
    EarlyRelease,
    /// A confirm commits what the owner holds, whatever attempt and digest it names.
    MissingDigest,
    /// The owner takes requests of any session for the current one's.
    SessionIgnored,
    /// The record is a write of its own, after that of the changes.
    RecordApart,
}

/// The durable store of the partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    pub epoch: u64,
    pub record: PositionRecord,
    /// The changes that are in it, in order.
    pub applied: Vec<(BundleAttempt, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnerProcess {
    pub epoch: u64,
    pub core: StreamOwner,
    pub running: Option<BundleAttempt>,
    /// A write under way, and whether it has landed.
    pub writing: Option<(PositionRecord, Option<BundleAttempt>, bool)>,
    /// What it delivered last.
    held: Option<(BundleAttempt, Digest)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientProcess {
    pub session: u64,
    pub core: StreamClient,
    /// Whether its user has results to commit.
    pub delivered: bool,
    /// Where the next bundle begins.
    next_offset: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub budget: Budget,
    functions: Functions,
    pub bug: Option<PlantedBug>,
    pub store: Store,
    pub owners: Vec<OwnerProcess>,
    pub clients: Vec<ClientProcess>,
    pub requests: BTreeSet<(Header, Request)>,
    pub replies: BTreeSet<(Header, Reply)>,
    /// What clients have released, with their sessions.
    pub released: Vec<(u64, BundleAttempt, Digest)>,
    /// How many clients have gone or were replaced.
    pub clients_lost: u64,
    /// A client has ended, and no other has taken its place.
    pub disagreement: bool,
}

/// The digest of what a random function gives in an attempt: no two are alike.
fn random_digest(epoch: u64, session: u64, attempt: BundleAttempt) -> u128 {
    u128::from(epoch) + (u128::from(session) << 16) + (u128::from(attempt.attempt) << 32)
}

impl World {
    pub fn new(budget: Budget, functions: Functions, bug: Option<PlantedBug>) -> Self {
        let store = Store { epoch: 0, record: PositionRecord::default(), applied: Vec::new() };
        let mut world = Self {
            budget,
            functions,
            bug,
            store,
            owners: Vec::new(),
            clients: Vec::new(),
            requests: BTreeSet::new(),
            replies: BTreeSet::new(),
            released: Vec::new(),
            clients_lost: 0,
            disagreement: false,
        };
        world.open_store();
        world.open_client();
        world
    }

    /// A new owner opens the store, which fences the ones before.
    pub fn open_store(&mut self) {
        self.store.epoch += 1;
        let core = StreamOwner::new(self.store.epoch, self.store.record);
        self.owners.push(OwnerProcess { epoch: self.store.epoch, core, running: None, writing: None, held: None });
    }

    /// A client opens the stream, under the next session.
    pub fn open_client(&mut self) {
        let session = self.clients_lost + 1;
        let (core, effects) = StreamClient::open(session, self.store.epoch);
        self.clients.push(ClientProcess { session, core, delivered: false, next_offset: 0 });
        self.client_effects(self.clients.len() - 1, effects);
    }

    pub fn client_event(&mut self, index: usize, event: ClientEvent) {
        let effects = self.clients[index].core.handle(event);
        self.client_effects(index, effects);
    }

    fn client_effects(&mut self, index: usize, effects: Vec<ClientEffect>) {
        for effect in effects {
            let client = &mut self.clients[index];
            match effect {
                ClientEffect::Send(header, request) => {
                    self.requests.insert((header, request));
                }
                ClientEffect::Opened(record) => client.next_offset = record.next_offset,
                ClientEffect::Delivered(_) => client.delivered = true,
                ClientEffect::Withdrawn(_) => client.delivered = false,
                ClientEffect::Failed(_) => self.client_event(index, ClientEvent::Retry),
                ClientEffect::Released(attempt, digest) => {
                    client.next_offset += ROWS;
                    client.delivered = false;
                    self.released.push((client.session, attempt, digest));
                }
                ClientEffect::Over(_) => self.disagreement |= index + 1 == self.clients.len(),
            }
        }
        self.submit(index);
    }

    fn submit(&mut self, index: usize) {
        let client = &self.clients[index];
        let first = client.next_offset;
        if client.core.is_ready() && first < BUNDLES * ROWS {
            self.client_event(
                index,
                ClientEvent::Submit(RowSpan { first, end: first + ROWS, cut_first: first, cut_partitions: 1 }),
            );
        }
    }

    /// Whether a client has nothing left to do.
    pub fn is_done(&self, index: usize) -> bool {
        let client = &self.clients[index];
        client.core.is_ready() && client.next_offset == BUNDLES * ROWS
    }

    pub fn ask(&mut self, index: usize, header: Header, request: Request) {
        let owner = &self.owners[index];
        let (mut header, mut request) = (header, request);
        if self.bug == Some(PlantedBug::SessionIgnored) && request != Request::Open {
            header.session = owner.core.record().session;
        }
        if self.bug == Some(PlantedBug::MissingDigest)
            && let (Request::Confirm(..), Some((attempt, digest))) = (request, owner.held)
            && header.epoch == owner.epoch
        {
            request = Request::Confirm(attempt, digest);
        }
        self.owner_event(index, OwnerEvent::Asked(header, request));
    }

    pub fn owner_event(&mut self, index: usize, event: OwnerEvent) {
        let effects = self.owners[index].core.handle(event);
        for effect in effects {
            let owner = &mut self.owners[index];
            match effect {
                OwnerEffect::Run(attempt) => owner.running = Some(attempt),
                OwnerEffect::Discard(_) => {
                    owner.running = None;
                    owner.held = None;
                }
                OwnerEffect::Write(record, attempt) => {
                    owner.writing = Some((record, attempt, false));
                    owner.held = None;
                    if let (Some(PlantedBug::EarlyRelease), Some(attempt)) = (self.bug, attempt) {
                        let header = Header { session: record.session, epoch: record.epoch };
                        self.replies.insert((header, Reply::Committed(attempt, record.digest)));
                    }
                }
                OwnerEffect::Reply(header, reply) => {
                    if let Reply::Delivered(attempt, digest) = reply {
                        owner.held = Some((attempt, digest));
                    }
                    self.replies.insert((header, reply));
                }
                OwnerEffect::Close => {
                    owner.running = None;
                    owner.held = None;
                }
            }
        }
    }

    pub fn run(&mut self, index: usize) {
        let owner = &mut self.owners[index];
        let Some(attempt) = owner.running.take() else { return };
        let random = match self.functions {
            Functions::Random => random_digest(owner.epoch, owner.core.record().session, attempt),
            Functions::Deterministic => 0,
        };
        let digest = Digest(random + (u128::from(attempt.bundle) << 48));
        self.owner_event(index, OwnerEvent::Ran(attempt, digest));
    }

    /// A write reaches the store. A part of it does, where the record is written apart and the owner stops there.
    pub fn land(&mut self, index: usize, all: bool) {
        let Some((record, attempt, landed)) = &mut self.owners[index].writing else { return };
        *landed = true;
        if let Some(attempt) = attempt {
            self.store.applied.push((*attempt, record.session));
        }
        if all {
            self.store.record = *record;
        }
    }
}
