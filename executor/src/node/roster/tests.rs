use udfleet_edge::tracked::TrackedMap;
use udfleet_proto::v1::LoadState;

use super::*;

impl Roster {
    /// Numbers of all functions that can be called.
    pub(super) fn callable(&mut self) -> BTreeSet<u32> {
        self.settle();
        self.callable.clone()
    }
}

fn roster(names: &[&str]) -> Roster {
    let mut roster = Roster::default();
    want(&mut roster, names);
    roster
}

fn want(roster: &mut Roster, names: &[&str]) -> Vec<u32> {
    let held = |entry: &FunctionEntry| (entry.name.clone(), Arc::clone(&entry.definition));
    let before: TrackedMap<_, _> = roster.functions.values().filter(|entry| !entry.is_leaving()).map(held).collect();
    let mut now = before.clone();
    for name in before.keys().filter(|name| !names.contains(&name.as_str())) {
        now.remove(name);
    }
    now.extend(
        names.iter().filter(|name| !before.contains_key(**name)).map(|name| ((*name).to_owned(), Arc::default())),
    );
    let mut next = roster.functions.keys().max().copied().unwrap_or(0);
    roster.want(&now.since(&before, Arc::ptr_eq), || {
        next += 1;
        next
    })
}

fn states(roster: &Roster) -> Vec<(String, LoadState, u32)> {
    roster.statuses().into_iter().map(|s| (s.function.clone(), s.state(), s.interpreters)).collect()
}

fn crash() -> Error {
    Error::new(ErrorCode::InterpreterCrashed, "the interpreter was ended by SIGSEGV")
}

#[test]
fn ready_when_loaded_where_calls_go() {
    let mut roster = roster(&["f@1"]);
    roster.up(1);
    roster.loaded(0, 1);
    assert!(roster.callable().is_empty(), "slot 0 takes no calls yet");
    roster.loaded(1, 1);
    assert_eq!(roster.callable(), BTreeSet::from([1]));
    assert_eq!(states(&roster), [("f@1".to_owned(), LoadState::Ready, 2)]);
}

#[test]
fn a_spare_serves_while_every_interpreter_is_busy_with_a_load() {
    let mut roster = roster(&["f@1"]);
    for slot in 0..2 {
        roster.loaded(slot, 1);
        roster.up(slot);
    }
    roster.callable();
    want(&mut roster, &["f@1", "slow@1"]);
    assert_eq!(roster.assigned(0, 2).len(), 2, "tried here");
    roster.stalled(0);
    assert_eq!(roster.spares(2), 0, "the other takes calls");
    roster.stalled(1);
    assert_eq!(roster.spares(2), 1);
    assert_eq!(roster.assigned(2, 2).keys().collect::<Vec<_>>(), [&1], "only what is served");
    roster.up(2);
    want(&mut roster, &["f@1", "slow@1", "new@1"]);
    assert!(roster.assigned(2, 2).contains_key(&3), "new functions are not tried behind the load");
    roster.ended(1, Duration::ZERO, None);
    assert_eq!(roster.spares(2), 1, "until its replacement takes calls");
    roster.up(1);
    assert_eq!(roster.spares(2), 0);
    roster.remove_slot(2);
    roster.refused(0, 2, crash());
    assert_eq!((roster.spares(2), roster.callable()), (0, BTreeSet::from([1])));
}

#[test]
fn a_replacement_changes_nothing_for_callers() {
    let mut roster = roster(&["f@1"]);
    roster.loaded(0, 1);
    roster.up(0);
    assert_eq!(roster.callable().len(), 1);
    roster.ended(0, Duration::from_secs(1), None);
    assert_eq!(roster.callable().len(), 1);
    assert_eq!(states(&roster), [("f@1".to_owned(), LoadState::Ready, 0)]);
}

#[test]
fn a_function_that_can_not_be_loaded_fails_at_once_and_alone() {
    let mut roster = roster(&["bad@1", "good@1"]);
    roster.refused(0, 1, Error::new(ErrorCode::LoadFailed, "no module named x"));
    roster.loaded(0, 2);
    roster.up(0);
    assert_eq!(roster.callable(), BTreeSet::from([2]));
    assert_eq!(roster.assigned(0, 8).keys().collect::<Vec<_>>(), [&2]);
    assert_eq!(states(&roster)[0].1, LoadState::Failed);
    assert!(roster.statuses()[0].error.as_ref().unwrap().message.contains("no module"));
}

