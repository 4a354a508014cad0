//! Whether this coordinator leads, and the change from one leader to another: whoever begins to lead goes on from what
//! executors report, so that the change itself moves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::core::MembershipCore;
use super::held::HeldChanges;
use super::member::Member;
use crate::registry::CatalogChange;
use crate::store::Revision;

/// How long a new leader waits for executors that are known to live: longer than they pause between two tries to attach.
const GRACE: Duration = Duration::from_secs(6);

/// See the module.
#[derive(Debug, Default)]
pub(super) enum Leadership {
    /// Another leads, or nobody does.
    #[default]
    Follows,
    /// It leads, and does not know yet what these executors hold.
    Waits { term: Revision, awaited: BTreeSet<String>, until: Instant },
    /// It leads.
    Leads { term: Revision },
}

impl Leadership {
    /// Of a leader.
    pub fn term(&self) -> Option<Revision> {
        match self {
            Self::Follows => None,
            Self::Waits { term, .. } | Self::Leads { term } => Some(*term),
        }
    }

    /// Of a leader that tells executors what to hold.
    pub fn acting(&self) -> Option<Revision> {
        match self {
            Self::Follows | Self::Waits { .. } => None,
            Self::Leads { term } => Some(*term),
        }
    }

    /// True where the waiting ends now: all have come that were waited for, or they take too long.
    pub fn settle(&mut self, members: &BTreeMap<String, Member>, now: Instant) -> bool {
        let Self::Waits { term, awaited, until } = self else { return false };
        awaited.retain(|executor| members.get(executor).is_none_or(|member| !member.placeable()));
        if !awaited.is_empty() && now < *until {
            return false;
        }
        if !awaited.is_empty() {
            tracing::warn!(executors = ?awaited, "known to live, but not attached here: the leader goes on without them");
        }
        *self = Self::Leads { term: *term };
        true
    }
}

impl MembershipCore {
    /// Leads from now on, as soon as the executors in `awaited` have said what they hold.
    pub fn lead(&mut self, term: Revision, awaited: BTreeSet<String>, now: Instant) {
        self.leadership = Leadership::Waits { term, awaited, until: now + GRACE };
        self.leadership.settle(&self.members, now);
        self.tell_all();
        self.publish();
    }

    /// Leads no more: what executors report is what is known of their desired state.
    pub fn follow(&mut self) {
        self.leadership = Leadership::Follows;
        for member in self.members.values_mut() {
            self.looked_at += member.follow_reports(&self.catalog, &HeldChanges::default());
        }
        self.tell_all();
        self.publish();
    }

    /// Functions have been registered or dropped: the executors of which a follower knows something else now.
    pub(super) fn follow_catalog(&mut self, change: &CatalogChange<'_>) -> Vec<String> {
        if self.leadership.term().is_some() {
            return Vec::new();
        }
        let mut changed = Vec::new();
        for member in self.members.values_mut() {
            let before = Arc::clone(&member.desired);
            self.looked_at += member.follow_catalog(&self.catalog, change);
            if !member.desired.same(&before) {
                changed.push(member.id().to_owned());
            }
        }
        changed
    }

    /// An executor has said what it holds, for the first time since it attached or because that has changed.
    pub(super) fn take_held(&mut self, executor: &str, changes: &HeldChanges, now: Instant) {
        let Some(member) = self.members.get_mut(executor) else { return };
        let told_here = self.leadership.term().is_some_and(|term| member.is_told_in(term));
        if !told_here {
            self.looked_at += member.follow_reports(&self.catalog, changes);
            // What it has is where it is placed: it stays there unless a rule is broken.
            self.placer.hold(executor, member.desired.environments.iter().map(|(environment, _)| &**environment));
        }
        // Of what this leader has told it on this attach, it only says that it has heard.
        let untold = member.placeable() && !member.is_told();
        // Where another leads, what this changes is known.
        let revisable = !changes.completed && !member.draining && member.expected.is_some();
        if !told_here && revisable && self.leadership.acting().is_none() {
            // First: what it holds no more has to be explained.
            self.sync(executor);
            self.replan(&CatalogChange::default(), None);
        } else if !told_here || untold {
            self.executor_changed(executor);
        }
        if self.leadership.settle(&self.members, now) {
            self.tell_all();
        }
    }
}
