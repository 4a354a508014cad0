//! Properties of placement, for any fleet.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use udfleet_proto::network::Network;
use udfleet_proto::v1::SandboxStatus;

use super::{Assignment, Offer, PlacementRequest, Placer, PythonRequirement, feasible};

/// What placement decides where everything is looked at.
#[derive(Debug, PartialEq)]
struct Placement {
    assigned: Assignment,
    unplaced: BTreeMap<String, String>,
}

impl Placement {
    fn of(placer: &Placer, wanted: &[PlacementRequest]) -> Self {
        let names = || wanted.iter().map(|w| w.environment.clone());
        let assigned = names().filter_map(|e| placer.places(&e).cloned().map(|places| (e, places))).collect();
        let unplaced = names().filter_map(|e| placer.unplaced(&e).cloned().map(|reason| (e, reason))).collect();
        Self { assigned, unplaced }
    }
}

fn place(wanted: &[PlacementRequest], offers: &[Offer], current: &Assignment) -> Placement {
    let mut placer = Placer::default();
    wanted.iter().for_each(|w| placer.want(&w.environment, Some(w.clone())));
    offers.iter().for_each(|o| placer.offer(&o.executor, Some(o.clone())));
    for offer in offers {
        let here = current.iter().filter(|(_, on)| on.contains_key(&offer.executor));
        placer.hold(&offer.executor, here.map(|(environment, _)| environment.as_str()));
    }
    placer.settle();
    Placement::of(&placer, wanted)
}

/// Devices of two kinds, mostly none.
fn devices(most: u32) -> impl Strategy<Value = BTreeMap<String, u32>> {
    let kind = prop::sample::select(vec!["gpu", "fpga"]).prop_map(str::to_owned);
    prop_oneof![2 => Just(BTreeMap::new()), 1 => prop::collection::btree_map(kind, 1..=most, 1..3)]
}

/// Nearly always none, else one of two zones.
fn zone() -> impl Strategy<Value = BTreeMap<String, String>> {
    let zone =
        prop::sample::select(vec!["a", "b"]).prop_map(|zone| BTreeMap::from([("zone".to_owned(), zone.to_owned())]));
    prop_oneof![2 => Just(BTreeMap::new()), 1 => zone]
}

fn wanted() -> impl Strategy<Value = Vec<PlacementRequest>> {
    let networks = prop_oneof![3 => Just(Network::All), 1 => Just(Network::None)];
    let pythons = prop::sample::select(vec!["", "3.11", "3.12", "3.9", "/opt/py"]);
    let one = (pythons, 0u32..5, 0u32..4, zone(), devices(2), networks);
    prop::collection::vec(one, 0..12).prop_map(|all| {
        let row = |(index, (python, interpreters, executors, labels, resources, network)): (
            usize,
            (&str, u32, u32, _, _, _),
        )| PlacementRequest {
            environment: format!("env{index}"),
            python: PythonRequirement::parse(python).unwrap(),
            payloads: BTreeSet::new(),
            interpreters,
            executors,
            labels,
            resources,
            network,
            secrets: BTreeSet::new(),
        };
        all.into_iter().enumerate().map(row).collect()
    })
}

