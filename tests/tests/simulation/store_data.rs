//! A linearizable store with revisions, leases and a history that can be compacted: what etcd holds.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use udfleet_coordinator::leader::LEADER;
use udfleet_coordinator::store::{Change, Changes, Condition, Entry, LeaseId, Listing, Revision, StoreError, Write};
use udfleet_edge::clock;

use super::plant::PlantedBug;
use super::trace::Trace;

struct HeldEntry {
    value: Bytes,
    revision: Revision,
    lease: Option<LeaseId>,
}

struct Lease {
    ttl: Duration,
    until: Instant,
}

/// See the module.
pub struct StoreData {
    trace: Arc<Trace>,
    planted: PlantedBug,
    revision: Revision,
    entries: BTreeMap<String, HeldEntry>,
    history: VecDeque<Changes>,
    /// Changes up to here are no longer kept.
    compacted: Revision,
    leases: BTreeMap<LeaseId, Lease>,
    last_lease: LeaseId,
    changed: watch::Sender<Revision>,
}

impl StoreData {
    pub fn new(trace: Arc<Trace>, planted: PlantedBug) -> Self {
        Self {
            trace,
            planted,
            revision: 0,
            entries: BTreeMap::new(),
            history: VecDeque::new(),
            compacted: 0,
            leases: BTreeMap::new(),
            last_lease: 0,
            changed: watch::channel(0).0,
        }
    }

    pub fn changes(&self) -> watch::Receiver<Revision> {
        self.changed.subscribe()
    }

    pub fn get(&self, key: &str) -> Option<Entry> {
        let held = self.entries.get(key)?;
        Some(Entry { key: key.to_owned(), value: held.value.clone(), revision: held.revision })
    }

    pub fn list(&self, prefix: &str) -> Listing {
        let keys = self.entries.keys().filter(|key| key.starts_with(prefix));
        Listing { entries: keys.filter_map(|key| self.get(key)).collect(), revision: self.revision }
    }

    /// Of the leader's key.
    pub fn term(&self) -> Option<Revision> {
        self.entries.get(LEADER).map(|held| held.revision)
    }

    pub fn transact(
        &mut self,
        who: &str,
        conditions: &[Condition],
        writes: Vec<Write>,
    ) -> Result<Option<Revision>, StoreError> {
        self.expire();
        if let Some(gone) = writes.iter().find_map(|write| self.lost_lease(write)) {
            return Err(StoreError::NoLease(gone));
        }
        let elects = writes.iter().any(|write| write.key() == LEADER);
        let ignored =
            |condition: &&Condition| self.planted == PlantedBug::FencingOff && condition.key == LEADER && !elects;
        let holds = |condition: &Condition| condition.holds(self.entries.get(&condition.key).map(|e| e.revision));
        if !conditions.iter().filter(|condition| !ignored(condition)).all(holds) {
            return Ok(None);
        }
        if let Some(fence) = conditions.iter().find(|condition| condition.key == LEADER && !holds(condition)) {
            let term = self.term();
            self.trace.violated(format!("a write of {who} on {:?} took effect in term {term:?}", fence.expected));
        }
        self.revision += 1;
        let names: Vec<&str> = writes.iter().map(Write::key).collect();
        self.trace.note(format!("store: revision {} by {who}: {}", self.revision, names.join(" ")));
        let changes = writes.into_iter().filter_map(|write| self.write(write)).collect();
        self.publish(changes);
        Ok(Some(self.revision))
    }

    fn lost_lease(&self, write: &Write) -> Option<LeaseId> {
        match write {
            Write::Put { lease: Some(lease), .. } if !self.leases.contains_key(lease) => Some(*lease),
            Write::Put { .. } | Write::Delete(_) => None,
        }
    }

    fn write(&mut self, write: Write) -> Option<Change> {
        match write {
            Write::Put { key, value, lease } => {
                let revision = self.revision;
                self.entries.insert(key.clone(), HeldEntry { value: value.clone(), revision, lease });
                Some(Change::Put(Entry { key, value, revision }))
            }
            Write::Delete(key) => self.entries.remove(&key).map(|_| Change::Deleted(key)),
        }
    }

    fn publish(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.history.push_back(Changes { revision: self.revision, changes });
            self.changed.send_replace(self.revision);
        }
    }

    /// Ends leases whose time is over.
    pub fn expire(&mut self) {
        let now = clock::now();
        let over: Vec<LeaseId> =
            self.leases.iter().filter(|(_, lease)| lease.until <= now).map(|(id, _)| *id).collect();
        over.into_iter().for_each(|lease| self.end(lease));
    }

    pub fn end(&mut self, lease: LeaseId) {
        if self.leases.remove(&lease).is_none() {
            return;
        }
        let keys: Vec<String> =
            self.entries.iter().filter(|(_, held)| held.lease == Some(lease)).map(|(key, _)| key.clone()).collect();
        self.trace.note(format!("store: lease {lease} ends: {}", keys.join(" ")));
        if !keys.is_empty() {
            self.revision += 1;
            let changes = keys.into_iter().filter_map(|key| self.write(Write::Delete(key))).collect();
            self.publish(changes);
        }
    }

    pub fn grant(&mut self, ttl: Duration) -> LeaseId {
        self.last_lease += 1;
        self.leases.insert(self.last_lease, Lease { ttl, until: clock::now() + ttl });
        self.last_lease
    }

    pub fn keep_alive(&mut self, id: LeaseId) -> Result<(), StoreError> {
        self.expire();
        let lease = self.leases.get_mut(&id).ok_or(StoreError::NoLease(id))?;
        lease.until = clock::now() + lease.ttl;
        Ok(())
    }

    pub fn compact(&mut self) {
        self.compacted = self.revision;
        self.history.clear();
        self.trace.note(format!("store: compacted up to revision {}", self.compacted));
    }

    /// The first changes under a prefix after a revision.
    pub fn next(&self, prefix: &str, after: Revision) -> Result<Option<Changes>, StoreError> {
        if after < self.compacted {
            return Err(StoreError::Compacted(after));
        }
        let newer = self.history.iter().filter(|changes| changes.revision > after);
        let concerned = |changes: &Changes| {
            let mut changes = changes.clone();
            changes.changes.retain(|change| change.key().starts_with(prefix));
            (!changes.changes.is_empty()).then_some(changes)
        };
        Ok(newer.filter_map(concerned).next())
    }
}
