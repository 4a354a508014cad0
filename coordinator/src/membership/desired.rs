//! The desired state of one executor, and the messages that carry it: references, as changes.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::sync::Arc;

use prost::Message as _;
use udfleet_proto::v1::{DesiredState, EnvironmentReference, FunctionReference};

use crate::registry::Function;

/// The size of one message, bytes: far below the bound of a control message.
const ROOM: usize = 2 << 20;

/// A function that an executor should serve.
#[derive(Debug, Clone)]
pub(super) struct DesiredFunction {
    pub function: Arc<Function>,
    /// The revision since which it has been desired without interruption: a status in a report of an earlier revision is
    /// about an earlier load.
    pub since: u64,
}

impl DesiredFunction {
    fn key(&self) -> (&str, u32) {
        (&self.function.definition.name, self.function.definition.version)
    }

    /// Equal definitions have one hash; their environment is part of them.
    fn same(&self, other: &Self) -> bool {
        self.function.hash == other.function.hash
    }

    fn reference(&self) -> FunctionReference {
        FunctionReference {
            function: self.function.name.clone(),
            definition: self.function.hash.clone(),
            environment: self.function.environment.clone(),
            since: self.since,
        }
    }
}

/// The desired state of one executor.
#[derive(Debug, Clone, Default)]
pub(super) struct Desired {
    /// Grows over attaches and restarts of the coordinator; 0: nothing has been desired yet.
    pub revision: u64,
    /// It accepts nothing new.
    pub draining: bool,
    /// Interpreters by environment.
    pub environments: BTreeMap<String, u32>,
    /// In the order of the catalog: by name and version.
    pub functions: Vec<DesiredFunction>,
}

impl Desired {
    /// True if an executor in state `other` needs no change.
    pub fn same(&self, other: &Self) -> bool {
        self.draining == other.draining
            && self.environments == other.environments
            && self.functions.len() == other.functions.len()
            && self.functions.iter().zip(&other.functions).all(|(mine, theirs)| {
                Arc::ptr_eq(&mine.function, &theirs.function) || mine.key() == theirs.key() && mine.same(theirs)
            })
    }

    /// The next revision after `before`: functions in both keep their `since`.
    pub fn succeed(&mut self, before: &Self, revision: u64) {
        self.revision = revision;
        let mut old = before.functions.iter().peekable();
        for desired in &mut self.functions {
            while old.next_if(|o| o.key() < desired.key()).is_some() {}
            desired.since = match old.next_if(|o| o.key() == desired.key()) {
                Some(held) if held.same(desired) => held.since,
                _ => revision,
            };
        }
    }

    /// The function of this name, `add@3`.
    pub fn function(&self, function: &str) -> Option<&DesiredFunction> {
        let (name, version) = function.rsplit_once('@')?;
        let key = (name, version.parse().ok()?);
        let at = self.functions.binary_search_by(|desired| desired.key().cmp(&key)).ok()?;
        self.functions.get(at)
    }

    /// The messages that change the executor's state from `before`, sent on the same stream, to this.
    pub fn messages(&self, before: Option<&Self>) -> Vec<DesiredState> {
        let mut messages = Messages {
            base: before.map_or(0, |before| before.revision),
            revision: self.revision,
            draining: self.draining,
            done: Vec::new(),
            open: DesiredState::default(),
            used: 0,
        };
        let nothing = Self::default();
        let before = before.unwrap_or(&nothing);
        for (hash, interpreters) in &self.environments {
            if before.environments.get(hash) != Some(interpreters) {
                messages
                    .room(hash.len() + 16)
                    .environments
                    .push(EnvironmentReference { hash: hash.clone(), interpreters: *interpreters });
            }
        }
        for hash in before.environments.keys().filter(|hash| !self.environments.contains_key(*hash)) {
            messages.room(hash.len() + 16).removed_environments.push(hash.clone());
        }
        let changes = Changes { old: before.functions.iter().peekable(), new: self.functions.iter().peekable() };
        for change in changes {
            match change {
                Change::Put(desired) => {
                    let reference = desired.reference();
                    messages.room(reference.encoded_len() + 16).functions.push(reference);
                }
                Change::Removed(desired) => {
                    let name = desired.function.name.clone();
                    messages.room(name.len() + 16).removed_functions.push(name);
                }
            }
        }
        messages.finish()
    }
}

/// Cuts what is to be said into messages.
struct Messages {
    base: u64,
    revision: u64,
    draining: bool,
    done: Vec<DesiredState>,
    open: DesiredState,
    used: usize,
}

impl Messages {
    /// A message with room for so many bytes.
    fn room(&mut self, bytes: usize) -> &mut DesiredState {
        if self.used + bytes > ROOM && self.used > 0 {
            self.done.push(std::mem::take(&mut self.open));
            self.used = 0;
        }
        self.used += bytes;
        &mut self.open
    }

