//! Executors that are drained.

use super::*;

#[tokio::test]
async fn a_draining_executor_keeps_its_work_until_it_is_done() {
    let mut fleet = TestFleet::new(&["f"]);
    let mut desired = fleet.attach("a", 1);
    fleet.report("a", 1, 1, LoadState::Ready);
    fleet.core.drain("a", true);
    let draining = desired.borrow_and_update().desired.clone().unwrap();
    assert!(draining.draining && draining.functions.len() == 1);
    assert!(fleet.servers().is_empty(), "nothing new goes there");
    fleet.core.report("a", 1, Report { sequence: 2, drained: true, ..Report::default() }, fleet.now);
    assert!(desired.borrow_and_update().desired.clone().unwrap().functions.is_empty());
    assert_eq!(fleet.state("a"), ExecutorState::Drained);
    fleet.core.drain("a", false);
    let back = desired.borrow_and_update().desired.clone().unwrap();
    assert!(!back.draining && back.functions.len() == 1);
}

#[tokio::test]
async fn a_draining_executor_keeps_its_work_when_its_attach_is_renewed() {
    let mut fleet = TestFleet::new(&["f"]);
    let _first = fleet.attach("a", 1);
    fleet.core.drain("a", true);
    for detached in [false, true] {
        if detached {
            fleet.core.detach("a", 2, fleet.now);
        }
        let again = fleet.attach_again("a", 2 + u64::from(detached), true);
        let kept = again.borrow().desired.clone().unwrap();
        assert_eq!((kept.draining, kept.functions.len(), kept.environments.len()), (true, 1, 1));
    }
}

#[tokio::test]
async fn after_a_restart_of_the_coordinator_a_draining_executor_keeps_what_it_says_that_it_holds() {
    let mut fleet = TestFleet::new(&["f"]);
    let desired = fleet.attach_process("a", "first", 2, true).unwrap();
    assert!(desired.borrow().desired.is_none(), "nobody but the executor knows what it holds");
    fleet.report_at("a", 2, 1, 7, LoadState::Ready);
    let kept = desired.borrow().desired.clone().unwrap();
    assert!(kept.draining && kept.functions.len() == 1 && kept.revision > 7);
    let done = Report { sequence: 2, revision: kept.revision, drained: true, ..Report::default() };
    fleet.core.report("a", 2, done, fleet.now);
    let empty = desired.borrow().desired.clone().unwrap();
    assert!(empty.draining && empty.functions.is_empty());

    // One that has restarted itself has yet to hear that it drains.
    let desired = fleet.attach_again("b", 2, true);
    assert!(desired.borrow().desired.clone().unwrap().draining);
}
