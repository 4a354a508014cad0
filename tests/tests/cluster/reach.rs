//! Networks that are cut on one side only: each coordinator tells and uses what it reaches itself, and nothing moves.

use udfleet_proto::v1::{DrainExecutorRequest, ErrorCode};
use udfleet_tests::batches::{integers, numbers};
use udfleet_tests::coordinators::CoordinatorCluster;
use udfleet_tests::function::Function;
use udfleet_tests::messages::path;
use udfleet_tests::proxy::Proxy;
use udfleet_tests::stream::{call, typed};
use udfleet_tests::wait::eventually;

/// How often executors have begun to load anything.
fn loads(cluster: &mut CoordinatorCluster) -> usize {
    ["e1", "e2"].map(|id| cluster.executor(id).log().matches("LOADING").count()).iter().sum()
}

/// The first coordinator leads and is reached through a relay by those executors that have learned of it; `direct` ones know
/// its own address. Both serve `double`.
async fn relayed(direct: &[&str]) -> Option<(CoordinatorCluster, Proxy)> {
    let mut cluster = CoordinatorCluster::prepare(2)?;
    let relay = cluster.relay(0).await;
    cluster.start_coordinator(0).await;
    cluster.wait_leader(&[0]).await;
    cluster.start_coordinator(1).await;
    for id in ["e1", "e2"] {
        let mut coordinators = cluster.address(1);
        if direct.contains(&id) {
            coordinators = format!("{},{coordinators}", cluster.address(0));
        }
        cluster.start_executor_at(id, &coordinators).await;
    }
    for index in 0..2 {
        cluster.wait_ready(index, 2).await;
    }
    cluster.client(0).register(&Function::new("double")).await;
    cluster.client(1).wait_served_by("double", &["e1", "e2"]).await;
    Some((cluster, relay))
}

async fn wait_states(cluster: &CoordinatorCluster, at: usize, wanted: [&str; 2]) {
    let seen = async || {
        let states = cluster.states(at).await;
        (["e1", "e2"].map(|id| states.get(id).map(String::as_str)) == wanted.map(Some)).then_some(())
    };
    eventually(&format!("c{at} sees {wanted:?}"), seen).await;
}

