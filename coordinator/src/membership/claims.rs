//! Keeps what this coordinator claims in the store as what it has attached: under its lease, anew after each new one.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use udfleet_edge::clock;

use super::record::{Claim, claim_key};
use crate::leader::Standing;
use crate::store::{LeaseId, MAX_OPERATIONS, SharedStore, StoreError, Write};

const PAUSE: Duration = Duration::from_millis(250);

/// By executor.
pub(super) type Claims = BTreeMap<String, Claim>;

/// See the module.
pub(super) struct ClaimKeeper {
    pub store: SharedStore,
    /// Id of this coordinator.
    pub coordinator: String,
    /// What it has attached.
    pub wanted: watch::Receiver<Claims>,
    pub standing: watch::Receiver<Standing>,
    /// Executors of which something else may have been written.
    pub doubtful: mpsc::UnboundedReceiver<String>,
}

/// What the store holds of this coordinator's claims; `None`: not known.
#[derive(Default)]
struct Written {
    lease: Option<LeaseId>,
    claims: BTreeMap<String, Option<Claim>>,
}

impl ClaimKeeper {
    /// Runs until the coordinator stops.
    pub async fn run(mut self) {
        let mut written = Written::default();
        loop {
            let done = self.write(&mut written).await;
            if let Err(error) = &done {
                tracing::debug!(%error, "claims on executors");
            }
            tokio::select! {
                biased;
                changed = self.wanted.changed() => if changed.is_err() { return },
                changed = self.standing.changed() => if changed.is_err() { return },
                Some(executor) = self.doubtful.recv() => drop(written.claims.insert(executor, None)),
                () = clock::sleep(PAUSE), if done.is_err() => {}
            }
        }
    }

    async fn write(&mut self, written: &mut Written) -> Result<(), StoreError> {
        let lease = self.standing.borrow_and_update().lease;
        let wanted = self.wanted.borrow_and_update().clone();
        let Some(lease) = lease else { return Ok(()) };
        if written.lease != Some(lease) {
            // Those under the last lease may be gone, and are to be. What an earlier run of this coordinator has left ends
            // with its lease: until then the next leader knows by it which executors live.
            written.claims.values_mut().for_each(|claim| *claim = None);
        }
        let changes = differences(&wanted, &written.claims);
        for changes in changes.chunks(MAX_OPERATIONS) {
            let write = |(executor, claim): &(String, Option<Claim>)| match claim {
                Some(claim) => claim.write(executor, &self.coordinator, lease),
                None => Write::delete(claim_key(executor, &self.coordinator)),
            };
            self.store.transact(&[], changes.iter().map(write).collect()).await?;
            for (executor, claim) in changes {
                match claim {
                    Some(claim) => drop(written.claims.insert(executor.clone(), Some(claim.clone()))),
                    None => drop(written.claims.remove(executor)),
                }
            }
        }
        written.lease = Some(lease);
        Ok(())
    }
}

/// What has to be written, or (`None`) deleted.
fn differences(wanted: &Claims, written: &BTreeMap<String, Option<Claim>>) -> Vec<(String, Option<Claim>)> {
    let put = wanted.iter().filter(|(executor, claim)| written.get(*executor) != Some(&Some((*claim).clone())));
    let put = put.map(|(executor, claim)| (executor.clone(), Some(claim.clone())));
    let gone = written.keys().filter(|executor| !wanted.contains_key(*executor));
    put.chain(gone.map(|executor| (executor.clone(), None))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(incarnation: &str) -> Claim {
        Claim { incarnation: incarnation.to_owned(), address: String::new(), from: String::new(), since: String::new() }
    }

    #[test]
    fn only_what_differs_is_written() {
        let wanted: Claims = [("a", "1"), ("b", "2"), ("c", "1")].map(|(e, i)| (e.to_owned(), claim(i))).into();
        let written = [("a", Some("1")), ("b", Some("1")), ("c", None), ("d", Some("1")), ("e", None)];
        let written = written.map(|(e, i)| (e.to_owned(), i.map(claim))).into();
        let changes = differences(&wanted, &written);
        let named: Vec<_> = changes.iter().map(|(executor, claim)| (executor.as_str(), claim.is_some())).collect();
        assert_eq!(named, [("b", true), ("c", true), ("d", false), ("e", false)]);
    }
}
