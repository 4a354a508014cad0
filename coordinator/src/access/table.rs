//! The copy in memory, which callers are checked against.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::watch;
use udfleet_edge::auth::{Authenticator, FleetToken, LoginFailure, ParsedToken, Principal, PrincipalKind, TokenType};
use udfleet_edge::clock;
use udfleet_edge::identity::Identity;
use udfleet_proto::error::Error;
use udfleet_proto::v1::AccessRecord;

use super::record::{ACCESS, StoredToken, unix_now};
use crate::config::CertificateGrants;
use crate::store::{Change, Entry, Listing, Revision, SharedStore, StoreError};

/// How often it is looked whether a caller that stays would still be let in: tokens expire, and the fleet's file changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// All records, by kind and name.
#[derive(Debug, Clone, Default)]
pub(super) struct Records(HashMap<TokenType, HashMap<String, StoredToken>>);

impl Records {
    fn listed(listing: &Listing) -> Self {
        let mut records = Self::default();
        listing.entries.iter().for_each(|entry| records.put(entry));
        records
    }

    fn put(&mut self, entry: &Entry) {
        match StoredToken::decode(entry) {
            Ok((kind, stored)) => self.insert(kind, stored),
            // A token that can't be read lets nobody in.
            Err(error) => tracing::error!(%error, "a token is left out"),
        }
    }

    /// What is newer stays: changes made here come again with those that the store tells of.
    fn insert(&mut self, kind: TokenType, stored: StoredToken) {
        let all = self.0.entry(kind).or_default();
        if all.get(&stored.record.name).is_none_or(|known| known.revision < stored.revision) {
            all.insert(stored.record.name.clone(), stored);
        }
    }

    fn delete(&mut self, key: &str) {
        for (kind, all) in &mut self.0 {
            all.retain(|name, _| super::record::key(*kind, name) != key);
        }
    }

    pub fn get(&self, kind: TokenType, name: &str) -> Option<&StoredToken> {
        self.0.get(&kind)?.get(name)
    }

    pub fn of(&self, kind: TokenType) -> impl Iterator<Item = &StoredToken> {
        self.0.get(&kind).into_iter().flat_map(HashMap::values)
    }

    fn is_empty(&self) -> bool {
        self.0.values().all(HashMap::is_empty)
    }
}

/// Who may come in: the fleet's own token, and all that is stored.
pub struct AccessTable {
    pub(super) store: SharedStore,
    pub(super) fleet_token: Arc<FleetToken>,
    pub(super) certificates: CertificateGrants,
    records: ArcSwap<Records>,
    /// One change of this process at a time; other processes are met by conditions of transactions.
    pub(super) changes: tokio::sync::Mutex<()>,
    changed: watch::Sender<u64>,
}

