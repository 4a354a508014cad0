//! What the store holds of an executor: whose epoch it is and whether it drains, and who claims to have it attached.

use serde::{Deserialize, Serialize};
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, Hello};

use super::message::Origin;
use crate::store::{Condition, LeaseId, Revision, SharedStore, StoreError, UnansweredWrites, Write};

const RACES: usize = 32;
/// `executors/ID`: a [`Record`].
pub(super) const EXECUTORS: &str = "executors/";
/// `claims/ID/COORDINATOR`: a [`Claim`], there while that coordinator holds its lease.
pub(super) const CLAIMS: &str = "claims/";

/// What is remembered of an executor over restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Grows with each process that serves under the id.
    pub epoch: u64,
    pub draining: bool,
    /// The process that the epoch was given to.
    #[serde(default)]
    pub incarnation: String,
}

/// Says that a coordinator has a process of an executor attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub incarnation: String,
    /// Where the process serves.
    pub address: String,
    /// Where its connection comes from.
    pub from: String,
    /// RFC 3339.
    pub since: String,
}

impl Claim {
    pub fn new(hello: &Hello, origin: &Origin) -> Self {
        Self {
            incarnation: hello.incarnation.clone(),
            address: hello.address.clone(),
            from: origin.address.map_or_else(String::new, |address| address.to_string()),
            since: humantime::format_rfc3339_seconds(origin.since).to_string(),
        }
    }

    /// The refusal of another process that wants the same id.
    pub fn id_is_taken(&self, id: &str) -> Error {
        let Self { address, from, since, .. } = self;
        let from = if from.is_empty() { String::new() } else { format!(" from {from}") };
        let message = format!(
            "executor id {id:?} is taken: the executor that serves at {address} has been attached under it{from} since {since}"
        );
        Error::new(ErrorCode::InvalidConfig, message).hint(
            "give each executor an id of its own (--id), or stop the other one; one that has died is forgotten after the \
             coordinator's executor_timeout",
        )
    }

    pub fn write(&self, executor: &str, coordinator: &str, lease: LeaseId) -> Write {
        // A plain struct of texts: that it can't be written does not happen.
        Write::leased(claim_key(executor, coordinator), serde_json::to_vec(self).unwrap_or_default(), lease)
    }
}

pub(super) fn claim_key(executor: &str, coordinator: &str) -> String {
    format!("{CLAIMS}{executor}/{coordinator}")
}

/// Executor and coordinator of a claim's key.
pub(super) fn parse_claim_key(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix(CLAIMS)?.split_once('/')
}

fn broken(key: &str) -> impl Fn(serde_json::Error) -> Error {
    move |e| Error::internal(format!("{key}: {e}"))
}