async fn double(cluster: &CoordinatorCluster, at: usize) -> Vec<i64> {
    integers(&call(&cluster.address(at), path("double"), &[numbers([4])]).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_only_the_leader_loses_keeps_its_work() {
    let Some((mut cluster, relay)) = relayed(&["e2"]).await else { return };
    let (_, term) = cluster.wait_leader(&[0, 1]).await;
    let before = loads(&mut cluster);
    relay.close();
    wait_states(&cluster, 0, ["unreachable", "ready"]).await;
    wait_states(&cluster, 1, ["ready", "ready"]).await;
    cluster.client(0).wait_served_by("double", &["e2"]).await;
    cluster.client(1).wait_served_by("double", &["e1", "e2"]).await;
    assert_eq!((double(&cluster, 0).await, double(&cluster, 1).await), (vec![8], vec![8]));
    // What is new goes where the leader can tell it.
    cluster.client(1).register(&Function::new("echo")).await;
    cluster.client(0).wait_served_by("echo", &["e2"]).await;
    assert_eq!(loads(&mut cluster) - before, 1, "echo on e2");
    relay.open();
    wait_states(&cluster, 0, ["ready", "ready"]).await;
    for index in 0..2 {
        for function in ["double", "echo"] {
            cluster.client(index).wait_served_by(function, &["e1", "e2"]).await;
        }
    }
    assert_eq!(cluster.term(0).await, term, "nobody else has led");
    assert_eq!(loads(&mut cluster) - before, 2, "echo on both; double was never touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_reaches_no_executor_gives_up_and_takes_nothing_back() {
    let Some((mut cluster, relay)) = relayed(&[]).await else { return };
    let (_, term) = cluster.wait_leader(&[0]).await;
    let before = loads(&mut cluster);
    relay.close();
    wait_states(&cluster, 0, ["unreachable", "unreachable"]).await;
    let refused = call(&cluster.address(0), path("double"), &[numbers([4])]).await.unwrap_err();
    assert_eq!((refused.code(), refused.has_no_side_effects()), (ErrorCode::NoCapacity, true), "{refused}");
    assert_eq!(double(&cluster, 1).await, [8]);
    let (_, next) = cluster.wait_leader(&[1]).await;
    assert!(next > term);
    cluster.client(1).register(&Function::new("echo")).await;
    cluster.client(1).wait_served_by("echo", &["e1", "e2"]).await;
    relay.open();
    wait_states(&cluster, 0, ["ready", "ready"]).await;
    cluster.client(0).wait_served_by("double", &["e1", "e2"]).await;
    assert_eq!(double(&cluster, 0).await, [8]);
    assert_eq!((cluster.term(0).await, cluster.term(1).await), (0, next), "who leads goes on leading");
    assert_eq!(loads(&mut cluster) - before, 2, "echo on both; double was never touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_from_etcd_alone_goes_on_routing_and_follows_afterwards() {
    let Some(mut cluster) = CoordinatorCluster::prepare(2) else { return };
    let etcd = cluster.relay_etcd(0).await;
    cluster.start_coordinator(0).await;
    let (_, term) = cluster.wait_leader(&[0]).await;
    cluster.start_coordinator(1).await;
    for id in ["e1", "e2"] {
        cluster.start_executor(id).await;
    }
    for index in 0..2 {
        cluster.wait_ready(index, 2).await;
    }
    cluster.client(0).register(&Function::new("double")).await;
    let before = loads(&mut cluster);
    etcd.close();
    let (_, next) = cluster.wait_leader(&[1]).await;
    assert!(next > term);
    assert_eq!((double(&cluster, 0).await, double(&cluster, 1).await), (vec![8], vec![8]));
    wait_states(&cluster, 0, ["ready", "ready"]).await;
    etcd.open();
    let request = DrainExecutorRequest { executor: "e2".to_owned(), undo: false };
    let drained = async || cluster.client(0).fleet().await.drain_executor(request.clone()).await.ok().map(drop);
    eventually("it writes to etcd again", drained).await;
    wait_states(&cluster, 1, ["ready", "drained"]).await;
    assert_eq!((cluster.term(0).await, cluster.term(1).await), (0, next));
    assert_eq!(loads(&mut cluster), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_whose_answer_is_cut_off_are_told_rightly() {
    let Some(mut cluster) = CoordinatorCluster::prepare(1) else { return };
    let etcd = cluster.relay_etcd(0).await;
    cluster.start_coordinator(0).await;
    cluster.start_executor("e1").await;
    cluster.wait_ready(0, 1).await;
    // Connections to etcd break all the time: some while a transaction is under way.
    let cutting = tokio::spawn(async move {
        let mut pause = 3;
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
            etcd.cut();
            pause = (pause * 7 + 3) % 61;
        }
    });
    let mut fleet = cluster.client(0).fleet().await;
    for round in 0..30 {
        let undo = round % 2 == 1;
        let request = DrainExecutorRequest { executor: "e1".to_owned(), undo };
        match fleet.drain_executor(request).await {
            Ok(answer) => {
                let state = answer.into_inner().executor.unwrap().state().word();
                assert_eq!(state == "ready", undo, "{state}");
            }
            Err(status) => assert!(typed(&status).code().retryable(), "{status}"),
        }
    }
    cutting.abort();
    let undo = DrainExecutorRequest { executor: "e1".to_owned(), undo: true };
    let undone = async || fleet.clone().drain_executor(undo.clone()).await.ok().map(drop);
    eventually("in service again", undone).await;
    cluster.wait_ready(0, 1).await;
}
