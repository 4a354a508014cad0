//! Which function is loaded in which interpreter of one environment, and the resulting state of each function. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use udfleet_edge::tracked::Difference;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, FunctionDefinition, FunctionStatus, LoadState};

use super::backoff::Backoff;

/// Interpreters that a function may crash while it loads until it is given up.
const LOAD_CRASHES: u32 = 2;
/// Starts in a row that may fail until the environment's functions are reported as failed. Starting goes on.
const START_FAILURES: u32 = 2;

/// How far a function has come here.
#[derive(Debug)]
enum FunctionPhase {
    /// No interpreter that takes calls has loaded it yet.
    Loading,
    /// It can be called. It stays so while interpreters are replaced: calls wait for the replacement.
    Serving,
    /// Given up; one that has worked before is tried again.
    Failed(Error),
    /// Dropped, but batches may be under way.
    Leaving {
        /// It could be called until then.
        served: bool,
    },
    /// Dropped after it had been given up.
    Withdrawn,
}

/// The most that a function has achieved here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum TrackRecord {
    /// Nothing yet: loading it may end an interpreter.
    Untried,
    /// It has been loaded somewhere.
    Loaded,
    /// It has taken calls: what keeps it from loading now may pass.
    Served,
}

/// One function.
#[derive(Debug)]
pub(super) struct FunctionEntry {
    pub(super) name: String,
    pub(super) definition: Arc<FunctionDefinition>,
    phase: FunctionPhase,
    record: TrackRecord,
    /// Slots whose interpreters have loaded it.
    loaded: BTreeSet<u32>,
    /// Slots whose interpreters have refused it: it is not tried there again.
    refused: BTreeSet<u32>,
    /// Interpreters that it has ended while it was loaded.
    crashes: u32,
    /// The slot where it is loaded first, for as long as others have something to lose.
    trial: Option<u32>,
    retry: Backoff,
    /// What was last said of it: its state, and how many interpreters have loaded it.
    told: Option<(LoadState, usize)>,
}

/// What the interpreter of a slot does.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum SlotPhase {
    /// There is none that takes calls.
    #[default]
    Vacant,
    /// It takes calls.
    Running,
    /// It takes none for long, because it loads or closes a function.
    Stalled,
    /// It has ended while it was stalled, and its replacement takes no calls yet.
    Replacing,
}

/// One place for an interpreter.
#[derive(Debug, Default)]
struct Slot {
    phase: SlotPhase,
    backoff: Backoff,
}

impl Slot {
    /// True from when its interpreter has gone into service until that ends.
    fn in_service(&self) -> bool {
        matches!(self.phase, SlotPhase::Running | SlotPhase::Stalled)
    }

    /// Its interpreter has ended, or has not started.
    fn vacate(&mut self) {
        self.phase = match self.phase {
            SlotPhase::Stalled | SlotPhase::Replacing => SlotPhase::Replacing,
            SlotPhase::Running | SlotPhase::Vacant => SlotPhase::Vacant,
        };
    }

    /// Its interpreter has begun an operation that takes long, or has ended one.
    fn stall(&mut self, stalled: bool) {
        self.phase = match (self.phase, stalled) {
            (SlotPhase::Running, true) => SlotPhase::Stalled,
            (SlotPhase::Stalled, false) => SlotPhase::Running,
            (phase, _) => phase,
        };
    }
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
}