/// Lets a process serve under its id, on behalf of one coordinator: the same process has the same epoch at all of them,
/// another one the next, once no coordinator claims the one before.
///
/// Each admission writes the record, so that of two at once one sees what the other has done.
pub(super) async fn admit(
    store: &SharedStore,
    hello: &Hello,
    claim: &Claim,
    coordinator: &str,
    lease: Option<LeaseId>,
) -> Result<(Revision, Record), Error> {
    let key = format!("{EXECUTORS}{}", hello.executor);
    let mut unanswered = UnansweredWrites::default();
    for _ in 0..RACES {
        let (mut record, condition) = read(store, &key).await?;
        if record.epoch == 0 || record.incarnation != hello.incarnation {
            // This coordinator knows better whom it has attached than what it has written of it.
            if let Some(other) = claimed(store, &hello.executor, coordinator, &hello.incarnation).await? {
                return Err(other.id_is_taken(&hello.executor));
            }
            record.epoch += 1;
            record.incarnation.clone_from(&hello.incarnation);
        }
        let mut writes = vec![Write::put(&key, serde_json::to_vec(&record).map_err(broken(&key))?)];
        writes.extend(lease.map(|lease| claim.write(&hello.executor, coordinator, lease)));
        match unanswered.again(store.transact(&[condition], writes).await) {
            Ok(Some(revision)) => return Ok((revision, record)),
            Ok(None) => {}
            Err(StoreError::NoLease(_)) => {
                return Err(Error::new(ErrorCode::NoCapacity, "this coordinator's lease has just ended")
                    .hint("try again in a moment"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::new(ErrorCode::NoCapacity, format!("{key}: too many changes at once")).hint("try again"))
}

async fn read(store: &SharedStore, key: &str) -> Result<(Record, Condition), Error> {
    let held = store.get(key).await?;
    let record = match &held {
        Some(entry) => serde_json::from_slice(&entry.value).map_err(broken(key))?,
        None => Record::default(),
    };
    Ok((record, Condition::unchanged(key, held.map(|entry| entry.revision))))
}

/// The claim of another coordinator on another process.
async fn claimed(
    store: &SharedStore,
    executor: &str,
    coordinator: &str,
    incarnation: &str,
) -> Result<Option<Claim>, Error> {
    let listing = store.list(&format!("{CLAIMS}{executor}/")).await?;
    let others = listing.entries.iter().filter(|entry| entry.key != claim_key(executor, coordinator));
    let mut claims = others.filter_map(|entry| serde_json::from_slice::<Claim>(&entry.value).ok());
    Ok(claims.find(|claim| claim.incarnation != incarnation))
}

/// Executors that some coordinator has attached.
pub(super) async fn all_claimed(store: &SharedStore) -> Result<std::collections::BTreeSet<String>, StoreError> {
    let listing = store.list(CLAIMS).await?;
    Ok(listing.entries.iter().filter_map(|entry| Some(parse_claim_key(&entry.key)?.0.to_owned())).collect())
}

/// Takes an executor out of service, or back in; what is remembered of it then.
pub(super) async fn set_draining(
    store: &SharedStore,
    executor: &str,
    draining: bool,
) -> Result<(Revision, Record), Error> {
    let key = format!("{EXECUTORS}{executor}");
    let mut unanswered = UnansweredWrites::default();
    for _ in 0..RACES {
        let (mut record, condition) = read(store, &key).await?;
        record.draining = draining;
        let write = Write::put(&key, serde_json::to_vec(&record).map_err(broken(&key))?);
        if let Some(revision) = unanswered.again(store.transact(&[condition], vec![write]).await)? {
            return Ok((revision, record));
        }
    }
    Err(Error::new(ErrorCode::NoCapacity, format!("{key}: too many changes at once")).hint("try again"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::silent::{SilentStore, Unanswered};

    #[tokio::test]
    async fn a_drain_that_was_not_answered_is_found_or_done() {
        for unanswered in [Unanswered::Happens, Unanswered::Lost, Unanswered::Late] {
            let silent = Arc::new(SilentStore::open().await);
            let store: SharedStore = silent.clone();
            let hello = Hello { executor: "e1".to_owned(), incarnation: "1".to_owned(), ..Hello::default() };
            let claim = Claim {
                incarnation: "1".to_owned(),
                address: String::new(),
                from: String::new(),
                since: String::new(),
            };
            silent.leave_unanswered(unanswered);
            let (_, record) = admit(&store, &hello, &claim, "c", None).await.unwrap();
            assert_eq!(record.epoch, 1, "one process has one epoch");
            drop(silent.take_late());
            silent.leave_unanswered(unanswered);
            let (_, record) = set_draining(&store, "e1", true).await.unwrap();
            assert!(record.draining);
            set_draining(&store, "e1", false).await.unwrap();
            if let Some((conditions, writes)) = silent.take_late() {
                assert_eq!(store.transact(&conditions, writes).await.unwrap(), None, "it comes too late");
            }
            assert!(!read(&store, "executors/e1").await.unwrap().0.draining);
        }
    }
}
