//! The end of registrations: who sees to one records how it ended, unless another coordinator has taken it over.
//!
//! A registration under way has a mark in the store that names its owner. Whoever ends it does so on condition that the mark
//! is still as it was read, with its own name: so of an owner that stood still and the coordinator that has taken over only
//! one decides. Taking over is the leader's: such a write is conditioned on its leadership too.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;
use udfleet_proto::error::Error;
use udfleet_proto::name::versioned;
use udfleet_proto::v1::{ErrorCode, FunctionDefinition};

use super::entries::{REGISTERING, counted, counter_key, function_key, parse, registering_key};
use super::{Function, Owner, RACES, Registry};
use crate::store::{Condition, Entry, StoreError, UnansweredWrites, Write};

/// What became of the record of a registration's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationEnd {
    /// It stands in the store.
    Recorded,
    /// Another coordinator sees to the registration now, and decides.
    TakenOver,
    /// The version is there no more: it was dropped, or another coordinator has removed it.
    Removed,
}

/// Registrations (`add@3`) that this process sees to.
#[derive(Debug, Default)]
pub(super) struct SeenTo(Mutex<BTreeSet<String>>);

/// A registration that may be this process's; without [`BeginningRegistration::keep`] it is not.
pub(super) struct BeginningRegistration<'r>(&'r SeenTo, String);

impl SeenTo {
    pub fn begin(&self, name: &str, version: u32) -> BeginningRegistration<'_> {
        let function = versioned(name, version);
        self.0.lock().insert(function.clone());
        BeginningRegistration(self, function)
    }

    pub fn end(&self, function: &str) {
        self.0.lock().remove(function);
    }

    fn has(&self, function: &str) -> bool {
        self.0.lock().contains(function)
    }
}

impl BeginningRegistration<'_> {
    pub fn keep(mut self) {
        self.1.clear();
    }
}

impl Drop for BeginningRegistration<'_> {
    fn drop(&mut self) {
        self.0.end(&self.1);
    }
}

/// Whose the mark of a registration is.
enum Mark {
    /// This process's, as it was read.
    Mine(Entry),
    Other,
    Gone,
}

impl Registry {
    async fn mark(&self, function: &Function) -> Result<Mark, StoreError> {
        let FunctionDefinition { name, version, .. } = &function.definition;
        Ok(match self.store.get(&registering_key(name, *version)).await? {
            None => Mark::Gone,
            Some(entry) if self.owns(&entry.value) => Mark::Mine(entry),
            Some(_) => Mark::Other,
        })
    }

    fn owns(&self, value: &[u8]) -> bool {
        serde_json::from_slice::<Owner>(value).is_ok_and(|owner| owner == self.owner)
    }

    /// True where the store holds this very version.
    async fn holds(&self, function: &Function) -> Result<bool, StoreError> {
        let FunctionDefinition { name, version, .. } = &function.definition;
        let held = self.store.get(&function_key(name, *version)).await?;
        Ok(held.and_then(|entry| super::decode(&entry)).is_some_and(|held| held.hash == function.hash))
    }

    /// A new version is being served: its registration has ended well.
    ///
    /// # Errors
    /// When the store fails: ask again.
    pub async fn settle(&self, function: &Function) -> Result<RegistrationEnd, Error> {
        let mut unanswered = UnansweredWrites::default();
        for _ in 0..RACES {
            let mine = match self.mark(function).await? {
                Mark::Mine(mine) => mine,
                Mark::Other => return Ok(self.ended(function, RegistrationEnd::TakenOver)),
                Mark::Gone => {
                    let end = match self.holds(function).await? {
                        true => RegistrationEnd::Recorded,
                        false => RegistrationEnd::Removed,
                    };
                    return Ok(self.ended(function, end));
                }
            };
            let as_read = Condition::unchanged(&mine.key, Some(mine.revision));
            let settled = self.store.transact(&[as_read], vec![Write::delete(&mine.key)]).await;
            if unanswered.again(settled)?.is_some() {
                return Ok(self.ended(function, RegistrationEnd::Recorded));
            }
        }
        Err(contended(function))
    }

