//! Executors that others reach, and leaders that reach none.

use super::*;

/// What another coordinator says of a process.
fn claim(process: &str) -> Claim {
    let [from, since] = Default::default();
    Claim { incarnation: process.to_owned(), address: "127.0.0.1:1".to_owned(), from, since }
}

/// Another coordinator lives and has these attached.
fn attached_elsewhere(fleet: &mut TestFleet, executors: &[&str]) {
    fleet.core.coordinators_changed([("other".to_owned(), "10.0.0.2:8815".to_owned())].into());
    executors.iter().for_each(|id| fleet.core.claimed(id, "other", Some(claim("first"))));
}

#[tokio::test]
async fn who_is_lost_here_and_attached_elsewhere_keeps_its_work() {
    let mut fleet = TestFleet::new(&["f"]);
    let (_a, b) = (fleet.attach("a", 1), fleet.attach("b", 2));
    for (id, number) in [("a", 1), ("b", 2)] {
        fleet.report(id, number, 1, LoadState::Ready);
    }
    attached_elsewhere(&mut fleet, &["a", "b"]);
    let told = b.borrow().desired.clone().unwrap().revision;
    fleet.core.detach("a", 1, fleet.now);
    assert_eq!(fleet.state("a"), ExecutorState::Unreachable);
    assert_eq!(fleet.servers(), ["b"], "routes of a coordinator use what it reaches");
    assert!(fleet.core.placer.on("a").next().is_some(), "it keeps its work");
    assert_eq!(b.borrow().desired.clone().unwrap().revision, told, "nobody is told anything");
    let shown = fleet.core.snapshots.load().executors.get("a").unwrap().attached_to.clone();
    assert_eq!(shown, ["10.0.0.2:8815"]);

    // Without anybody that serves it here, callers hear why, and that they may ask elsewhere.
    fleet.core.detach("b", 2, fleet.now);
    let routes = fleet.routes.load_full();
    let refused = routes.find(&FunctionRef::parse("f").unwrap()).unwrap().no_capacity();
    assert_eq!((refused.code(), refused.has_no_side_effects()), (ErrorCode::NoCapacity, true));
    assert!(refused.to_string().contains("unreachable from this coordinator"), "{refused}");

    // Gone everywhere, it is lost.
    fleet.core.claimed("a", "other", None);
    assert_eq!(fleet.state("a"), ExecutorState::Lost);
    assert!(fleet.core.placer.on("a").next().is_none());
    // A coordinator that has gone has nothing attached, whatever its claims say until its lease ends.
    fleet.core.coordinators_changed(Default::default());
    assert_eq!(fleet.state("b"), ExecutorState::Lost);
}

#[tokio::test]
async fn another_process_under_its_id_does_not_keep_an_executors_work() {
    let mut fleet = TestFleet::new(&["f"]);
    let _a = fleet.attach("a", 1);
    attached_elsewhere(&mut fleet, &["a"]);
    fleet.core.claimed("a", "other", Some(claim("second")));
    fleet.core.detach("a", 1, fleet.now);
    assert_eq!(fleet.state("a"), ExecutorState::Lost);
}

#[tokio::test]
async fn one_that_said_goodbye_is_stopped_although_others_have_not_heard_it_yet() {
    let mut fleet = TestFleet::new(&["f"]);
    let _a = fleet.attach("a", 1);
    attached_elsewhere(&mut fleet, &["a"]);
    fleet.core.goodbye("a", 1);
    fleet.core.detach("a", 1, fleet.now);
    assert_eq!(fleet.state("a"), ExecutorState::Stopped);
}

#[tokio::test]
async fn an_executor_that_only_others_know_is_shown_and_forgotten_with_them() {
    let mut fleet = TestFleet::new(&[]);
    attached_elsewhere(&mut fleet, &["x"]);
    assert_eq!(fleet.state("x"), ExecutorState::Unreachable);
    fleet.core.claims_listed(Vec::new());
    assert!(fleet.core.snapshots.load().executors.get("x").is_none());
}

#[tokio::test]
async fn what_is_new_goes_where_somebody_can_be_told() {
    let mut fleet = TestFleet::new(&["f"]);
    let _a = fleet.attach("a", 1);
    attached_elsewhere(&mut fleet, &["a"]);
    fleet.core.detach("a", 1, fleet.now);
    let b = fleet.attach("b", 2);
    let told = |link: &Desired| link.borrow().desired.clone().map_or(0, |desired| desired.functions.len());
    assert_eq!(told(&b), 1, "an executor that joins is given what it can run, as ever");
    // In the same environment.
    fleet.core.set_catalog(Arc::new(catalog(&["f", "g"])));
    assert_eq!(told(&b), 2);
    assert!(fleet.core.placer.on("a").next().is_none());
    // Back here, it is told the whole.
    let a = fleet.attach("a", 3);
    assert_eq!(told(&a), 2);
}

#[tokio::test]
async fn a_leader_that_is_cut_off_from_all_executors_gives_up_where_another_reaches_them() {
    let mut fleet = TestFleet::new(&["f"]);
    let _a = fleet.attach("a", 1);
    attached_elsewhere(&mut fleet, &["a"]);
    assert!(fleet.core.may_lead(fleet.now));
    fleet.core.detach("a", 1, fleet.now);
    assert!(fleet.core.may_lead(fleet.now));
    assert!(!fleet.core.may_lead(fleet.now + STEADY));
    fleet.core.claimed("a", "other", None);
    assert!(fleet.core.may_lead(fleet.now + STEADY), "nobody could do better");
}