    fn finish(mut self) -> Vec<DesiredState> {
        self.done.push(self.open);
        let last = self.done.len() - 1;
        for (index, message) in self.done.iter_mut().enumerate() {
            message.revision = self.revision;
            message.base = self.base;
            message.draining = self.draining;
            message.more = index < last;
        }
        self.done
    }
}

enum Change<'w> {
    Put(&'w DesiredFunction),
    Removed(&'w DesiredFunction),
}

/// What differs between two ordered lists.
struct Changes<O: Iterator, N: Iterator> {
    old: Peekable<O>,
    new: Peekable<N>,
}

impl<'w, O: Iterator<Item = &'w DesiredFunction>, N: Iterator<Item = &'w DesiredFunction>> Iterator for Changes<O, N> {
    type Item = Change<'w>;

    fn next(&mut self) -> Option<Change<'w>> {
        loop {
            let order = match (self.old.peek(), self.new.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.key().cmp(&new.key()),
            };
            match order {
                Ordering::Less => return self.old.next().map(Change::Removed),
                Ordering::Greater => return self.new.next().map(Change::Put),
                Ordering::Equal => {
                    let (old, new) = (self.old.next()?, self.new.next()?);
                    if !old.same(new) || old.since != new.since {
                        return Some(Change::Put(new));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::FunctionDefinition;

    use super::*;

    fn function(name: &str, version: u32, doc: &str) -> DesiredFunction {
        let definition =
            FunctionDefinition { name: name.to_owned(), version, doc: doc.to_owned(), ..FunctionDefinition::default() };
        DesiredFunction { function: Arc::new(Function::new(definition)), since: 0 }
    }

    fn desired(functions: Vec<DesiredFunction>, before: &Desired, revision: u64) -> Desired {
        let mut desired = Desired { functions, ..Desired::default() };
        desired.succeed(before, revision);
        desired
    }

    fn told(messages: &[DesiredState]) -> (Vec<&str>, Vec<&str>) {
        let put = messages.iter().flat_map(|m| m.functions.iter().map(|f| f.function.as_str()));
        let removed = messages.iter().flat_map(|m| m.removed_functions.iter().map(String::as_str));
        (put.collect(), removed.collect())
    }

    #[test]
    fn a_change_is_told_and_nothing_else() {
        let first =
            desired(vec![function("a", 1, ""), function("a", 2, ""), function("b", 10, "")], &Desired::default(), 5);
        let whole = first.messages(None);
        assert_eq!((whole.len(), whole[0].base, whole[0].revision, whole[0].more), (1, 0, 5, false));
        assert_eq!(told(&whole), (vec!["a@1", "a@2", "b@10"], vec![]));

        let mut second =
            desired(vec![function("a", 2, "other"), function("b", 10, ""), function("c", 1, "")], &first, 6);
        second.environments.insert("e".to_owned(), 2);
        let change = second.messages(Some(&first));
        assert_eq!((change[0].base, change[0].revision), (5, 6));
        assert_eq!(told(&change), (vec!["a@2", "c@1"], vec!["a@1"]), "another definition is another function");
        assert_eq!(change[0].environments.len(), 1);
        let since = |name: &str| second.function(name).map(|desired| desired.since);
        assert_eq!((since("a@2"), since("b@10"), since("c@1"), since("a@1")), (Some(6), Some(5), Some(6), None));
        assert!(!second.same(&first) && second.same(&second.clone()));
    }

    #[test]
    fn what_was_taken_away_and_given_back_is_told_again() {
        let first = desired(vec![function("a", 1, "")], &Desired::default(), 1);
        let none = desired(Vec::new(), &first, 2);
        let back = desired(vec![function("a", 1, "")], &none, 3);
        assert_eq!(told(&back.messages(Some(&first))).0, ["a@1"], "the executor may never hear of the step between");
    }

    #[test]
    fn messages_are_bounded_and_say_that_more_follows() {
        let name = "n".repeat(100);
        let functions = (0..20_000).map(|version| function(&name, version, "")).collect();
        let all = desired(functions, &Desired::default(), 1);
        let messages = all.messages(None);
        assert!(messages.len() > 1);
        assert!(messages.iter().all(|m| m.encoded_len() <= ROOM));
        assert_eq!(messages.iter().filter(|m| !m.more).count(), 1);
        assert_eq!(told(&messages).0.len(), 20_000);
        let mut more: Vec<DesiredFunction> = all.functions.clone();
        more.push(function("z", 1, ""));
        let change = desired(more, &all, 2).messages(Some(&all));
        assert!(change.len() == 1 && change[0].encoded_len() < 300, "the cost of a change is that of the change");
    }
}