    /// A registration has failed: the version is removed. Its number is given out again where nobody can have called
    /// it (`served` is false) and no later number was given out; otherwise it stays used up, so that `add@3` never
    /// means two things to a caller.
    ///
    /// # Errors
    /// When the store fails: ask again.
    pub async fn abandon(&self, function: &Function, served: bool) -> Result<RegistrationEnd, Error> {
        let _one = self.changes.lock().await;
        let FunctionDefinition { name, version, .. } = &function.definition;
        let (counter, key) = (counter_key(name), function_key(name, *version));
        let mut unanswered = UnansweredWrites::default();
        for _ in 0..RACES {
            let mine = match self.mark(function).await? {
                Mark::Mine(mine) => mine,
                Mark::Other => return Ok(self.ended(function, RegistrationEnd::TakenOver)),
                Mark::Gone => {
                    // Nobody else may have removed it: a removal that was not answered has done so.
                    if unanswered.any() && !self.holds(function).await? {
                        self.catalog.store(Arc::new(self.catalog().without(name, *version)));
                    }
                    return Ok(self.ended(function, RegistrationEnd::Removed));
                }
            };
            let mut conditions = vec![Condition::unchanged(&mine.key, Some(mine.revision))];
            let mut writes = vec![Write::delete(&key), Write::delete(&mine.key)];
            let last = self.store.get(&counter).await?;
            if let (false, Some(last)) = (served, last)
                && counted(Some(&last))? == *version
            {
                conditions.push(Condition::unchanged(&counter, Some(last.revision)));
                writes.push(match version - 1 {
                    0 => Write::delete(&counter),
                    before => Write::put(&counter, before.to_string()),
                });
            }
            if unanswered.again(self.store.transact(&conditions, writes).await)?.is_some() {
                self.catalog.store(Arc::new(self.catalog().without(name, *version)));
                return Ok(self.ended(function, RegistrationEnd::Recorded));
            }
        }
        Err(contended(function))
    }

    /// This process sees to it no more.
    fn ended(&self, function: &Function, end: RegistrationEnd) -> RegistrationEnd {
        self.seen_to.end(&function.name);
        end
    }

    /// Takes over the registrations that are under way whose owners `orphaned` names; `fence` has to hold for that. Those
    /// that an earlier call has taken over, and has not returned because the store failed, are among them.
    ///
    /// # Errors
    /// When the store fails: ask again.
    pub async fn take_over(
        &self,
        fence: Option<Condition>,
        orphaned: impl Fn(&Owner) -> bool,
    ) -> Result<Vec<Arc<Function>>, Error> {
        let mut functions = Vec::new();
        for entry in self.store.list(REGISTERING).await?.entries {
            let Some((name, version)) = parse(&entry.key, REGISTERING) else { continue };
            // One without a readable owner was written by a version that knew only one coordinator.
            let owner = serde_json::from_slice::<Owner>(&entry.value).ok();
            let forgotten = |owner: &Owner| *owner == self.owner && !self.seen_to.has(&versioned(name, version));
            if owner.is_some_and(|owner| !orphaned(&owner) && !forgotten(&owner)) {
                continue;
            }
            self.take_in(&function_key(name, version)).await?;
            let function = self.catalog().get(name, version).cloned();
            let mine = serde_json::to_vec(&self.owner).map_err(|e| Error::internal(format!("the owner: {e}")))?;
            let write = match function {
                Some(_) => Write::put(&entry.key, mine),
                None => Write::delete(&entry.key),
            };
            let as_read = Condition::unchanged(&entry.key, Some(entry.revision));
            let conditions: Vec<Condition> = fence.iter().cloned().chain([as_read]).collect();
            if self.store.transact(&conditions, vec![write]).await?.is_some() {
                functions.extend(function);
            }
        }
        functions
            .iter()
            .for_each(|function| self.seen_to.begin(&function.definition.name, function.definition.version).keep());
        Ok(functions)
    }
}

