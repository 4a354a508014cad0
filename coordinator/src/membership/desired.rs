//! The desired state of one executor, and the messages that carry it: references, as changes.

use std::sync::Arc;

use prost::Message as _;
use udfleet_edge::tracked::{Difference, TrackedMap};
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
    fn same(&self, other: &Self) -> bool {
        self.since == other.since && self.is_for(&other.function)
    }

    /// Equal definitions have one hash; their environment is part of them.
    fn is_for(&self, function: &Function) -> bool {
        self.function.hash == function.hash
    }

    pub fn reference(&self) -> FunctionReference {
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
    /// Of the leader that desires it.
    pub term: u64,
    /// Grows over attaches and changes of leader; 0: nothing has been desired yet.
    pub revision: u64,
    /// It accepts nothing new.
    pub draining: bool,
    /// Interpreters by environment.
    pub environments: TrackedMap<Arc<str>, u32>,
    /// By `add@3`.
    pub functions: TrackedMap<Arc<str>, DesiredFunction>,
}

impl Desired {
    /// True where one of the two was made from the other without a change.
    pub fn same(&self, other: &Self) -> bool {
        self.draining == other.draining
            && self.environments.is(&other.environments)
            && self.functions.is(&other.functions)
    }

    /// `None`: the environment is not desired any more.
    pub fn set_environment(&mut self, environment: &str, interpreters: Option<u32>) {
        match interpreters {
            None => drop(self.environments.remove(environment)),
            Some(count) if self.environments.get(environment) == Some(&count) => {}
            Some(count) => self.environments.insert(Arc::from(environment), count),
        }
    }

    /// `None`: the function is not desired any more. One that goes on keeps its `since`.
    pub fn set_function(&mut self, name: &Arc<str>, function: Option<&Arc<Function>>) {
        match function {
            None => self.remove_function(name),
            Some(function) if self.functions.get(name).is_some_and(|held| held.is_for(function)) => {}
            Some(function) => {
                let desired = DesiredFunction { function: Arc::clone(function), since: self.revision };
                self.functions.insert(Arc::clone(name), desired);
            }
        }
    }

    /// A function is desired, since a revision that is known.
    pub fn hold_function(&mut self, held: DesiredFunction) {
        if self.functions.get(held.function.name.as_str()).is_none_or(|before| !before.same(&held)) {
            self.functions.insert(Arc::from(held.function.name.as_str()), held);
        }
    }

    pub fn remove_function(&mut self, name: &str) {
        self.functions.remove(name);
    }

    /// The other environments are not desired any more.
    pub fn keep_only(&mut self, kept: impl Fn(&str) -> bool) {
        let gone: Vec<Arc<str>> =
            self.environments.iter().map(|(hash, _)| hash).filter(|hash| !kept(hash)).cloned().collect();
        for hash in &gone {
            self.environments.remove(hash);
        }
    }

    /// Nothing is desired any more.
    pub fn clear(&mut self) {
        (self.environments, self.functions) = (TrackedMap::default(), TrackedMap::default());
    }

    /// The function of this name, `add@3`.
    pub fn function(&self, function: &str) -> Option<&DesiredFunction> {
        self.functions.get(function)
    }

    /// Functions that have come, gone or changed since `before`.
    pub fn changed_functions<'d>(&'d self, before: &'d Self) -> Vec<Difference<'d, Arc<str>, DesiredFunction>> {
        self.functions.since(&before.functions, DesiredFunction::same)
    }

    /// The messages that change the executor's state from `before`, sent on the same stream, to this.
    pub fn messages(&self, before: Option<&Self>) -> Vec<DesiredState> {
        let mut messages = Messages {
            base: before.map_or(0, |before| before.revision),
            term: self.term,
            revision: self.revision,
            draining: self.draining,
            done: Vec::new(),
            open: DesiredState::default(),
            used: 0,
        };
        let nothing = Self::default();
        let before = before.unwrap_or(&nothing);
        for Difference { key: hash, now, .. } in self.environments.since(&before.environments, u32::eq) {
            let (message, hash) = (messages.room(hash.len() + 16), hash.to_string());
            match now {
                Some(interpreters) => {
                    message.environments.push(EnvironmentReference { hash, interpreters: *interpreters });
                }
                None => message.removed_environments.push(hash),
            }
        }
        for Difference { key: name, now, .. } in self.changed_functions(before) {
            match now {
                Some(desired) => {
                    let reference = desired.reference();
                    messages.room(reference.encoded_len() + 16).functions.push(reference);
                }
                None => messages.room(name.len() + 16).removed_functions.push(name.to_string()),
            }
        }
        messages.finish()
    }
}

/// Cuts what is to be said into messages.
struct Messages {
    base: u64,
    term: u64,
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
            message.term = self.term;
            message.revision = self.revision;
            message.base = self.base;
            message.draining = self.draining;
            message.more = index < last;
        }
        self.done
    }
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::FunctionDefinition;

    use super::*;

    fn function(name: &str, version: u32, doc: &str) -> Arc<Function> {
        let definition =
            FunctionDefinition { name: name.to_owned(), version, doc: doc.to_owned(), ..FunctionDefinition::default() };
        Arc::new(Function::new(definition))
    }

    /// The next revision after `before`, with these functions and no others.
    fn desired(functions: Vec<Arc<Function>>, before: &Desired, revision: u64) -> Desired {
        let mut desired = Desired { revision, ..before.clone() };
        let gone = |name: &&Arc<str>| functions.iter().all(|function| *function.name != ***name);
        let gone: Vec<Arc<str>> = before.functions.iter().map(|(name, _)| name).filter(gone).cloned().collect();
        gone.iter().for_each(|name| desired.remove_function(name));
        functions.iter().for_each(|function| desired.set_function(&Arc::from(function.name.as_str()), Some(function)));
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
        second.set_environment("e", Some(2));
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
        let mut more = Desired { revision: 2, ..all.clone() };
        more.set_function(&Arc::from("z@1"), Some(&function("z", 1, "")));
        let change = more.messages(Some(&all));
        assert!(change.len() == 1 && change[0].encoded_len() < 300, "the cost of a change is that of the change");
    }
}
