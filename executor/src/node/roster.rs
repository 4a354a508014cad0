//! Which function is loaded in which interpreter of one environment, and the resulting state of each function. A change costs
//! what it concerns, however many functions there are. Pure.

mod assignment;
mod function;
mod slot;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use udfleet_edge::tracked::Difference;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, FunctionDefinition, FunctionStatus};

use super::interpreter::Functions;
use assignment::{Assignment, AssignmentRule};
pub(super) use function::FunctionEntry;
use function::{FunctionPhase, TrackRecord};
use slot::{Slot, SlotPhase};

/// Interpreters that a function may crash while it loads until it is given up.
const LOAD_CRASHES: u32 = 2;
/// Starts in a row that may fail until the environment's functions are reported as failed. Starting goes on.
const START_FAILURES: u32 = 2;

/// Functions that can be called now and could not before, and the other way round.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CallableChanges {
    pub(super) added: Vec<u32>,
    pub(super) removed: Vec<u32>,
}

/// Functions by number, interpreters by slot.
#[derive(Debug, Default)]
pub(super) struct Roster {
    functions: BTreeMap<u32, FunctionEntry>,
    /// Their numbers: one that comes back while it is leaving has another.
    by_name: HashMap<String, BTreeSet<u32>>,
    slots: BTreeMap<u32, Slot>,
    start_failures: u32,
    start_error: Option<Error>,
    /// By slot.
    assignments: BTreeMap<u32, Assignment>,
    /// Functions that are tried in one interpreter first, by its slot.
    trials: BTreeMap<u32, BTreeSet<u32>>,
    /// How many functions there are of which calls may be under way.
    kept: usize,
    callable: BTreeSet<u32>,
    /// Functions of which it is to be seen whether they can be called.
    unsettled: BTreeSet<u32>,
    /// Functions of which there may be something to say.
    untold: BTreeSet<u32>,
    /// Functions that were looked at.
    #[cfg(test)]
    looked_at: u64,
}

impl Roster {
    /// Changes a function.
    fn change<T>(&mut self, number: u32, change: impl FnOnce(&mut FunctionEntry) -> T) -> Option<T> {
        let entry = self.functions.get_mut(&number)?;
        self.kept -= usize::from(entry.is_kept());
        let result = change(entry);
        self.kept += usize::from(entry.is_kept());
        self.touch(number);
        Some(result)
    }

    /// A function has changed, or what concerns it.
    fn touch(&mut self, number: u32) {
        self.unsettled.insert(number);
        self.untold.insert(number);
        self.assignments.values_mut().for_each(|assignment| assignment.touch(number));
    }

