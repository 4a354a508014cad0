//! The rolling restart of an environment's interpreters: one after the other, each once its calls have ended, and the next
//! one only when the new one serves. New ones see secrets as they are now.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use udfleet_proto::error::Error;
use udfleet_proto::v1::RestartedEnvironment;

use super::EnvironmentState;

/// Asks for a rolling restart.
#[derive(Clone)]
pub struct RestartWish {
    /// True for functions, as `name@version`, whose interpreters are to be replaced.
    pub includes: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// Gets one message for each environment that such functions have; closed after the last.
    pub done: UnboundedSender<RestartedEnvironment>,
}

impl fmt::Debug for RestartWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RestartWish")
    }
}

/// What is still to be replaced.
#[derive(Debug)]
pub(super) struct Renewal {
    /// Slots whose interpreters are to be replaced.
    slots: BTreeSet<u32>,
    /// The one that was replaced last.
    newest: Option<u32>,
    /// Functions that the interpreter before that one had loaded, by their numbers.
    expected: BTreeSet<u32>,
    /// The one that takes no new calls, because it is the next to go.
    retiring: Option<u32>,
    replaced: u32,
    done: Vec<UnboundedSender<RestartedEnvironment>>,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
enum RenewalStep {
    /// The new interpreter does not serve yet.
    Wait,
    /// The interpreter of this slot is to go.
    Replace(u32),
    /// All are new.
    Finish,
}

impl Renewal {
    fn new() -> Self {
        let (slots, expected) = (BTreeSet::new(), BTreeSet::new());
        Self { slots, newest: None, expected, retiring: None, replaced: 0, done: Vec::new() }
    }

    /// `exists`: the slot has an interpreter; `serves`: it takes calls of all functions.
    fn step(&mut self, exists: impl Fn(u32) -> bool, serves: impl Fn(u32) -> bool) -> RenewalStep {
        // One that has ended by itself has a new one already, or is not needed.
        self.slots.retain(|slot| exists(*slot));
        if self.newest.is_some_and(|slot| !serves(slot)) {
            return RenewalStep::Wait;
        }
        self.slots.first().map_or(RenewalStep::Finish, |slot| RenewalStep::Replace(*slot))
    }

    /// `loaded`: what the interpreter that goes had loaded.
    fn replaced(&mut self, slot: u32, loaded: BTreeSet<u32>) {
        self.slots.remove(&slot);
        self.newest = Some(slot);
        self.expected = loaded;
        self.retiring = None;
        self.replaced += 1;
    }

    /// True where the newest interpreter can't load what the one before it could.
    fn is_broken_by(&self, slot: u32, function: u32) -> bool {
        self.newest == Some(slot) && self.expected.contains(&function)
    }
}

impl EnvironmentState {
    /// All interpreters that are here now are to be replaced, if the wish is about their functions.
    pub(super) fn begin_renewal(&mut self, wish: RestartWish) {
        if !self.wanted.functions.keys().any(|function| (wish.includes)(function)) {
            return;
        }
        let renewal = self.renewal.get_or_insert_with(Renewal::new);
        // Spares come and go by themselves.
        renewal.slots.extend(self.interpreters.keys().filter(|slot| **slot < self.scaler.target()));
        renewal.done.push(wish.done);
        tracing::info!(environment = self.hash, interpreters = renewal.slots.len(), "rolling restart");
    }

    /// Goes one step on; true where an interpreter is to be started.
    pub(super) fn renew(&mut self) -> bool {
        let Some(renewal) = &mut self.renewal else { return false };
        let (interpreters, roster) = (&self.interpreters, &self.roster);
        match renewal.step(|slot| interpreters.contains_key(&slot), |slot| roster.is_complete(slot)) {
            RenewalStep::Wait => {
                // The newest one has ended: what was to go next serves meanwhile.
                let kept = renewal.retiring.take();
                self.reinstate(kept);
                false
            }
            RenewalStep::Finish => {
                self.end_renewal(None);
                false
            }
            RenewalStep::Replace(slot) => {
                // It takes no new calls meanwhile.
                let busy = self.in_service.get(&slot).is_some_and(|old| !self.pool.retire(old.pid(), Duration::ZERO));
                if busy {
                    renewal.retiring = Some(slot);
                    return false;
                }
                renewal.replaced(slot, self.roster.loaded_in(slot));
                self.roster.remove_slot(slot);
                self.in_service.remove(&slot);
                self.told.remove(&slot);
                if let Some(old) = self.interpreters.remove(&slot) {
                    old.stop(None);
                }
                true
            }
        }
    }

    /// A new interpreter does not start: the others go on as they are.
    pub(super) fn renewal_failed(&mut self, slot: u32, error: &Error) {
        if self.renewal.as_ref().is_some_and(|renewal| renewal.newest == Some(slot)) {
            self.end_renewal(Some(error));
        }
    }

    /// A new interpreter can't load a function that the one before it had loaded: the others go on as they are.
    pub(super) fn renewal_refused(&mut self, slot: u32, function: u32, error: &Error) {
        if self.renewal.as_ref().is_some_and(|renewal| renewal.is_broken_by(slot, function)) {
            self.end_renewal(Some(error));
        }
    }

    fn reinstate(&self, slot: Option<u32>) {
        if let Some(kept) = slot.and_then(|slot| self.in_service.get(&slot)) {
            self.pool.reinstate(kept.pid());
        }
    }

    fn end_renewal(&mut self, error: Option<&Error>) {
        let Some(renewal) = self.renewal.take() else { return };
        self.reinstate(renewal.retiring);
        let outcome = RestartedEnvironment {
            environment: self.hash.clone(),
            replaced: renewal.replaced,
            error: error.map(|error| error.clone().into_info()),
            ..RestartedEnvironment::default()
        };
        for done in renewal.done {
            // Who asked may be gone.
            let _ = done.send(outcome.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_after_the_other_and_only_when_the_new_one_serves() {
        let mut renewal = Renewal { slots: BTreeSet::from([0, 1, 2]), ..Renewal::new() };
        assert_eq!(renewal.step(|_| true, |_| true), RenewalStep::Replace(0));
        renewal.replaced(0, BTreeSet::from([7]));
        assert!(renewal.is_broken_by(0, 7));
        assert!(!renewal.is_broken_by(0, 8), "it never worked");
        assert!(!renewal.is_broken_by(1, 7), "another one");
        assert_eq!(renewal.step(|slot| slot != 0, |slot| slot != 0), RenewalStep::Wait);
        assert_eq!(renewal.step(|_| true, |slot| slot != 0), RenewalStep::Wait);
        // Slot 1 has ended by itself.
        assert_eq!(renewal.step(|slot| slot != 1, |_| true), RenewalStep::Replace(2));
        renewal.replaced(2, BTreeSet::new());
        assert_eq!(renewal.step(|_| true, |_| true), RenewalStep::Finish);
        assert_eq!(renewal.replaced, 2);
    }
}