impl Roster {
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
            for held in self.by_name.get(*name).into_iter().flatten() {
                if let Some(entry) = self.functions.get_mut(held).filter(|entry| !entry.is_leaving()) {
                    entry.leave();
                    leaving.push(*held);
                }
            }
            if let Some(definition) = now {
                let number = number();
                self.functions.insert(number, FunctionEntry::new(name, definition));
                self.by_name.entry((*name).clone()).or_default().insert(number);
            }
        }
        leaving
    }

    /// A leaving function has nothing under way any more. Returns its name, unless it has come back meanwhile.
    pub(super) fn forget(&mut self, number: u32) -> Option<String> {
        let name = self.functions.remove(&number)?.name;
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
    pub(super) fn assigned(&mut self, slot: u32, regular: u32) -> BTreeMap<u32, Arc<FunctionDefinition>> {
        let something_to_lose = self.functions.values().any(FunctionEntry::is_kept);
        let free = |slot: &Slot| slot.phase == SlotPhase::Running;
        let first = self.slots.iter().find(|(_, slot)| free(slot)).map_or(slot, |(slot, _)| *slot);
        let mut wanted = BTreeMap::new();
        for (number, entry) in &mut self.functions {
            let proven = entry.record >= TrackRecord::Loaded;
            let everywhere = if slot < regular { proven || !something_to_lose } else { entry.is_kept() };
            if entry.may_load() && (everywhere || *entry.trial.get_or_insert(first) == slot) {
                wanted.insert(*number, Arc::clone(&entry.definition));
            }
        }
        wanted
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
        for entry in self.functions.values_mut().filter(|entry| entry.trial == Some(slot)) {
            entry.trial = None;
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
        self.start_error = None;
    }

    /// An interpreter has loaded a function.
    pub(super) fn loaded(&mut self, slot: u32, number: u32) {
        self.slots.entry(slot).or_default().stall(false);
        if let Some(entry) = self.functions.get_mut(&number) {
            entry.loaded.insert(slot);
            entry.record = entry.record.max(TrackRecord::Loaded);
            entry.crashes = 0;
        }
    }

    /// An interpreter could not load a function. One that works elsewhere stays; else it has failed: for good, unless
    /// it has worked before or the reason may pass. Returns when to try it again, if at all.
    pub(super) fn refused(&mut self, slot: u32, number: u32, error: Error) -> Option<Duration> {
        self.slots.entry(slot).or_default().stall(false);
        let entry = self.functions.get_mut(&number)?;
        entry.refused.insert(slot);
        let passes = error.code().retryable();
        if !entry.loaded.is_empty() || !entry.fail(error) {
            return None;
        }
        (passes || entry.record == TrackRecord::Served).then(|| entry.retry.after(Duration::ZERO))
    }

    /// A function that had failed is tried again.
    pub(super) fn retry(&mut self, number: u32) {
        if let Some(entry) = self.functions.get_mut(&number) {
            if matches!(entry.phase, FunctionPhase::Failed(_)) {
                entry.phase = FunctionPhase::Loading;
            }
            entry.refused.clear();
        }
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
        }
        self.slots.entry(slot).or_default().backoff.after(Duration::ZERO)
    }

    /// Nothing is loaded in a slot any more.
    fn vacate(&mut self, slot: u32) {
        self.slots.entry(slot).or_default().vacate();
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
            entry.fail(error.function(name).with(|info| {
                info.code = ErrorCode::LoadFailed as i32;
                info.message = message;
            }));
        }
    }

    /// Why a function can't be called now and perhaps never again.
    pub(super) fn failure(&self, number: u32) -> Option<Error> {
        let entry = self.functions.get(&number)?;
        let error = entry.failure().or(self.start_error.as_ref())?;
        Some(error.clone().function(&entry.name))
    }

    /// Numbers of the functions that can be called: those that an interpreter which takes calls has loaded.
    pub(super) fn callable(&mut self) -> BTreeSet<u32> {
        let in_service = self.slots.iter().filter(|(_, slot)| slot.in_service());
        let in_service: BTreeSet<u32> = in_service.map(|(slot, _)| *slot).collect();
        let start_failed = self.start_error.is_some();
        let mut callable = BTreeSet::new();
        for (number, entry) in &mut self.functions {
            if matches!(entry.phase, FunctionPhase::Loading) && !entry.loaded.is_disjoint(&in_service) {
                (entry.phase, entry.record) = (FunctionPhase::Serving, TrackRecord::Served);
            }
            if entry.is_serving() && !start_failed {
                callable.insert(*number);
            }
        }
        callable
    }

    /// What reports say of functions once the environment is built: of those of which that has changed, or that have failed.
    /// Looking costs little; what costs is to say it.
    pub(super) fn news(&mut self) -> Vec<FunctionStatus> {
        let mut news = Vec::new();
        for entry in self.functions.values_mut().filter(|entry| !entry.is_leaving()) {
            let error = entry.failure().or(self.start_error.as_ref());
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
    }

    /// What reports say of all functions.
    pub(super) fn statuses(&self) -> Vec<FunctionStatus> {
        let staying = self.functions.values().filter(|entry| !entry.is_leaving());
        staying.map(|entry| entry.status(entry.failure().or(self.start_error.as_ref()))).collect()
    }
}

impl FunctionEntry {
    fn new(name: &str, definition: &Arc<FunctionDefinition>) -> Self {
        Self {
            name: name.to_owned(),
            definition: Arc::clone(definition),
            phase: FunctionPhase::Loading,
            record: TrackRecord::Untried,
            loaded: BTreeSet::new(),
            refused: BTreeSet::new(),
            crashes: 0,
            trial: None,
            retry: Backoff::default(),
            told: None,
        }
    }

    fn is_leaving(&self) -> bool {
        matches!(self.phase, FunctionPhase::Leaving { .. } | FunctionPhase::Withdrawn)
    }

    fn is_serving(&self) -> bool {
        matches!(self.phase, FunctionPhase::Serving)
    }

    /// Calls of it may be under way.
    fn is_kept(&self) -> bool {
        matches!(self.phase, FunctionPhase::Serving | FunctionPhase::Leaving { served: true })
    }

    /// Interpreters may hold it, and load it where they don't.
    fn may_load(&self) -> bool {
        !matches!(self.phase, FunctionPhase::Failed(_) | FunctionPhase::Withdrawn)
    }

    fn failure(&self) -> Option<&Error> {
        match &self.phase {
            FunctionPhase::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// It has been dropped.
    fn leave(&mut self) {
        self.phase = match self.phase {
            FunctionPhase::Failed(_) | FunctionPhase::Withdrawn => FunctionPhase::Withdrawn,
            FunctionPhase::Loading => FunctionPhase::Leaving { served: false },
            FunctionPhase::Serving => FunctionPhase::Leaving { served: true },
            FunctionPhase::Leaving { served } => FunctionPhase::Leaving { served },
        };
    }

    /// Gives it up; false where that has happened before, or it is leaving.
    fn fail(&mut self, error: Error) -> bool {
        let fails = matches!(self.phase, FunctionPhase::Loading | FunctionPhase::Serving);
        if fails {
            self.phase = FunctionPhase::Failed(error);
        }
        fails
    }

    fn state(&self, error: Option<&Error>) -> LoadState {
        match error {
            Some(_) => LoadState::Failed,
            None if self.is_serving() => LoadState::Ready,
            None => LoadState::Loading,
        }
    }

    fn status(&self, error: Option<&Error>) -> FunctionStatus {
        FunctionStatus {
            function: self.name.clone(),
            state: self.state(error) as i32,
            error: error.map(|error| error.clone().function(&self.name).into_info()),
            interpreters: self.loaded.len() as u32,
            ..FunctionStatus::default()
        }
    }
}

#[cfg(test)]
mod tests;