fn offers() -> impl Strategy<Value = Vec<Offer>> {
    let pythons = prop::sample::subsequence(vec!["3.11.2", "3.12.1"], 0..=2);
    let built = prop::collection::btree_set((0usize..12).prop_map(|i| format!("env{i}")), 0..4);
    let one = (pythons, 0u32..9, 1u32..4, built, prop::bool::weighted(0.2), zone(), devices(5), prop::bool::ANY);
    prop::collection::vec(one, 0..6).prop_map(|all| {
        let row = |(index, (pythons, capacity, default_interpreters, built, draining, labels, resources, closes)): (
            usize,
            (Vec<&str>, _, _, _, _, _, _, _),
        )| {
            Offer {
                executor: format!("exec{index}"),
                pythons: pythons.into_iter().map(str::to_owned).collect(),
                capacity,
                default_interpreters,
                built,
                draining,
                unreachable: false,
                labels,
                resources,
                sandbox: SandboxStatus { closes_network: closes, ..SandboxStatus::default() },
                secrets: BTreeSet::new(),
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
    fn who_is_unreachable_keeps_what_it_has_and_gets_nothing(
        wanted in wanted(), more in wanted(), offers in offers(), which in any::<prop::sample::Index>(),
    ) {
        prop_assume!(!offers.is_empty());
        let cut_off = Offer { unreachable: true, ..which.get(&offers).clone() };
        let mut placer = Placer::default();
        wanted.iter().for_each(|w| placer.want(&w.environment, Some(w.clone())));
        offers.iter().for_each(|o| placer.offer(&o.executor, Some(o.clone())));
        // Until all is where it is going to be.
        while placer.is_stale() {
            placer.settle();
        }
        let before = Placement::of(&placer, &wanted);
        placer.offer(&cut_off.executor, Some(cut_off.clone()));
        placer.settle();
        prop_assert_eq!(&Placement::of(&placer, &wanted).assigned, &before.assigned, "nothing moves");
        let new = |w: PlacementRequest| PlacementRequest { environment: format!("new-{}", w.environment), ..w };
        let more: Vec<PlacementRequest> = more.into_iter().map(new).collect();
        more.iter().for_each(|w| placer.want(&w.environment, Some(w.clone())));
        placer.settle();
        let after = Placement::of(&placer, &more);
        prop_assert_eq!(used(&after, &cut_off.executor), 0, "nothing new goes where nobody can tell it");
        // What is withdrawn from it goes elsewhere, or says why it does not.
        for environment in before.assigned.iter().filter(|(_, on)| on.contains_key(&cut_off.executor)).map(|(e, _)| e) {
            placer.withdraw(environment, &cut_off.executor);
        }
        placer.settle();
        let placement = Placement::of(&placer, &wanted);
        prop_assert_eq!(used(&placement, &cut_off.executor), 0);
        let told = |w: &PlacementRequest| {
            placement.assigned.contains_key(&w.environment)
                || placement.unplaced.get(&w.environment).is_some_and(|reason| !reason.is_empty())
        };
        prop_assert!(wanted.iter().all(told), "nothing vanishes");
    }

    #[test]
    fn rules_hold(wanted in wanted(), offers in offers()) {
        let placement = place(&wanted, &offers, &Assignment::new());
        for offer in &offers {
            prop_assert!(used(&placement, &offer.executor) <= offer.capacity, "capacity of {}", offer.executor);
            for (kind, count) in &offer.resources {
                let held = |w: &PlacementRequest| {
                    let interpreters = placement.assigned.get(&w.environment).and_then(|on| on.get(&offer.executor));
                    w.resources.get(kind).copied().unwrap_or(0) * interpreters.copied().unwrap_or(0)
                };
                prop_assert!(wanted.iter().map(held).sum::<u32>() <= *count, "{} of {}", kind, offer.executor);
            }
            prop_assert!(!offer.draining || used(&placement, &offer.executor) == 0, "nothing on draining ones");
        }
        for want in &wanted {
            let on = placement.assigned.get(&want.environment);
            prop_assert_eq!(on.is_none(), placement.unplaced.contains_key(&want.environment), "reasons iff unplaced");
            for (executor, interpreters) in on.into_iter().flatten() {
                let offer = offers.iter().find(|o| o.executor == *executor).unwrap();
                prop_assert!(feasible(want, &[offer]).is_ok());
                prop_assert!(*interpreters >= want.interpreters.max(1));
                prop_assert!(want.interpreters == 0 || *interpreters == want.interpreters);
            }
            prop_assert!(want.executors == 0 || on.is_none_or(|on| on.len() <= want.executors as usize));
            if on.is_none() && want.interpreters <= 1 && want.resources.is_empty() {
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

/// One thing that happens to a fleet; the index names who it happens to.
#[derive(Debug, Clone)]
enum Change {
    Want(usize, Option<PlacementRequest>),
    Offer(usize, Option<Offer>),
}

/// Sequences in which several things happen between two placements.
fn sequences() -> impl Strategy<Value = Vec<Vec<Change>>> {
    let gone = || prop::bool::weighted(0.25);
    let want = (0usize..12, wanted(), gone()).prop_map(|(index, wanted, gone)| {
        let named = |wanted: PlacementRequest| PlacementRequest { environment: format!("env{index}"), ..wanted };
        Change::Want(index, wanted.into_iter().next().filter(|_| !gone).map(named))
    });
    let offer = (0usize..6, offers(), gone()).prop_map(|(index, offers, gone)| {
        let named = |offer: Offer| Offer { executor: format!("exec{index}"), ..offer };
        Change::Offer(index, offers.into_iter().next().filter(|_| !gone).map(named))
    });
    prop::collection::vec(prop::collection::vec(prop_oneof![3 => want, 2 => offer], 1..4), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_up_to_date_is_what_would_be_decided_anew(sequence in sequences()) {
        let mut placer = Placer::default();
        let (mut wanted, mut offers) = (BTreeMap::new(), BTreeMap::new());
        let mut before = Placement { assigned: Assignment::new(), unplaced: BTreeMap::new() };
        for changes in sequence {
            let mut named = BTreeSet::new();
            for change in changes {
                let name = match &change {
                    Change::Want(index, _) => ("environment", *index),
                    Change::Offer(index, _) => ("executor", *index),
                };
                if !named.insert(name) {
                    continue;
                }
                match change {
                    Change::Want(index, want) => {
                        placer.want(&format!("env{index}"), want.clone());
                        match want {
                            Some(want) => drop(wanted.insert(want.environment.clone(), want)),
                            None => drop(wanted.remove(&format!("env{index}"))),
                        }
                    }
                    Change::Offer(index, offer) => {
                        placer.offer(&format!("exec{index}"), offer.clone());
                        match offer {
                            Some(offer) => drop(offers.insert(offer.executor.clone(), offer)),
                            None => drop(offers.remove(&format!("exec{index}"))),
                        }
                    }
                }
            }
            let moved = placer.settle();
            let all_wanted: Vec<PlacementRequest> = wanted.values().cloned().collect();
            let all_offers: Vec<Offer> = offers.values().cloned().collect();
            let now = Placement::of(&placer, &all_wanted);
            prop_assert_eq!(&now, &place(&all_wanted, &all_offers, &before.assigned));
            for executor in offers.keys() {
                let on = now.assigned.iter().filter_map(|(e, on)| Some((e.as_str(), *on.get(executor)?)));
                prop_assert!(placer.on(executor).eq(on), "{}", executor);
            }
            // It says what has changed, and nothing else.
            let names: BTreeSet<&String> = [&before, &now].into_iter().flat_map(|p| p.assigned.keys().chain(p.unplaced.keys())).collect();
            for name in names {
                let at = |p: &Placement| p.assigned.get(name).cloned().unwrap_or_default();
                let differs = at(&before) != at(&now) || wanted.contains_key(name) && before.unplaced.get(name) != now.unplaced.get(name);
                prop_assert_eq!(moved.get(name).cloned(), differs.then(|| at(&before)), "{}", name);
            }
            before = now;
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
    PlacementRequest {
        environment: name.to_owned(),
        python,
        payloads: BTreeSet::new(),
        interpreters,
        executors,
        labels: BTreeMap::new(),
        resources: BTreeMap::new(),
        network: Network::All,
        secrets: BTreeSet::new(),
    }
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