#[test]
fn one_refusal_among_many_interpreters_takes_nothing_away() {
    let mut roster = roster(&["f@1"]);
    roster.up(0);
    roster.up(1);
    roster.loaded(0, 1);
    roster.refused(1, 1, Error::new(ErrorCode::LoadFailed, "flaky"));
    assert_eq!(roster.callable(), BTreeSet::from([1]));
}

#[test]
fn a_function_that_has_worked_is_tried_again() {
    let mut roster = roster(&["f@1"]);
    roster.loaded(0, 1);
    roster.up(0);
    assert_eq!(roster.callable().len(), 1);
    roster.ended(0, Duration::ZERO, None);
    let flaky = Error::new(ErrorCode::LoadFailed, "database is away");
    assert!(roster.refused(0, 1, flaky).is_some());
    roster.up(0);
    assert!(roster.callable().is_empty(), "no call waits for what may never come");
    assert!(roster.assigned(0, 8).is_empty());
    roster.retry(1);
    roster.loaded(0, 1);
    assert_eq!(roster.callable().len(), 1);
}

#[test]
fn what_may_pass_is_tried_again() {
    for (code, again) in [(ErrorCode::NoCapacity, true), (ErrorCode::LoadFailed, false)] {
        let mut roster = roster(&["f@1"]);
        roster.up(0);
        assert_eq!(roster.refused(0, 1, Error::new(code, "the disk is full")).is_some(), again, "{code:?}");
        assert_eq!(roster.statuses().remove(0).state(), LoadState::Failed, "it is told");
        if again {
            roster.retry(1);
            roster.loaded(0, 1);
            assert_eq!(roster.callable().len(), 1);
        }
    }
}

#[test]
fn a_load_that_crashes_is_given_up_after_two_tries() {
    let mut roster = roster(&["bad@1", "good@1"]);
    roster.ended(0, Duration::ZERO, Some((1, crash())));
    assert_eq!(roster.assigned(0, 8).len(), 2);
    roster.ended(0, Duration::ZERO, Some((1, crash())));
    assert_eq!(roster.assigned(0, 8).keys().collect::<Vec<_>>(), [&2]);
    let status = roster.statuses().remove(0);
    assert_eq!(status.state(), LoadState::Failed);
    let error = status.error.unwrap();
    assert!(error.code() == ErrorCode::LoadFailed && error.message.contains("SIGSEGV"), "{error:?}");
}

#[test]
fn where_others_have_something_to_lose_a_new_function_is_tried_in_one_place() {
    let mut roster = roster(&["old@1"]);
    for slot in [0, 1] {
        roster.loaded(slot, 1);
        roster.up(slot);
    }
    assert_eq!(roster.callable().len(), 1);
    want(&mut roster, &["old@1", "new@1"]);
    assert_eq!((roster.assigned(0, 8).len(), roster.assigned(1, 8).len()), (2, 1));
    roster.ended(0, Duration::ZERO, Some((2, crash())));
    assert_eq!((roster.assigned(0, 8).len(), roster.assigned(1, 8).len()), (2, 1), "tried again in the same place");
    roster.loaded(0, 2);
    roster.loaded(0, 1);
    roster.up(0);
    assert_eq!(roster.assigned(1, 8).len(), 2);
    assert_eq!(roster.callable().len(), 2);
}

#[test]
fn starts_that_fail_are_reported_until_one_succeeds() {
    let mut roster = roster(&["f@1"]);
    let broken = || Error::new(ErrorCode::EnvironmentFailed, "can't load libpython");
    assert_eq!(roster.start_failed(0, broken()), Duration::from_millis(100));
    assert_eq!(states(&roster)[0].1, LoadState::Loading);
    assert_eq!(roster.start_failed(0, broken()), Duration::from_millis(200));
    assert_eq!(states(&roster)[0].1, LoadState::Failed);
    roster.loaded(0, 1);
    roster.up(0);
    assert_eq!(roster.callable().len(), 1);
    assert_eq!(states(&roster)[0].1, LoadState::Ready);
}

