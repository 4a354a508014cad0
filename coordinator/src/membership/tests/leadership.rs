//! What followers do, and what a change of leader moves.

use super::*;

/// A fleet whose coordinator follows: "a" and "b" report f of another leader.
fn followed() -> (TestFleet, Desired, Desired) {
    let mut fleet = TestFleet::new(&["f", "g"]);
    fleet.core.follow();
    let links = ["a", "b"].map(|id| fleet.attach_process(id, "first", 1, false).unwrap());
    let environment = function("f").environment;
    for id in ["a", "b"] {
        let ready = |name: &str| FunctionStatus {
            function: format!("{name}@1"),
            state: LoadState::Ready as i32,
            ..Default::default()
        };
        let report = Report {
            sequence: 1,
            term: 9,
            revision: 40,
            functions: vec![ready("f"), ready("g")],
            references: vec![reference("f", 38), reference("g", 40)],
            environments: vec![EnvironmentReference { hash: environment.clone(), interpreters: 1 }],
            environments_changed: true,
            ..Report::default()
        };
        fleet.core.report(id, 1, report, fleet.now);
    }
    let [a, b] = links;
    (fleet, a, b)
}

#[tokio::test]
async fn a_follower_routes_by_what_executors_report_and_tells_them_nothing() {
    let (mut fleet, a, b) = followed();
    assert_eq!(fleet.servers(), ["a", "b"]);
    assert!(a.borrow().desired.is_none() && b.borrow().desired.is_none());
    // Registered here, placed by the leader: a registration waits until an executor has heard of it.
    fleet.core.set_catalog(Arc::new(catalog(&["f", "g", "h"])));
    let (events, mut news) = mpsc::unbounded_channel();
    fleet.core.watch("h@1", Unplaced::Fails, events);
    assert!(matches!(news.try_recv(), Ok(WatchEvent::Progress(_))), "it is going to be placed");
    let ready = FunctionStatus { function: "h@1".to_owned(), state: LoadState::Ready as i32, ..Default::default() };
    let report = Report {
        sequence: 2,
        term: 9,
        revision: 41,
        functions: vec![ready],
        references: vec![reference("h", 41)],
        ..Report::default()
    };
    fleet.core.report("a", 1, report, fleet.now);
    assert!(matches!(news.try_recv(), Ok(WatchEvent::Served)));
    assert!(matches!(news.try_recv(), Ok(WatchEvent::Ready(_))));
    // What the leader takes away is not routed to any more.
    let gone = Report { sequence: 3, term: 9, revision: 42, unassigned: vec!["f@1".to_owned()], ..Report::default() };
    fleet.core.report("a", 1, gone, fleet.now);
    assert_eq!(fleet.servers(), ["b"]);
}

#[tokio::test]
async fn a_change_of_leader_moves_nothing() {
    let (mut fleet, a, b) = followed();
    fleet.core.lead(10, BTreeSet::from(["a".to_owned(), "b".to_owned()]), fleet.now);
    for link in [&a, &b] {
        let desired = link.borrow().desired.clone().unwrap();
        assert_eq!((desired.term, desired.revision, desired.functions.len()), (10, 41, 2));
        let since: Vec<u64> = desired.functions.iter().map(|(_, function)| function.since).collect();
        assert_eq!(since, [38, 40], "they go on as they were loaded");
    }
    assert_eq!(fleet.servers(), ["a", "b"], "what they have reported counts");
    fleet.core.follow();
    assert_eq!(fleet.servers(), ["a", "b"]);
}

#[tokio::test]
async fn a_new_leader_waits_for_executors_that_live_but_not_for_ever() {
    let (mut fleet, a, _b) = followed();
    fleet.core.lead(10, ["a", "b", "c"].map(str::to_owned).into(), fleet.now);
    fleet.core.set_catalog(Arc::new(catalog(&["f"])));
    assert!(a.borrow().desired.is_none(), "c may hold what would be placed elsewhere");
    let c = fleet.attach("c", 1);
    assert!(a.borrow().desired.is_some() && c.borrow().desired.is_some());
    fleet.core.follow();
    fleet.core.lead(11, ["a", "z"].map(str::to_owned).into(), fleet.now);
    let term = || a.borrow().desired.clone().unwrap().term;
    assert_eq!(term(), 10);
    fleet.now += Duration::from_secs(9);
    fleet.core.tick(fleet.now);
    assert_eq!(term(), 11);
}
