//! What placement promises, for any fleet.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Assignment, Offer, Placement, PlacementRequest, PythonRequirement, feasible, place};

fn wanted() -> impl Strategy<Value = Vec<PlacementRequest>> {
    let one = (prop::sample::select(vec!["", "3.11", "3.12", "3.9", "/opt/py"]), 0u32..5, 0u32..4);
    prop::collection::vec(one, 0..12).prop_map(|all| {
        let row = |(index, (python, interpreters, executors)): (usize, (&str, u32, u32))| PlacementRequest {
            environment: format!("env{index}"),
            python: PythonRequirement::parse(python).unwrap(),
            payloads: BTreeSet::new(),
            interpreters,
            executors,
        };
        all.into_iter().enumerate().map(row).collect()
    })
}

fn offers() -> impl Strategy<Value = Vec<Offer>> {
    let pythons = prop::sample::subsequence(vec!["3.11.2", "3.12.1"], 0..=2);
    let built = prop::collection::btree_set((0usize..12).prop_map(|i| format!("env{i}")), 0..4);
    let one = (pythons, 0u32..9, 1u32..4, built, prop::bool::weighted(0.2));
    prop::collection::vec(one, 0..6).prop_map(|all| {
        let row =
            |(index, (pythons, capacity, default_interpreters, built, draining)): (usize, (Vec<&str>, _, _, _, _))| {
                Offer {
                    executor: format!("exec{index}"),
                    pythons: pythons.into_iter().map(str::to_owned).collect(),
                    capacity,
                    default_interpreters,
                    built,
                    draining,
                }
            };
        all.into_iter().enumerate().map(row).collect()
    })
}

fn used(placement: &Placement, executor: &str) -> u32 {
    placement.assigned.values().filter_map(|on| on.get(executor)).sum()
}

fn executors_of(placement: &Placement) -> BTreeMap<String, BTreeSet<String>> {
    placement.assigned.iter().map(|(env, on)| (env.clone(), on.keys().cloned().collect())).collect()
}

proptest! {
    #[test]
    fn rules_hold(wanted in wanted(), offers in offers()) {
        let placement = place(&wanted, &offers, &Assignment::new());
        for offer in &offers {
            prop_assert!(used(&placement, &offer.executor) <= offer.capacity, "capacity of {}", offer.executor);
            prop_assert!(!offer.draining || used(&placement, &offer.executor) == 0, "nothing on draining ones");
        }
        for want in &wanted {
            let on = placement.assigned.get(&want.environment);
            prop_assert_eq!(on.is_none(), placement.unplaced.contains_key(&want.environment), "reasons iff unplaced");
            for (executor, interpreters) in on.into_iter().flatten() {
                let offer = offers.iter().find(|o| o.executor == *executor).unwrap();
                prop_assert!(feasible(want, std::slice::from_ref(offer)).is_ok());
                prop_assert!(*interpreters >= want.interpreters.max(1));
                prop_assert!(want.interpreters == 0 || *interpreters == want.interpreters);
            }
            prop_assert!(want.executors == 0 || on.is_none_or(|on| on.len() <= want.executors as usize));
            if on.is_none() && want.interpreters <= 1 {
                // Everybody's first executor goes before anybody's second, and before growth.
                for offer in offers.iter().filter(|o| !o.draining && feasible(want, std::slice::from_ref(o)).is_ok()) {
                    let firsts = wanted.iter().filter(|w| {
                        placement.assigned.get(&w.environment).is_some_and(|on| on.len() == 1 && on.contains_key(&offer.executor))
                    });
                    let needs: u32 = firsts.map(|w| w.interpreters.max(1)).sum();
                    let several = placement.assigned.values().any(|on| on.len() > 1 && on.contains_key(&offer.executor));
                    prop_assert!(needs >= offer.capacity || several, "{} has room", offer.executor);
                }
            }
        }
    }

    #[test]
    fn order_of_input_does_not_matter(wanted in wanted(), offers in offers()) {
        let there = place(&wanted, &offers, &Assignment::new());
        let (mut back_wanted, mut back_offers) = (wanted.clone(), offers.clone());
        back_wanted.reverse();
        back_offers.reverse();
        prop_assert_eq!(there, place(&back_wanted, &back_offers, &Assignment::new()));
    }

    #[test]
    fn nothing_changes_without_a_reason(wanted in wanted(), offers in offers()) {
        let first = place(&wanted, &offers, &Assignment::new());
        prop_assert_eq!(&first, &place(&wanted, &offers, &first.assigned));
    }

    #[test]
    fn a_join_takes_nothing_away(wanted in wanted(), mut offers in offers(), joining in offers()) {
        let first = place(&wanted, &offers, &Assignment::new());
        offers.extend(joining.into_iter().map(|o| Offer { executor: format!("new-{}", o.executor), ..o }));
        let placement = place(&wanted, &offers, &first.assigned);
        // What had no place at all may take one that others hold beside another.
        let newly_placed = placement.unplaced.len() < first.unplaced.len();
        let second = executors_of(&placement);
        for (environment, before) in executors_of(&first) {
            let want = wanted.iter().find(|w| w.environment == environment).unwrap();
            let after = second.get(&environment).cloned().unwrap_or_default();
            let kept = if newly_placed { !before.is_disjoint(&after) } else { before.is_subset(&after) };
            prop_assert!(kept, "{want:?} moved from {before:?} to {after:?}");
        }
    }
}

fn one(id: &str, capacity: u32) -> Offer {
    Offer {
        executor: id.to_owned(),
        pythons: vec!["3.11.2".to_owned()],
        capacity,
        default_interpreters: 2,
        ..Offer::default()
    }
}

fn simple(name: &str, interpreters: u32, executors: u32) -> PlacementRequest {
    let python = PythonRequirement::Default;
    PlacementRequest { environment: name.to_owned(), python, payloads: BTreeSet::new(), interpreters, executors }
}

#[test]
fn a_built_environment_attracts() {
    let mut offers: Vec<Offer> = (0..8).map(|i| one(&format!("e{i}"), 4)).collect();
    offers[5].built.insert("env".to_owned());
    let placement = place(&[simple("env", 1, 1)], &offers, &Assignment::new());
    assert_eq!(placement.assigned["env"].keys().collect::<Vec<_>>(), ["e5"]);
}

#[test]
fn lost_executors_are_replaced_and_all_are_used_by_default() {
    let offers = [one("a", 4), one("b", 4)];
    let first = place(&[simple("env", 0, 0)], &offers, &Assignment::new());
    assert_eq!(first.assigned["env"], BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 2)]));
    let second = place(&[simple("env", 0, 0)], &offers[1..], &first.assigned);
    assert_eq!(second.assigned["env"].keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_full_fleet_says_so() {
    let placement = place(&[simple("x", 4, 0), simple("y", 1, 0)], &[one("a", 4)], &Assignment::new());
    assert!(placement.unplaced["y"].contains("none has more than 0 left"), "{placement:?}");
    let draining = Offer { draining: true, ..one("a", 4) };
    let placement = place(&[simple("x", 1, 0)], &[draining], &Assignment::new());
    assert_eq!(placement.unplaced["x"], "every executor that could run it is draining: a");
}