#[test]
fn a_dropped_function_stays_loaded_until_nothing_is_under_way() {
    let mut roster = roster(&["f@1", "g@1"]);
    for number in [1, 2] {
        roster.loaded(0, number);
    }
    roster.up(0);
    assert_eq!(want(&mut roster, &["g@1"]), [1]);
    assert!(want(&mut roster, &["g@1"]).is_empty(), "said once");
    assert_eq!(roster.callable(), BTreeSet::from([2]));
    assert_eq!(roster.assigned(0, 8).len(), 2);
    assert_eq!(states(&roster).len(), 1);
    assert_eq!(roster.forget(1).as_deref(), Some("f@1"));
    assert_eq!(roster.assigned(0, 8).len(), 1);
}

#[test]
fn a_function_may_come_back_while_it_is_leaving() {
    let mut roster = roster(&["f@1"]);
    want(&mut roster, &[]);
    want(&mut roster, &["f@1"]);
    assert_eq!(roster.assigned(0, 8).len(), 2, "under another number");
    assert_eq!(roster.forget(1), None);
    assert_eq!(states(&roster), [("f@1".to_owned(), LoadState::Loading, 0)]);
}

#[test]
fn another_definition_under_the_same_name_is_another_function() {
    let mut roster = roster(&["f@1"]);
    roster.up(0);
    roster.loaded(0, 1);
    let functions: TrackedMap<_, _> = [("f@1".to_owned(), Arc::<FunctionDefinition>::default())].into_iter().collect();
    let nothing = TrackedMap::default();
    let changed = functions.since(&nothing, Arc::ptr_eq);
    assert_eq!(roster.want(&changed, || 2), [1], "the one that is loaded leaves");
    assert!(roster.assigned(0, 8).contains_key(&2));
    assert_eq!(states(&roster), [("f@1".to_owned(), LoadState::Loading, 0)]);
}

#[test]
fn only_what_has_changed_of_functions_is_told() {
    let mut roster = roster(&["f@1", "g@1"]);
    let news =
        |roster: &mut Roster| roster.news().into_iter().map(|s| (s.function.clone(), s.state())).collect::<Vec<_>>();
    assert_eq!(news(&mut roster).len(), 2);
    assert!(news(&mut roster).is_empty());
    roster.up(0);
    roster.loaded(0, 1);
    roster.callable();
    assert_eq!(news(&mut roster), [("f@1".to_owned(), LoadState::Ready)]);
    assert!(news(&mut roster).is_empty());
    let failed = || vec![("g@1".to_owned(), LoadState::Failed)];
    roster.refused(0, 2, crash());
    assert_eq!(news(&mut roster), failed());
    assert!(news(&mut roster).is_empty());
    roster.tell_anew();
    assert_eq!(news(&mut roster).len(), 2);
    assert_eq!(roster.statuses().len(), 2);
}

#[test]
fn a_change_costs_what_it_concerns() {
    let names: Vec<String> = (0..1000).map(|n| format!("f{n}@1")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut roster = roster(&names);
    for slot in 0..2 {
        (1..=1000).for_each(|number| roster.loaded(slot, number));
        roster.up(slot);
    }
    let look = |roster: &mut Roster| {
        let before = roster.looked_at;
        let changes = roster.settle();
        let assigned = [roster.assigned(0, 2).len(), roster.assigned(1, 2).len()];
        (changes.added.len() + changes.removed.len(), assigned, roster.news().len(), roster.looked_at - before)
    };
    look(&mut roster);
    names.push("new@1");
    want(&mut roster, &names);
    assert_eq!(look(&mut roster), (0, [1001, 1000], 1, 4));
    roster.loaded(0, 1001);
    assert_eq!(look(&mut roster), (1, [1001, 1001], 1, 4));
    names.remove(0);
    assert_eq!(want(&mut roster, &names), [1]);
    assert_eq!(look(&mut roster), (1, [1001, 1001], 0, 4));
    roster.forget(1);
    assert_eq!(look(&mut roster), (0, [1000, 1000], 0, 4));
    roster.stalled(0);
    assert_eq!(look(&mut roster), (0, [1000, 1000], 0, 0));
}
