//! Every schedule of two bundles with at most two crashes, lost, doubled and late messages: what was committed is
//! committed once, what is released is what was committed, and a stream always comes to its end. Mistakes that a
//! program could make are found.

mod schedule;
mod verdict;
mod world;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use schedule::Step;
use verdict::Violation;
use world::{Budget, Functions, PlantedBug, World};

/// What a search has seen.
struct Explored {
    worlds: usize,
    /// The first violation, with what led to it.
    violation: Option<(Violation, Vec<Step>)>,
}

/// The steps that led to a world, the last one first.
struct Trace(Step, Option<Rc<Trace>>);

fn steps_of(trace: Option<Rc<Trace>>) -> Vec<Step> {
    let mut steps: Vec<_> =
        std::iter::successors(trace.as_deref(), |trace| trace.1.as_deref()).map(|trace| trace.0).collect();
    steps.reverse();
    steps
}

/// Visits every world that is reachable, depth first.
fn explore(first: World) -> Explored {
    let hasher = RandomState::new();
    let mut seen = HashSet::from([hasher.hash_one(&first)]);
    let mut open: Vec<(World, Option<Rc<Trace>>)> = vec![(first, None)];
    while let Some((world, trace)) = open.pop() {
        for step in world.steps() {
            let mut next = world.clone();
            next.take(step);
            if !seen.insert(hasher.hash_one(&next)) {
                continue;
            }
            let trace = Some(Rc::new(Trace(step, trace.clone())));
            if let Err(violation) = next.check() {
                return Explored { worlds: seen.len(), violation: Some((violation, steps_of(trace))) };
            }
            open.push((next, trace));
        }
    }
    Explored { worlds: seen.len(), violation: None }
}

fn assert_sound(budget: Budget, functions: Functions, at_least: usize) {
    let explored = explore(World::new(budget, functions, None));
    println!("{budget:?}, {functions:?}: {} worlds", explored.worlds);
    if let Some((violation, steps)) = explored.violation {
        let steps: Vec<_> = steps.iter().map(|step| format!("{step:?}")).collect();
        panic!("{violation:?} after\n{}", steps.join("\n"));
    }
    assert!(explored.worlds >= at_least, "only {} worlds: the search has lost something", explored.worlds);
}

fn assert_found(budget: Budget, functions: Functions, bug: PlantedBug) {
    let explored = explore(World::new(budget, functions, Some(bug)));
    assert!(explored.violation.is_some(), "{bug:?} was not found in {} worlds", explored.worlds);
}

#[test]
fn two_crashes_with_messages_in_any_order() {
    assert_sound(Budget { crashes: 2, lost: 0, doubled: 0 }, Functions::Random, 50_000);
}

#[test]
fn one_crash_with_lost_and_doubled_messages() {
    assert_sound(Budget { crashes: 1, lost: 1, doubled: 1 }, Functions::Random, 20_000);
}

#[test]
fn two_crashes_with_a_lost_message() {
    assert_sound(Budget { crashes: 2, lost: 1, doubled: 0 }, Functions::Random, 50_000);
}

#[test]
fn two_crashes_with_a_doubled_message() {
    assert_sound(Budget { crashes: 2, lost: 0, doubled: 1 }, Functions::Random, 500_000);
}

#[test]
fn two_crashes_with_results_that_are_the_same_each_time() {
    assert_sound(Budget { crashes: 2, lost: 0, doubled: 0 }, Functions::Deterministic, 50_000);
    assert_sound(Budget { crashes: 1, lost: 1, doubled: 1 }, Functions::Deterministic, 20_000);
}

#[test]
fn a_store_that_does_not_fence_is_found() {
    assert_found(Budget { crashes: 1, lost: 0, doubled: 0 }, Functions::Random, PlantedBug::NoFence);
}

#[test]
fn an_owner_that_says_committed_before_it_is_durable_is_found() {
    assert_found(Budget { crashes: 1, lost: 0, doubled: 0 }, Functions::Random, PlantedBug::EarlyRelease);
}

#[test]
fn a_confirm_that_commits_whatever_the_owner_holds_is_found() {
    assert_found(Budget { crashes: 2, lost: 1, doubled: 1 }, Functions::Random, PlantedBug::MissingDigest);
}

#[test]
fn an_owner_that_ignores_sessions_is_found() {
    assert_found(Budget { crashes: 2, lost: 1, doubled: 0 }, Functions::Deterministic, PlantedBug::SessionIgnored);
}

#[test]
fn changes_that_are_written_apart_from_their_record_are_found() {
    assert_found(Budget { crashes: 1, lost: 0, doubled: 0 }, Functions::Random, PlantedBug::RecordApart);
}
