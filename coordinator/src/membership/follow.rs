//! What the actor learns from the store: whether this coordinator leads, and what is remembered of executors.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use udfleet_edge::clock;

use super::MembershipHandle;
use super::message::Message;
use super::record::{self, CLAIMS, Claim, EXECUTORS, Record, parse_claim_key};
use crate::leader::Session;
use crate::registry::Registry;
use crate::store::{self, Change, Changes, Entry, Follower, Listing, StoreError};

const PAUSE: Duration = Duration::from_millis(250);

/// Tells the actor whether it leads, until the session ends.
pub(super) async fn leadership(fleet: MembershipHandle, session: Session, registry: std::sync::Arc<Registry>) {
    let mut standings = session.standings();
    let mut led = None;
    loop {
        let term = standings.borrow_and_update().role.term();
        if term != led {
            if led.take().is_some() {
                fleet.tell(Message::Follow);
            }
            if let Some(term) = term {
                match prepared(&fleet, &registry).await {
                    Ok(awaited) => {
                        fleet.tell(Message::Lead { term, awaited });
                        led = Some(term);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a new leader can't read the store, trying again");
                        clock::sleep(PAUSE).await;
                        continue;
                    }
                }
            }
        }
        if standings.changed().await.is_err() {
            return;
        }
    }
}

/// What a leader needs before it begins: all that is registered, and which executors live.
async fn prepared(fleet: &MembershipHandle, registry: &Registry) -> Result<BTreeSet<String>, StoreError> {
    registry.reload().await?;
    fleet.catalog_changed();
    record::all_claimed(&fleet.store).await
}

/// Tells the actor what is remembered of executors, for as long as the store is open.
pub(super) async fn records(fleet: MembershipHandle) {
    let mut follower = RecordFollower(fleet.clone());
    let after = match fleet.store.list(EXECUTORS).await {
        Ok(listing) => {
            let revision = listing.revision;
            follower.tell_all(&listing.entries);
            revision
        }
        // Watching from there says the same, or fails alike and is tried again.
        Err(_) => 0,
    };
    store::follow(&*fleet.store.clone(), EXECUTORS, after, &mut follower).await;
}

struct RecordFollower(MembershipHandle);

impl RecordFollower {
    fn tell(&self, entry: &Entry) {
        let Some(executor) = entry.key.strip_prefix(EXECUTORS) else { return };
        match serde_json::from_slice::<Record>(&entry.value) {
            Ok(record) => {
                let revision = entry.revision;
                self.0.tell(Message::Remembered { executor: executor.to_owned(), revision, record, reply: None });
            }
            Err(error) => tracing::error!(executor, %error, "what is remembered of an executor can't be read"),
        }
    }

    fn tell_all(&mut self, entries: &[Entry]) {
        entries.iter().for_each(|entry| self.tell(entry));
    }
}

#[tonic::async_trait]
impl Follower for RecordFollower {
    async fn changed(&mut self, changes: Changes) -> Result<(), StoreError> {
        for change in &changes.changes {
            if let Change::Put(entry) = change {
                self.tell(entry);
            }
        }
        Ok(())
    }

    async fn listed(&mut self, listing: Listing) -> Result<(), StoreError> {
        self.tell_all(&listing.entries);
        Ok(())
    }
}

/// Tells the actor which other coordinators live, until the session ends.
pub(super) async fn coordinators(fleet: MembershipHandle) {
    let mut peers = fleet.session.peers();
    let me = fleet.session.me().owner.coordinator.clone();
    loop {
        let all = peers.borrow_and_update().coordinators.clone();
        let others = all.into_iter().filter(|(id, _)| *id != me);
        let living: BTreeMap<String, String> = others.map(|(id, peer)| (id, peer.address)).collect();
        fleet.tell(Message::Coordinators(living));
        if peers.changed().await.is_err() {
            return;
        }
    }
}

/// Tells the actor what other coordinators claim, for as long as the store is open.
pub(super) async fn claims(fleet: MembershipHandle) {
    let mut follower = ClaimFollower(fleet.clone());
    let after = match fleet.store.list(CLAIMS).await {
        Ok(listing) => {
            let revision = listing.revision;
            follower.tell_all(&listing.entries);
            revision
        }
        // Watching from there says the same, or fails alike and is tried again.
        Err(_) => 0,
    };
    store::follow(&*fleet.store.clone(), CLAIMS, after, &mut follower).await;
}

struct ClaimFollower(MembershipHandle);

impl ClaimFollower {
    /// Executor and coordinator of a claim that is not one's own.
    fn of_another<'k>(&self, key: &'k str) -> Option<(&'k str, &'k str)> {
        parse_claim_key(key).filter(|(_, coordinator)| *coordinator != self.0.session.me().owner.coordinator)
    }

    fn tell_all(&mut self, entries: &[Entry]) {
        let claim = |entry: &Entry| {
            let (executor, coordinator) = self.of_another(&entry.key)?;
            let claim: Claim = serde_json::from_slice(&entry.value).ok()?;
            Some((executor.to_owned(), coordinator.to_owned(), claim))
        };
        self.0.tell(Message::ClaimsListed(entries.iter().filter_map(claim).collect()));
    }
}

#[tonic::async_trait]
impl Follower for ClaimFollower {
    async fn changed(&mut self, changes: Changes) -> Result<(), StoreError> {
        for change in &changes.changes {
            let Some((executor, coordinator)) = self.of_another(change.key()) else { continue };
            let (executor, coordinator) = (executor.to_owned(), coordinator.to_owned());
            let claim = match change {
                Change::Put(entry) => serde_json::from_slice(&entry.value).ok(),
                Change::Deleted(_) => None,
            };
            self.0.tell(Message::Claimed { executor, coordinator, claim });
        }
        Ok(())
    }

    async fn listed(&mut self, listing: Listing) -> Result<(), StoreError> {
        self.tell_all(&listing.entries);
        Ok(())
    }
}
