//! Whatever happens, a roster that looks at what has changed says what one says that looks at everything.

use proptest::prelude::*;
use udfleet_edge::tracked::TrackedMap;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// Functions that are wanted, as bits; those that were there before are others where `anew` has their bit.
    Want {
        wanted: u8,
        anew: u8,
    },
    Forget {
        number: u32,
    },
    Up {
        slot: u32,
    },
    Stalled {
        slot: u32,
    },
    Unloaded {
        slot: u32,
    },
    Loaded {
        slot: u32,
        number: u32,
    },
    Refused {
        slot: u32,
        number: u32,
        passes: bool,
    },
    Retry {
        number: u32,
    },
    Ended {
        slot: u32,
        loading: Option<u32>,
    },
    StartFailed {
        slot: u32,
    },
    RemoveSlot {
        slot: u32,
    },
    Regular {
        slots: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (slot, number) = (0u32..3, 1u32..12);
    prop_oneof![
        4 => (any::<u8>(), prop_oneof![4 => Just(0u8), 1 => any::<u8>()]).prop_map(|(wanted, anew)| Step::Want { wanted, anew }),
        2 => number.clone().prop_map(|number| Step::Forget { number }),
        4 => slot.clone().prop_map(|slot| Step::Up { slot }),
        1 => slot.clone().prop_map(|slot| Step::Stalled { slot }),
        1 => slot.clone().prop_map(|slot| Step::Unloaded { slot }),
        8 => (slot.clone(), number.clone()).prop_map(|(slot, number)| Step::Loaded { slot, number }),
        2 => (slot.clone(), number.clone(), any::<bool>())
            .prop_map(|(slot, number, passes)| Step::Refused { slot, number, passes }),
        1 => number.clone().prop_map(|number| Step::Retry { number }),
        2 => (slot.clone(), prop::option::of(number)).prop_map(|(slot, loading)| Step::Ended { slot, loading }),
        1 => slot.clone().prop_map(|slot| Step::StartFailed { slot }),
        1 => slot.prop_map(|slot| Step::RemoveSlot { slot }),
        1 => (1u32..4).prop_map(|slots| Step::Regular { slots }),
    ]
}

/// A roster, and what is wanted of it.
#[derive(Default)]
struct Fixture {
    roster: Roster,
    wanted: TrackedMap<String, Arc<FunctionDefinition>>,
    numbers: u32,
}

impl Fixture {
    fn apply(&mut self, step: &Step, definitions: &BTreeMap<String, Arc<FunctionDefinition>>) {
        let roster = &mut self.roster;
        let crash = || Error::new(ErrorCode::InterpreterCrashed, "crash");
        match *step {
            Step::Want { .. } => {
                let before = self.wanted.clone();
                for name in before.keys().filter(|name| !definitions.contains_key(*name)) {
                    self.wanted.remove(name);
                }
                self.wanted.extend(definitions.iter().map(|(name, definition)| (name.clone(), Arc::clone(definition))));
                let numbers = &mut self.numbers;
                roster.want(&self.wanted.since(&before, Arc::ptr_eq), || {
                    *numbers += 1;
                    *numbers
                });
            }
            Step::Forget { number } => {
                if roster.entry(number).is_some_and(FunctionEntry::is_leaving) {
                    roster.forget(number);
                }
            }
            Step::Up { slot } => roster.up(slot),
            Step::Stalled { slot } => roster.stalled(slot),
            Step::Unloaded { slot } => roster.unloaded(slot),
            Step::Loaded { slot, number } => roster.loaded(slot, number),
            Step::Refused { slot, number, passes } => {
                let code = if passes { ErrorCode::NoCapacity } else { ErrorCode::LoadFailed };
                roster.refused(slot, number, Error::new(code, "refused"));
            }
            Step::Retry { number } => roster.retry(number),
            Step::Ended { slot, loading } => {
                roster.ended(slot, Duration::ZERO, loading.map(|number| (number, crash())));
            }
            Step::StartFailed { slot } => drop(roster.start_failed(slot, crash())),
            Step::RemoveSlot { slot } => roster.remove_slot(slot),
            Step::Regular { .. } => {}
        }
    }

    /// Everything is looked at anew.
    fn look_at_all(&mut self) {
        self.roster.assignments.clear();
        self.roster.touch_all(|_| true);
    }

    fn look(&mut self, regular: u32) -> (BTreeSet<u32>, Vec<Vec<u32>>) {
        let callable = self.roster.callable();
        let slots = regular + self.roster.spares(regular);
        let assigned = |slot| self.roster.assigned(slot, regular).keys().copied().collect();
        (callable, (0..slots).map(assigned).collect())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn looking_at_what_has_changed_is_enough(steps in prop::collection::vec(step(), 0..80)) {
        let (mut quick, mut thorough) = (Fixture::default(), Fixture::default());
        let mut definitions: BTreeMap<String, Arc<FunctionDefinition>> = BTreeMap::new();
        let (mut regular, mut told) = (2, BTreeMap::new());
        for step in &steps {
            match *step {
                Step::Want { wanted, anew } => {
                    for bit in 0..8u8 {
                        let name = format!("f{bit}@1");
                        if wanted & (1 << bit) == 0 || anew & (1 << bit) != 0 {
                            definitions.remove(&name);
                        }
                        if wanted & (1 << bit) != 0 {
                            definitions.entry(name).or_default();
                        }
                    }
                }
                Step::Regular { slots } => regular = slots,
                _ => {}
            }
            quick.apply(step, &definitions);
            thorough.apply(step, &definitions);
            thorough.look_at_all();
            prop_assert_eq!(quick.look(regular), thorough.look(regular), "after {:?}", step);
            for status in quick.roster.news() {
                told.insert(status.function.clone(), status);
            }
            for status in quick.roster.statuses() {
                prop_assert_eq!(told.get(&status.function), Some(&status), "what was told last");
            }
            let kept = quick.roster.functions.values().filter(|entry| entry.is_kept()).count();
            prop_assert_eq!(quick.roster.kept, kept);
        }
    }
}
