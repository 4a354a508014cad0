//! What the leader of the coordinators wants held here: references, put together from the messages in which they come.
//! Pure.

use std::sync::Arc;

use udfleet_edge::tracked::TrackedMap;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{DesiredState, ErrorCode, FunctionReference};

/// What this node shall hold, as of one revision. A copy costs nothing, and what differs from an earlier state is known without
/// comparing all of both.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// Of the leader that sent it.
    pub term: u64,
    /// Of the leader.
    pub revision: u64,
    /// Finish what runs, take nothing new.
    pub draining: bool,
    /// Interpreters by environment; 0: as many as the node thinks fit.
    pub environments: TrackedMap<String, u32>,
    /// By `name@version`.
    pub functions: TrackedMap<String, Arc<FunctionReference>>,
}

impl Desired {
    /// True where this is newer than what is held: a leader that does not know yet that another leads is refused, over
    /// whatever attachment its messages come and however late.
    #[must_use]
    pub fn supersedes(&self, held: &Self) -> bool {
        (self.term, self.revision) > (held.term, held.revision)
    }
}

/// Puts the messages of one attachment together.
#[derive(Debug, Default)]
pub struct DesiredFeed {
    held: Desired,
    /// What has come of a revision of which more is to come.
    coming: Option<Desired>,
}

impl DesiredFeed {
    /// Takes in one message; the whole once a revision is complete.
    ///
    /// # Errors
    /// `INTERNAL` for one that does not go on from what came before: attach anew, and all comes again.
    pub fn take(&mut self, message: DesiredState) -> Result<Option<Desired>, Error> {
        let mut next = match self.coming.take() {
            Some(coming) if (coming.term, coming.revision) == (message.term, message.revision) => coming,
            Some(coming) => return Err(out_of_order(message.revision, coming.revision)),
            None if message.base == 0 => Desired::default(),
            None if message.base == self.held.revision => self.held.clone(),
            None => return Err(out_of_order(message.base, self.held.revision)),
        };
        (next.term, next.revision) = (message.term, message.revision);
        next.draining = message.draining;
        for hash in &message.removed_environments {
            next.environments.remove(hash);
        }
        for name in &message.removed_functions {
            next.functions.remove(name);
        }
        next.environments.extend(message.environments.into_iter().map(|e| (e.hash, e.interpreters)));
        next.functions.extend(message.functions.into_iter().map(|f| (f.function.clone(), Arc::new(f))));
        if message.more {
            self.coming = Some(next);
            return Ok(None);
        }
        self.held = next.clone();
        Ok(Some(next))
    }
}

fn out_of_order(came: u64, held: u64) -> Error {
    Error::new(ErrorCode::Internal, format!("desired state of revision {came} came where {held} is held"))
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::EnvironmentReference;

    use super::*;

    fn functions(names: &[&str]) -> Vec<FunctionReference> {
        let reference = |name: &&str| FunctionReference { function: (*name).to_owned(), ..Default::default() };
        names.iter().map(reference).collect()
    }

    fn names(desired: Option<Desired>) -> Vec<String> {
        desired.expect("complete").functions.keys().cloned().collect()
    }

    #[test]
    fn changes_build_on_what_is_held_and_a_base_of_0_begins_anew() {
        let mut feed = DesiredFeed::default();
        let whole = DesiredState {
            revision: 5,
            functions: functions(&["f@1", "g@1"]),
            environments: vec![EnvironmentReference { hash: "e".to_owned(), interpreters: 2 }],
            ..Default::default()
        };
        assert_eq!(names(feed.take(whole.clone()).unwrap()), ["f@1", "g@1"]);
        let change = DesiredState {
            revision: 7,
            base: 5,
            functions: functions(&["h@1"]),
            removed_functions: vec!["g@1".to_owned()],
            draining: true,
            ..Default::default()
        };
        let desired = feed.take(change.clone()).unwrap();
        assert_eq!(
            desired.as_ref().map(|d| (d.revision, d.draining, d.environments.get("e").copied())),
            Some((7, true, Some(2)))
        );
        assert_eq!(names(desired), ["f@1", "h@1"]);
        assert!(feed.take(change).is_err(), "it builds on what is no longer held");
        assert_eq!(names(feed.take(DesiredState { revision: 9, ..whole }).unwrap()), ["f@1", "g@1"]);
    }

    #[test]
    fn only_a_newer_term_or_revision_supersedes() {
        let at = |term: u64, revision: u64| Desired { term, revision, ..Desired::default() };
        assert!(at(1, 1).supersedes(&Desired::default()));
        assert!(at(3, 2).supersedes(&at(3, 1)) && at(4, 1).supersedes(&at(3, 9)));
        assert!(!at(3, 9).supersedes(&at(4, 1)), "a stale leader's, however many changes it has made");
        assert!(!at(3, 1).supersedes(&at(3, 1)) && !at(3, 1).supersedes(&at(3, 2)));
    }

    #[test]
    fn a_revision_counts_once_all_of_it_is_here() {
        let mut feed = DesiredFeed::default();
        let part = |revision: u64, name: &str, more: bool| DesiredState {
            revision,
            functions: functions(&[name]),
            more,
            ..Default::default()
        };
        assert!(feed.take(part(3, "f@1", true)).unwrap().is_none());
        assert!(feed.take(part(3, "g@1", true)).unwrap().is_none());
        assert_eq!(names(feed.take(part(3, "h@1", false)).unwrap()), ["f@1", "g@1", "h@1"]);
        assert!(feed.take(part(4, "f@1", true)).unwrap().is_none());
        assert!(feed.take(part(5, "f@1", false)).is_err());
    }
}