impl AccessTable {
    /// Reads what is stored; also returns the revision from which to [`AccessTable::follow`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open(store: SharedStore, fleet_token: Arc<FleetToken>) -> Result<(Self, Revision), StoreError> {
        let listing = store.list(ACCESS).await?;
        let table = Self {
            store,
            fleet_token,
            certificates: CertificateGrants::default(),
            records: ArcSwap::from_pointee(Records::listed(&listing)),
            changes: tokio::sync::Mutex::default(),
            changed: watch::Sender::new(0),
        };
        Ok((table, listing.revision))
    }

    /// Lets callers in by their certificates too.
    #[must_use]
    pub fn granting(self, certificates: CertificateGrants) -> Self {
        Self { certificates, ..self }
    }

    pub(super) fn records(&self) -> arc_swap::Guard<Arc<Records>> {
        self.records.load()
    }

    /// True where nobody has to show anything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.fleet_token.is_set() && self.certificates.is_empty() && self.records().is_empty()
    }

    /// True where somebody can come in who may make tokens.
    pub(super) fn has_first_admin(&self) -> bool {
        self.fleet_token.is_set() || self.certificates.has_admin()
    }

    /// Tells of changes.
    fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Whether a caller that was let in would be let in now.
    ///
    /// # Errors
    /// Why not.
    fn recheck(&self, caller: &Arc<Principal>) -> Result<(), LoginFailure> {
        let kind = match caller.kind {
            PrincipalKind::Token => TokenType::Roles,
            PrincipalKind::JoinToken => TokenType::Join,
            PrincipalKind::Executor => TokenType::Executor,
            PrincipalKind::FleetToken if self.fleet_token.still_knows(caller) => return Ok(()),
            PrincipalKind::FleetToken => return Err(LoginFailure::Wrong),
            PrincipalKind::Anonymous if self.is_open() => return Ok(()),
            PrincipalKind::Anonymous => return Err(LoginFailure::Missing),
            // Tickets are for executors; what certificates grant is set at the start.
            PrincipalKind::Ticket | PrincipalKind::Certificate => return Ok(()),
        };
        self.records().get(kind, &caller.name).ok_or(LoginFailure::Wrong)?.check(unix_now())
    }

    /// Returns once a caller that was let in would not be let in any more: its token was revoked, has expired, or stands in the
    /// fleet's file no longer.
    pub async fn revoked(&self, caller: &Arc<Principal>) {
        let mut changes = self.watch();
        while self.recheck(caller).is_ok() {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = clock::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// All records, by name and kind, without their hashes.
    #[must_use]
    pub fn list(&self) -> Vec<AccessRecord> {
        let records = self.records();
        let all =
            [TokenType::Roles, TokenType::Join, TokenType::Executor].into_iter().flat_map(|kind| records.of(kind));
        let mut all: Vec<AccessRecord> = all.map(|stored| without_hash(&stored.record)).collect();
        all.sort_by(|a, b| (&a.name, a.kind).cmp(&(&b.name, b.kind)));
        all
    }

    /// Tenants of tokens that let somebody in.
    #[must_use]
    pub fn tenants(&self) -> Vec<String> {
        let (records, now) = (self.records(), unix_now());
        let valid = records.of(TokenType::Roles).filter(|stored| stored.ended(now).is_none());
        valid.map(|stored| stored.principal.tenant.clone()).collect()
    }

    /// All records as they are stored, for a backup.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn export(&self) -> Result<Vec<AccessRecord>, Error> {
        let records = Records::listed(&self.store.list(ACCESS).await?);
        let of = |kind| records.of(kind).map(|stored| stored.record.clone()).collect::<Vec<_>>();
        // Join tokens are for an hour or a day: no backup is restored that fast.
        Ok([of(TokenType::Roles), of(TokenType::Executor)].concat())
    }

    pub(super) fn take_in(&self, kind: TokenType, stored: StoredToken) {
        self.update(|records| records.insert(kind, stored.clone()));
    }

    pub(super) fn take_changes(&self, changes: &[Change]) {
        self.update(|records| {
            for change in changes {
                match change {
                    Change::Put(entry) => records.put(entry),
                    Change::Deleted(key) => records.delete(key),
                }
            }
        });
    }

    pub(super) fn take_listing(&self, listing: &Listing) {
        self.update(|records| *records = Records::listed(listing));
    }

    fn update(&self, change: impl Fn(&mut Records)) {
        self.records.rcu(|records| {
            let mut next = Records::clone(records);
            change(&mut next);
            next
        });
        self.changed.send_modify(|count| *count += 1);
    }
}

pub(super) fn without_hash(record: &AccessRecord) -> AccessRecord {
    let used = !record.used_for_sha256.is_empty();
    AccessRecord { secret_sha256: Bytes::new(), used_for_sha256: Bytes::new(), used, ..record.clone() }
}

impl Authenticator for AccessTable {
    fn of_certificate(&self, identity: &Identity) -> Option<Arc<Principal>> {
        self.certificates.caller(identity)
    }

    fn authenticate(&self, token: Option<&str>) -> Result<Arc<Principal>, LoginFailure> {
        let refused = |failure| if self.is_open() { Ok(self.fleet_token.anyone()) } else { Err(failure) };
        let Some(token) = token else { return refused(LoginFailure::Missing) };
        if let Some(holder) = self.fleet_token.holder(token) {
            return Ok(holder);
        }
        let Some(parsed) = ParsedToken::parse(token) else { return refused(LoginFailure::Wrong) };
        let records = self.records();
        match records.get(parsed.kind, parsed.name) {
            Some(stored) if stored.hash.matches(&parsed.hash) => {
                stored.check(unix_now())?;
                Ok(Arc::clone(&stored.principal))
            }
            _ => refused(LoginFailure::Wrong),
        }
    }
}
