//! The coordinators of this fleet, as the store has them.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::election::Event;
use super::keys::{Announcement, CLUSTER, COORDINATORS, LEADER, decode};
use crate::registry::Owner;
use crate::store::{self, Change, Changes, Entry, Follower, Listing, Revision, SharedStore, StoreError};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    /// By their ids; this one included while it holds a lease.
    pub coordinators: BTreeMap<String, Announcement>,
    /// Who leads, if anybody does.
    pub leader: Option<Owner>,
}

impl Peers {
    /// True where this very process is one of them.
    #[must_use]
    pub fn lives(&self, owner: &Owner) -> bool {
        self.coordinators.get(&owner.coordinator).is_some_and(|held| held.owner == *owner)
    }

    /// Where the coordinators can be reached.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let reachable = self.coordinators.values().map(|peer| peer.address.clone());
        reachable.filter(|address| !address.is_empty()).collect()
    }

    fn put(&mut self, entry: &Entry) {
        if entry.key == LEADER {
            self.leader = decode(&entry.value);
        } else if let Some(id) = entry.key.strip_prefix(COORDINATORS) {
            match decode(&entry.value) {
                Some(announcement) => drop(self.coordinators.insert(id.to_owned(), announcement)),
                None => drop(self.coordinators.remove(id)),
            }
        }
    }

    fn deleted(&mut self, key: &str) {
        if key == LEADER {
            self.leader = None;
        } else if let Some(id) = key.strip_prefix(COORDINATORS) {
            self.coordinators.remove(id);
        }
    }

    fn listed(listing: &Listing) -> Self {
        let mut peers = Self::default();
        listing.entries.iter().for_each(|entry| peers.put(entry));
        peers
    }
}

/// Follows the store for as long as it is open; what concerns the election goes to `events` too.
pub(super) async fn follow(store: SharedStore, peers: watch::Sender<Peers>, events: watch::Sender<Option<Event>>) {
    let mut follower = PeersFollower { peers, events };
    // From the beginning: what is no longer kept comes as a listing.
    let after = follower.begin(&store).await;
    store::follow(&*store, CLUSTER, after, &mut follower).await;
}

struct PeersFollower {
    peers: watch::Sender<Peers>,
    events: watch::Sender<Option<Event>>,
}

impl PeersFollower {
    async fn begin(&mut self, store: &SharedStore) -> Revision {
        match store.list(CLUSTER).await {
            Ok(listing) => {
                self.show(Peers::listed(&listing));
                listing.revision
            }
            // Watching from there says the same, or fails alike and is tried again.
            Err(_) => 0,
        }
    }

    fn show(&self, now: Peers) {
        self.peers.send_if_modified(|peers| {
            let changed = *peers != now;
            *peers = now;
            changed
        });
    }
}

#[tonic::async_trait]
impl Follower for PeersFollower {
    async fn changed(&mut self, changes: Changes) -> Result<(), StoreError> {
        let mut now = self.peers.borrow().clone();
        for change in &changes.changes {
            match change {
                Change::Put(entry) => now.put(entry),
                Change::Deleted(key) => now.deleted(key),
            }
            match change {
                Change::Put(entry) if entry.key == LEADER => {
                    self.events.send_replace(Some(Event::KeyWritten(entry.revision)));
                }
                Change::Deleted(key) if key == LEADER => {
                    self.events.send_replace(Some(Event::KeyDeleted(changes.revision)));
                }
                Change::Put(_) | Change::Deleted(_) => {}
            }
        }
        self.show(now);
        Ok(())
    }

    async fn listed(&mut self, listing: Listing) -> Result<(), StoreError> {
        let leader = listing.entries.iter().find(|entry| entry.key == LEADER).map(|entry| entry.revision);
        self.events.send_replace(Some(match leader {
            Some(revision) => Event::KeyWritten(revision),
            None => Event::KeyDeleted(listing.revision),
        }));
        self.show(Peers::listed(&listing));
        Ok(())
    }
}
