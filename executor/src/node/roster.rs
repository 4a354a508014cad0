//! Which function is loaded in which interpreter of one environment, and what that makes of each function. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, FunctionDefinition, FunctionStatus, LoadState};

use super::backoff::Backoff;

/// Interpreters that a function may crash while it loads until it is given up.
const LOAD_CRASHES: u32 = 2;
/// Starts in a row that may fail until the environment's functions are reported as failed. Starting goes on.
const START_FAILURES: u32 = 2;

/// One function.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) definition: Arc<FunctionDefinition>,
    loaded: BTreeSet<u32>,
    /// Interpreters that have refused it: it is not tried there again.
    refused: BTreeSet<u32>,
    crashes: u32,
    /// Given up.
    failed: Option<Error>,
    /// Once callable it stays so while interpreters are replaced: calls wait for the replacement.
    serving: bool,
    /// It has worked here: what keeps it from loading now may pass.
    has_served: bool,
    /// It has been loaded somewhere: loading it ends no interpreter.
    proven: bool,
    /// The slot where it is loaded first, for as long as others have something to lose.
    trial: Option<u32>,
    retry: Backoff,
    /// Dropped, but batches are under way.
    leaving: bool,
}

/// One place for an interpreter.
#[derive(Debug, Default)]
struct Slot {
    running: bool,
    /// Busy with a load that takes long.
    stalled: bool,
    backoff: Backoff,
}

impl Slot {
    fn free(&self) -> bool {
        self.running && !self.stalled
    }
}

/// Functions by number, interpreters by slot.
#[derive(Debug, Default)]
pub(super) struct Roster {
    functions: BTreeMap<u32, Entry>,
    slots: BTreeMap<u32, Slot>,
    start_failures: u32,
    start_error: Option<Error>,
}

impl Roster {
    /// Takes new functions in; those not wanted any more are leaving from now on. Returns the numbers of these.
    pub(super) fn want(
        &mut self,
        functions: &BTreeMap<String, Arc<FunctionDefinition>>,
        mut number: impl FnMut() -> u32,
    ) -> Vec<u32> {
        let mut leaving = Vec::new();
        let mut staying = BTreeSet::new();
        for (number, entry) in self.functions.iter_mut().filter(|(_, entry)| !entry.leaving) {
            // A name can come back with another definition: that is another function.
            if functions.get(&entry.name).is_some_and(|wanted| Arc::ptr_eq(wanted, &entry.definition)) {
                staying.insert(entry.name.clone());
            } else {
                entry.leaving = true;
                leaving.push(*number);
            }
        }
        for (name, definition) in functions.iter().filter(|(name, _)| !staying.contains(*name)) {
            self.functions.insert(number(), Entry::new(name, definition));
        }
        leaving
    }

    /// A leaving function has nothing under way any more. Returns its name, unless it has come back meanwhile.
    pub(super) fn forget(&mut self, number: u32) -> Option<String> {
        let name = self.functions.remove(&number)?.name;
        let back = self.functions.values().any(|entry| entry.name == name);
        (!back).then_some(name)
    }

    /// What the interpreter of a slot shall hold. Where functions are served already, a new one is tried in one
    /// interpreter first: should loading it end that one, the others go on. A spare, one beyond the `regular` slots,
    /// holds what is served.
    pub(super) fn assigned(&mut self, slot: u32, regular: u32) -> BTreeMap<u32, Arc<FunctionDefinition>> {
        let something_to_lose = self.functions.values().any(|entry| entry.serving);
        let first = self.slots.iter().find(|(_, slot)| slot.free()).map_or(slot, |(slot, _)| *slot);
        let mut wanted = BTreeMap::new();
        for (number, entry) in &mut self.functions {
            let everywhere = if slot < regular { entry.proven || !something_to_lose } else { entry.serving };
            if entry.failed.is_none() && (everywhere || *entry.trial.get_or_insert(first) == slot) {
                wanted.insert(*number, Arc::clone(&entry.definition));
            }
        }
        wanted
    }

    /// An interpreter takes no calls for long, because it loads or closes a function.
    pub(super) fn stalled(&mut self, slot: u32) {
        self.slots.entry(slot).or_default().stalled = true;
    }

    /// An interpreter has closed a function.
    pub(super) fn unloaded(&mut self, slot: u32) {
        self.slots.entry(slot).or_default().stalled = false;
    }

    /// Interpreters beyond the `regular` ones: one, for as long as a load or a close keeps calls
    /// of other functions waiting.
    pub(super) fn spares(&self, regular: u32) -> u32 {
        let mut slots = self.slots.range(..regular).map(|(_, slot)| slot);
        u32::from(slots.clone().any(|slot| slot.stalled) && !slots.any(Slot::free))
    }

    /// A slot is given up.
    pub(super) fn remove_slot(&mut self, slot: u32) {
        self.vacate(slot);
        self.slots.remove(&slot);
        for entry in self.functions.values_mut().filter(|entry| entry.trial == Some(slot)) {
            entry.trial = None;
        }
    }