    fn touch_all(&mut self, that: impl Fn(&FunctionEntry) -> bool) {
        let touched = self.functions.iter().filter(|(_, entry)| that(entry));
        for number in touched.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.touch(number);
        }
    }

    /// The function of a number, to be looked at.
    fn look_at(&mut self, number: u32) -> Option<&mut FunctionEntry> {
        #[cfg(test)]
        {
            self.looked_at += 1;
        }
        self.functions.get_mut(&number)
    }

    /// Takes in what has changed: new functions come in, those not wanted any more are leaving from now on. Returns the numbers of
    /// these.
    pub(super) fn want(
        &mut self,
        changed: &[Difference<'_, String, Arc<FunctionDefinition>>],
        mut number: impl FnMut() -> u32,
    ) -> Vec<u32> {
        let mut leaving = Vec::new();
        for Difference { key: name, now, .. } in changed {
            // A name can come back with another definition: that is another function.
            for held in self.by_name.get(*name).cloned().unwrap_or_default() {
                if self.functions.get(&held).is_some_and(|entry| !entry.is_leaving()) {
                    self.change(held, FunctionEntry::leave);
                    leaving.push(held);
                }
            }
            if let Some(definition) = now {
                let number = number();
                self.functions.insert(number, FunctionEntry::new(name, definition));
                self.by_name.entry((*name).clone()).or_default().insert(number);
                self.touch(number);
            }
        }
        leaving
    }

    /// A leaving function has nothing under way any more. Returns its name, unless it has come back meanwhile.
    pub(super) fn forget(&mut self, number: u32) -> Option<String> {
        let FunctionEntry { name, trial, .. } = {
            let entry = self.functions.remove(&number)?;
            self.kept -= usize::from(entry.is_kept());
            entry
        };
        if let Some(on_trial) = trial.and_then(|slot| self.trials.get_mut(&slot)) {
            on_trial.remove(&number);
        }
        self.touch(number);
        let others = self.by_name.get_mut(&name)?;
        others.remove(&number);
        if !others.is_empty() {
            return None;
        }
        self.by_name.remove(&name);
        Some(name)
    }

    /// What the interpreter of a slot should serve. Where functions are served already, a new one is tried in one
    /// interpreter first: should loading it end that one, the others go on. A spare, one beyond the `regular` slots,
    /// holds what is served.
    pub(super) fn assigned(&mut self, slot: u32, regular: u32) -> Functions {
        let free = |slot: &Slot| slot.phase == SlotPhase::Running;
        let first = self.slots.iter().find(|(_, slot)| free(slot)).map_or(slot, |(slot, _)| *slot);
        let rule = AssignmentRule { regular: slot < regular, something_to_lose: self.kept > 0 };
        let mut assignment = self.assignments.remove(&slot).unwrap_or_default();
        for number in assignment.begin(rule, self.functions.keys().copied()) {
            match self.look_at(number).and_then(|entry| entry.assigned(slot, first, rule)) {
                Some(definition) if assignment.functions.contains_key(&number) => drop(definition),
                Some(definition) => assignment.functions.insert(number, definition),
                None => drop(assignment.functions.remove(&number)),
            }
            if let Some(trial) = self.functions.get(&number).and_then(|entry| entry.trial) {
                self.trials.entry(trial).or_default().insert(number);
            }
        }
        let functions = assignment.functions.clone();
        self.assignments.insert(slot, assignment);
        functions
    }

    /// An interpreter takes no calls for long, because it loads or closes a function.
    pub(super) fn stalled(&mut self, slot: u32) {
        self.slots.entry(slot).or_default().stall(true);
    }

    /// An interpreter has closed a function.
    pub(super) fn unloaded(&mut self, slot: u32) {
        self.slots.entry(slot).or_default().stall(false);
    }

    /// Interpreters beyond the `regular` ones: one, for as long as a load or a close keeps calls
    /// of other functions waiting.
    pub(super) fn spares(&self, regular: u32) -> u32 {
        let mut phases = self.slots.range(..regular).map(|(_, slot)| slot.phase);
        let stalled = |phase| matches!(phase, SlotPhase::Stalled | SlotPhase::Replacing);
        u32::from(phases.clone().any(stalled) && !phases.any(|phase| phase == SlotPhase::Running))
    }

    /// True where the interpreter of a slot takes calls of all that is served here.
    pub(super) fn is_complete(&self, slot: u32) -> bool {
        let mut served = self.functions.values().filter(|entry| matches!(entry.phase, FunctionPhase::Serving));
        self.slots.get(&slot).is_some_and(|slot| slot.phase == SlotPhase::Running)
            && served.all(|entry| entry.loaded.contains(&slot) || entry.refused.contains(&slot))
    }

    /// The functions that the interpreter of a slot has loaded, by their numbers.
    pub(super) fn loaded_in(&self, slot: u32) -> BTreeSet<u32> {
        let loaded = self.functions.iter().filter(|(_, entry)| entry.loaded.contains(&slot));
        loaded.map(|(number, _)| *number).collect()
    }

    /// A slot is given up.
    pub(super) fn remove_slot(&mut self, slot: u32) {
        self.vacate(slot);
        self.slots.remove(&slot);
        self.assignments.remove(&slot);
        for number in self.trials.remove(&slot).unwrap_or_default() {
            self.change(number, |entry| entry.trial = None);
        }
    }

    /// Of all functions.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.values().map(|entry| entry.name.as_str())
    }

    /// The function of a number.
    pub(super) fn entry(&self, number: u32) -> Option<&FunctionEntry> {
        self.functions.get(&number)
    }

    /// An interpreter takes calls.
    pub(super) fn up(&mut self, slot: u32) {
        self.slots.entry(slot).or_default().phase = SlotPhase::Running;
        self.start_failures = 0;
        let failed = self.start_error.take().is_some();
        self.touch_all(|entry| failed || entry.loaded.contains(&slot));
    }

    /// An interpreter has loaded a function.
    pub(super) fn loaded(&mut self, slot: u32, number: u32) {
        self.slots.entry(slot).or_default().stall(false);
        self.change(number, |entry| {
            entry.loaded.insert(slot);
            entry.record = entry.record.max(TrackRecord::Loaded);
            entry.crashes = 0;
        });
    }

    /// An interpreter could not load a function. One that works elsewhere stays; else it has failed: for good, unless
    /// it has worked before or the reason may pass. Returns when to try it again, if at all.
    pub(super) fn refused(&mut self, slot: u32, number: u32, error: Error) -> Option<Duration> {
        self.slots.entry(slot).or_default().stall(false);
        let refuse = |entry: &mut FunctionEntry| {
            entry.refused.insert(slot);
            let passes = error.code().retryable();
            if !entry.loaded.is_empty() || !entry.fail(error) {
                return None;
            }
            (passes || entry.record == TrackRecord::Served).then(|| entry.retry.after(Duration::ZERO))
        };
        self.change(number, refuse).flatten()
    }

    /// A function that had failed is tried again.
    pub(super) fn retry(&mut self, number: u32) {
        self.change(number, |entry| {
            if matches!(entry.phase, FunctionPhase::Failed(_)) {
                entry.phase = FunctionPhase::Loading;
            }
            entry.refused.clear();
        });
    }

    /// An interpreter has ended, perhaps while it loaded a function. Returns the pause before the next one.
    pub(super) fn ended(&mut self, slot: u32, lived: Duration, loading: Option<(u32, Error)>) -> Duration {
        let in_service = self.slots.get(&slot).is_some_and(Slot::in_service);
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
        if self.start_failures >= START_FAILURES && !self.slots.values().any(Slot::in_service) {
            self.start_error = Some(error);
            self.touch_all(|_| true);
        }
        self.slots.entry(slot).or_default().backoff.after(Duration::ZERO)
    }

    /// Nothing is loaded in a slot any more.
    fn vacate(&mut self, slot: u32) {
        self.slots.entry(slot).or_default().vacate();
        let here = |entry: &FunctionEntry| entry.loaded.contains(&slot) || entry.refused.contains(&slot);
        let changed = self.functions.iter().filter(|(_, entry)| here(entry)).map(|(number, _)| *number);
        for number in changed.collect::<Vec<_>>() {
            self.change(number, |entry| {
                entry.loaded.remove(&slot);
                entry.refused.remove(&slot);
            });
        }
    }

    fn crashed_by(&mut self, number: u32, error: Error) {
        self.change(number, |entry| {
            entry.crashes += 1;
            // A load that ran into its deadline would do so again.
            if entry.crashes >= LOAD_CRASHES || error.code() == ErrorCode::CallTimeout {
                let name = entry.name.clone();
                let message = format!("loading the function ends its interpreter: {}", error.info().message);
                entry.fail(error.function(name).with(|info| {
                    info.code = ErrorCode::LoadFailed as i32;
                    info.message = message;
                }));
            }
        });
    }

    /// Why a function can't be called now and perhaps never again.
    pub(super) fn failure(&self, number: u32) -> Option<Error> {
        let entry = self.functions.get(&number)?;
        let error = entry.failure().or(self.start_error.as_ref())?;
        Some(error.clone().function(&entry.name))
    }

    /// What has changed of the functions that can be called: those that an interpreter which takes calls has loaded.
    pub(super) fn settle(&mut self) -> CallableChanges {
        let in_service = self.slots.iter().filter(|(_, slot)| slot.in_service());
        let in_service: BTreeSet<u32> = in_service.map(|(slot, _)| *slot).collect();
        let start_failed = self.start_error.is_some();
        let mut changes = CallableChanges::default();
        let unsettled = std::mem::take(&mut self.unsettled);
        for number in &unsettled {
            let begins = |entry: &mut FunctionEntry| {
                matches!(entry.phase, FunctionPhase::Loading) && !entry.loaded.is_disjoint(&in_service)
            };
            if self.look_at(*number).is_some_and(begins) {
                self.change(*number, |entry| {
                    (entry.phase, entry.record) = (FunctionPhase::Serving, TrackRecord::Served);
                });
            }
            let callable = self.functions.get(number).is_some_and(FunctionEntry::is_serving) && !start_failed;
            if callable && self.callable.insert(*number) {
                changes.added.push(*number);
            } else if !callable && self.callable.remove(number) {
                changes.removed.push(*number);
            }
        }
        // What has just begun to serve is settled too.
        self.unsettled.clear();
        changes
    }

    /// No function is to be called any more: those that could be.
    pub(super) fn withdraw_all(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.callable)
    }

    /// What reports say of functions once the environment is built: of those of which that has changed, or that have failed
    /// anew.
    pub(super) fn news(&mut self) -> Vec<FunctionStatus> {
        let (mut news, start_error) = (Vec::new(), self.start_error.clone());
        for number in std::mem::take(&mut self.untold) {
            let Some(entry) = self.look_at(number).filter(|entry| !entry.is_leaving()) else { continue };
            let error = entry.failure().or(start_error.as_ref());
            let now = (entry.state(error), entry.loaded.len());
            if error.is_some() || entry.told != Some(now) {
                news.push(entry.status(error));
                entry.told = Some(now);
            }
        }
        news
    }

    /// Something else was said of all functions than what [`Roster::news`] gives.
    pub(super) fn tell_anew(&mut self) {
        self.functions.values_mut().for_each(|entry| entry.told = None);
        self.untold = self.functions.keys().copied().collect();
    }

    /// What reports say of all functions.
    pub(super) fn statuses(&self) -> Vec<FunctionStatus> {
        let staying = self.functions.values().filter(|entry| !entry.is_leaving());
        staying.map(|entry| entry.status(entry.failure().or(self.start_error.as_ref()))).collect()
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