fn contended(function: &Function) -> Error {
    Error::new(ErrorCode::NoCapacity, format!("{}: too many changes at once", function.name)).hint("try again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MetaStore as _;
    use crate::store::silent::{SilentStore, Unanswered};

    async fn registry(store: &Arc<SilentStore>, coordinator: &str) -> Registry {
        let owner = Owner { coordinator: coordinator.to_owned(), incarnation: "1".to_owned() };
        Registry::open(store.clone(), owner).await.unwrap().0
    }

    fn definition() -> FunctionDefinition {
        FunctionDefinition { name: "add".to_owned(), ..Default::default() }
    }

    /// `a` has begun a registration, stood still past its lease, and `b` has taken it over.
    async fn taken_over() -> (Arc<SilentStore>, Registry, Registry, Arc<Function>) {
        let store = Arc::new(SilentStore::open().await);
        let (a, b) = (registry(&store, "a").await, registry(&store, "b").await);
        let (function, _) = a.register(definition()).await.unwrap();
        let taken = b.take_over(None, |owner| owner.coordinator == "a").await.unwrap();
        assert_eq!(taken.len(), 1);
        (store, a, b, function)
    }

    #[tokio::test]
    async fn who_has_lost_a_registration_to_another_decides_nothing() {
        let (store, a, b, function) = taken_over().await;
        assert_eq!(a.settle(&function).await.unwrap(), RegistrationEnd::TakenOver);
        assert_eq!(a.abandon(&function, false).await.unwrap(), RegistrationEnd::TakenOver);
        assert!(store.get("functions/add/1").await.unwrap().is_some() && a.catalog().get("add", 1).is_some());
        // Whatever the other one decides is what the first hears.
        assert_eq!(b.abandon(&function, true).await.unwrap(), RegistrationEnd::Recorded);
        assert_eq!(a.settle(&function).await.unwrap(), RegistrationEnd::Removed);

        let (_, a, b, function) = taken_over().await;
        assert_eq!(b.settle(&function).await.unwrap(), RegistrationEnd::Recorded);
        assert_eq!(a.abandon(&function, false).await.unwrap(), RegistrationEnd::Removed, "it is left alone");
        assert_eq!(a.settle(&function).await.unwrap(), RegistrationEnd::Recorded);
        assert!(b.holds(&function).await.unwrap());
    }

    #[tokio::test]
    async fn a_leader_that_leads_no_more_takes_nothing_over() {
        let store = Arc::new(SilentStore::open().await);
        let (a, b, c) = (registry(&store, "a").await, registry(&store, "b").await, registry(&store, "c").await);
        let (function, _) = a.register(definition()).await.unwrap();
        let lead = async |who: &str| {
            store.transact(&[], vec![Write::put("cluster/leader", who.to_owned())]).await.unwrap().unwrap()
        };
        let (stale, term) = (lead("b").await, lead("c").await);
        let fence = |term| Some(Condition::unchanged("cluster/leader", Some(term)));
        // What the stale leader had on its way when it stood still, over and over.
        for _ in 0..3 {
            assert!(b.take_over(fence(stale), |_| true).await.unwrap().is_empty());
            assert_eq!(b.settle(&function).await.unwrap(), RegistrationEnd::TakenOver);
        }
        assert_eq!(c.take_over(fence(term), |_| true).await.unwrap().len(), 1);
        assert!(b.take_over(fence(stale), |_| true).await.unwrap().is_empty());
        assert_eq!(c.settle(&function).await.unwrap(), RegistrationEnd::Recorded);
    }

    #[tokio::test]
    async fn an_end_that_was_not_answered_is_found_or_done() {
        for unanswered in [Unanswered::Happens, Unanswered::Lost, Unanswered::Late] {
            for ready in [true, false] {
                let store = Arc::new(SilentStore::open().await);
                let a = registry(&store, "a").await;
                let (function, _) = a.register(definition()).await.unwrap();
                store.leave_unanswered(unanswered);
                let end = if ready { a.settle(&function).await } else { a.abandon(&function, false).await };
                let done = matches!(end.unwrap(), RegistrationEnd::Recorded | RegistrationEnd::Removed);
                assert!(done && a.holds(&function).await.unwrap() == ready, "{unanswered:?}");
                assert_eq!(a.catalog().get("add", 1).is_some(), ready);
                if let Some((conditions, writes)) = store.take_late() {
                    assert_eq!(store.transact(&conditions, writes).await.unwrap(), None, "it comes too late");
                }
            }
        }
    }

    #[tokio::test]
    async fn what_was_taken_over_without_an_answer_is_seen_to_all_the_same() {
        for unanswered in [Unanswered::Happens, Unanswered::Lost] {
            let store = Arc::new(SilentStore::open().await);
            let (a, b) = (registry(&store, "a").await, registry(&store, "b").await);
            for name in ["add", "sub"] {
                a.register(FunctionDefinition { name: name.to_owned(), ..Default::default() }).await.unwrap();
            }
            let orphaned = |owner: &Owner| owner.coordinator == "a";
            store.leave_unanswered(unanswered);
            b.take_over(None, orphaned).await.unwrap_err();
            let taken = b.take_over(None, orphaned).await.unwrap();
            assert_eq!(taken.len(), 2, "{unanswered:?}");
            assert!(b.take_over(None, orphaned).await.unwrap().is_empty(), "once");
        }
    }

    #[tokio::test]
    async fn drops_and_restores_that_were_not_answered_are_told_rightly() {
        for unanswered in [Unanswered::Happens, Unanswered::Lost] {
            let store = Arc::new(SilentStore::open().await);
            let a = registry(&store, "a").await;
            let restored = FunctionDefinition { version: 3, ..definition() };
            store.leave_unanswered(unanswered);
            assert!(!a.import(restored.clone(), false).await.unwrap(), "it was this call that restored it");
            assert!(a.catalog().get("add", 3).is_some());
            assert!(a.import(restored, false).await.unwrap(), "now it is there already");
            store.leave_unanswered(unanswered);
            a.import_counter("add", 7).await.unwrap();
            store.leave_unanswered(unanswered);
            let dropped = a.drop_function(&udfleet_proto::name::FunctionRef::parse("add").unwrap()).await.unwrap();
            assert_eq!(dropped.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["add@3"]);
            assert!(store.list("functions/").await.unwrap().entries.is_empty());
            assert_eq!(a.register(definition()).await.unwrap().0.name, "add@8");
        }
    }

    #[tokio::test]
    async fn a_store_that_stays_silent_ends_the_wait() {
        let store = Arc::new(SilentStore::open().await);
        let a = registry(&store, "a").await;
        let (function, _) = a.register(definition()).await.unwrap();
        (0..16).for_each(|_| store.leave_unanswered(Unanswered::Lost));
        assert!(a.settle(&function).await.unwrap_err().code().retryable());
    }
}