    /// Of all functions.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.values().map(|entry| entry.name.as_str())
    }

    /// The function of a number.
    pub(super) fn entry(&self, number: u32) -> Option<&Entry> {
        self.functions.get(&number)
    }

    /// An interpreter takes calls.
    pub(super) fn up(&mut self, slot: u32) {
        let slot = self.slots.entry(slot).or_default();
        (slot.running, slot.stalled) = (true, false);
        self.start_failures = 0;
        self.start_error = None;
    }

    /// An interpreter has loaded a function.
    pub(super) fn loaded(&mut self, slot: u32, number: u32) {
        self.slots.entry(slot).or_default().stalled = false;
        if let Some(entry) = self.functions.get_mut(&number) {
            entry.loaded.insert(slot);
            entry.proven = true;
            entry.crashes = 0;
        }
    }

    /// An interpreter could not load a function. One that works elsewhere stays; else it has failed: for good, unless
    /// it has worked before. Returns when to try it again, if at all.
    pub(super) fn refused(&mut self, slot: u32, number: u32, error: Error) -> Option<Duration> {
        self.slots.entry(slot).or_default().stalled = false;
        let entry = self.functions.get_mut(&number)?;
        entry.refused.insert(slot);
        if !entry.loaded.is_empty() || entry.failed.is_some() {
            return None;
        }
        entry.failed = Some(error);
        entry.serving = false;
        entry.has_served.then(|| entry.retry.after(Duration::ZERO))
    }

    /// A function that had failed is tried again.
    pub(super) fn retry(&mut self, number: u32) {
        if let Some(entry) = self.functions.get_mut(&number) {
            entry.failed = None;
            entry.refused.clear();
        }
    }

    /// An interpreter has ended, perhaps while it loaded a function. Returns the pause before the next one.
    pub(super) fn ended(&mut self, slot: u32, lived: Duration, loading: Option<(u32, Error)>) -> Duration {
        let in_service = self.slots.get(&slot).is_some_and(|slot| slot.running);
        self.vacate(slot);
        if let Some((number, error)) = loading {
            self.crashed_by(number, error);
        }
        let backoff = &mut self.slots.entry(slot).or_default().backoff;
        if in_service { backoff.after_service(lived) } else { backoff.after(lived) }
    }

    /// An interpreter could not be started. Returns the pause before the next try.
    pub(super) fn start_failed(&mut self, slot: u32, error: Error) -> Duration {
        self.vacate(slot);
        self.start_failures += 1;
        if self.start_failures >= START_FAILURES && !self.slots.values().any(|slot| slot.running) {
            self.start_error = Some(error);
        }
        self.slots.entry(slot).or_default().backoff.after(Duration::ZERO)
    }

    /// Nothing is loaded in a slot any more.
    fn vacate(&mut self, slot: u32) {
        self.slots.entry(slot).or_default().running = false;
        for entry in self.functions.values_mut() {
            entry.loaded.remove(&slot);
            entry.refused.remove(&slot);
        }
    }

    fn crashed_by(&mut self, number: u32, error: Error) {
        let Some(entry) = self.functions.get_mut(&number) else { return };
        entry.crashes += 1;
        // A load that ran into its deadline would do so again.
        if entry.crashes >= LOAD_CRASHES || error.code() == ErrorCode::CallTimeout {
            let name = entry.name.clone();
            let message = format!("loading the function ends its interpreter: {}", error.info().message);
            entry.failed = Some(error.function(name).with(|info| {
                info.code = ErrorCode::LoadFailed as i32;
                info.message = message;
            }));
            entry.serving = false;
        }
    }

    /// Why a function can't be called now and perhaps never again.
    pub(super) fn failure(&self, number: u32) -> Option<Error> {
        let entry = self.functions.get(&number)?;
        let error = entry.failed.as_ref().or(self.start_error.as_ref())?;
        Some(error.clone().function(&entry.name))
    }

    /// Numbers of the functions that can be called: those that an interpreter which takes calls has loaded.
    pub(super) fn callable(&mut self) -> BTreeSet<u32> {
        let running: BTreeSet<u32> =
            self.slots.iter().filter(|(_, slot)| slot.running).map(|(slot, _)| *slot).collect();
        let start_failed = self.start_error.is_some();
        let mut callable = BTreeSet::new();
        for (number, entry) in &mut self.functions {
            entry.serving |= entry.failed.is_none() && !entry.loaded.is_disjoint(&running);
            entry.has_served |= entry.serving;
            if entry.serving && entry.failed.is_none() && !entry.leaving && !start_failed {
                callable.insert(*number);
            }
        }
        callable
    }

    /// What reports say of each function once the environment is built.
    pub(super) fn statuses(&self) -> Vec<FunctionStatus> {
        let staying = self.functions.values().filter(|entry| !entry.leaving);
        staying.map(|entry| entry.status(self.start_error.as_ref())).collect()
    }
}

impl Entry {
    fn new(name: &str, definition: &Arc<FunctionDefinition>) -> Self {
        Self {
            name: name.to_owned(),
            definition: Arc::clone(definition),
            loaded: BTreeSet::new(),
            refused: BTreeSet::new(),
            crashes: 0,
            failed: None,
            serving: false,
            has_served: false,
            proven: false,
            trial: None,
            retry: Backoff::default(),
            leaving: false,
        }
    }

    fn status(&self, start_error: Option<&Error>) -> FunctionStatus {
        let error = self.failed.as_ref().or(start_error);
        let state = match error {
            Some(_) => LoadState::Failed,
            None if self.serving => LoadState::Ready,
            None => LoadState::Loading,
        };
        FunctionStatus {
            function: self.name.clone(),
            state: state as i32,
            error: error.map(|error| error.clone().function(&self.name).into_info()),
            interpreters: self.loaded.len() as u32,
        }
    }
}

#[cfg(test)]
mod tests;
