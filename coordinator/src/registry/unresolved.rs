//! Registrations that the store did not answer: whether they happened is found out once it is back.

use std::sync::Arc;

use udfleet_proto::error::Error;
use udfleet_proto::v1::FunctionDefinition;

use super::entries::{counted, counter_key, decode, function_key};
use super::{Function, Registry};
use crate::store::{Condition, Revision, StoreError, Write};

/// Why a definition could not be registered.
#[derive(Debug)]
pub enum RegisterError {
    /// It is not stored.
    Failed(Error),
    /// It may be stored, or become so: what to tell the caller, and what has to be seen to.
    Unresolved(Error, Box<UnresolvedRegistration>),
}

impl From<Error> for RegisterError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for RegisterError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// A definition on its way into the store.
#[derive(Debug, Clone)]
pub struct UnresolvedRegistration {
    definition: FunctionDefinition,
    /// The counter of versions as it was read: the definition is stored only if it has not changed.
    counter: Option<Revision>,
}

impl UnresolvedRegistration {
    pub(super) fn new(definition: FunctionDefinition, counter: Option<Revision>) -> Self {
        Self { definition, counter }
    }

    /// `add@3`.
    #[must_use]
    pub fn function(&self) -> String {
        format!("{}@{}", self.definition.name, self.definition.version)
    }
}

impl Registry {
    /// Finds out whether a registration has happened. If not, it never will: its condition is taken away, so that what
    /// may still be on its way to the store comes to nothing.
    ///
    /// # Errors
    /// When the store fails: ask again.
    pub async fn resolve(&self, registration: &UnresolvedRegistration) -> Result<Option<Arc<Function>>, Error> {
        let _one = self.changes.lock().await;
        let FunctionDefinition { name, version, .. } = &registration.definition;
        let counter = counter_key(name);
        let before = self.store.get(&counter).await?;
        let same = before.as_ref().map(|entry| entry.revision) == registration.counter;
        if same {
            let write = Write::put(&counter, counted(before.as_ref())?.to_string());
            let unchanged = [Condition::unchanged(&counter, registration.counter)];
            if self.store.transact(&unchanged, vec![write]).await?.is_some() {
                return Ok(self.not_stored(registration));
            }
        }
        let stored = self.store.get(&function_key(name, *version)).await?.and_then(|entry| decode(&entry));
        // Another registration may have got the number.
        let Some(stored) = stored.filter(|stored| stored.definition == registration.definition) else {
            return Ok(self.not_stored(registration));
        };
        let function = Arc::new(stored);
        self.catalog.store(Arc::new(self.catalog().with(Arc::clone(&function))));
        Ok(Some(function))
    }

    fn not_stored(&self, registration: &UnresolvedRegistration) -> Option<Arc<Function>> {
        self.seen_to.end(&registration.function());
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Owner, RegisterError};
    use super::*;
    use crate::store::silent::{SilentStore, Transaction, Unanswered};

    fn definition(doc: &str) -> FunctionDefinition {
        FunctionDefinition { name: "add".to_owned(), doc: doc.to_owned(), ..Default::default() }
    }

    /// Registers where the store does not answer; returns what has to be found out, and what of it arrives late.
    async fn unresolved(
        unanswered: Unanswered,
        before: bool,
    ) -> (Registry, Box<UnresolvedRegistration>, Option<Transaction>) {
        let store = Arc::new(SilentStore::open().await);
        let owner = Owner { coordinator: "c".to_owned(), incarnation: "1".to_owned() };
        let (registry, _) = Registry::open(store.clone(), owner).await.unwrap();
        if before {
            registry.register(definition("before")).await.unwrap();
        }
        store.leave_unanswered(unanswered);
        match registry.register(definition("new")).await {
            Err(RegisterError::Unresolved(error, registration)) => {
                assert!(error.code().retryable());
                (registry, registration, store.take_late())
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_has_happened_is_found() {
        for before in [false, true] {
            let (registry, registration, _) = unresolved(Unanswered::Happens, before).await;
            let function = registry.resolve(&registration).await.unwrap().expect("it is stored");
            assert_eq!(function.name, registration.function());
            assert_eq!(registry.catalog().newest("add").unwrap().name, function.name);
            registry.settle(&function).await.unwrap();
            assert!(registry.resolve(&registration).await.unwrap().is_some(), "once more is the same");
        }
    }

    #[tokio::test]
    async fn what_has_not_happened_never_will() {
        for (unanswered, before) in
            [(Unanswered::Lost, false), (Unanswered::Lost, true), (Unanswered::Late, false), (Unanswered::Late, true)]
        {
            let (registry, registration, late) = unresolved(unanswered, before).await;
            assert!(registry.resolve(&registration).await.unwrap().is_none());
            if let Some((conditions, writes)) = late {
                assert_eq!(registry.store.transact(&conditions, writes).await.unwrap(), None, "it comes too late");
            }
            let (function, new) = registry.register(definition("new")).await.unwrap();
            assert_eq!((function.name.clone(), new), (registration.function(), true), "the number is free");
        }
    }

    #[tokio::test]
    async fn another_under_the_same_number_is_not_taken_for_it() {
        let (registry, registration, _) = unresolved(Unanswered::Lost, false).await;
        let (other, _) = registry.register(definition("other")).await.unwrap();
        assert_eq!(other.name, registration.function());
        assert!(registry.resolve(&registration).await.unwrap().is_none());
    }
}
