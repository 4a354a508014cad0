//! Executor ids: one process holds an id at a time, and its end is reported.

use udfleet_proto::v1::{ErrorCode, ListExecutorsRequest};
use udfleet_tests::batches::{integers, numbers};
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::function::Function;
use udfleet_tests::messages::path;
use udfleet_tests::stream::call;
use udfleet_tests::wait::eventually;

/// Attachments so far of the executor that is attached.
async fn epoch_of(cluster: &Cluster, executor: &str) -> u64 {
    let all =
        cluster.client().fleet().await.list_executors(ListExecutorsRequest::default()).await.unwrap().into_inner();
    let found = all.executors.iter().find(|e| e.hello.as_ref().is_some_and(|h| h.executor == executor));
    found.unwrap_or_else(|| panic!("no {executor}")).epoch
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_executor_of_an_id_is_refused_while_the_first_lives() {
    let mut cluster = Cluster::start(1).await;
    cluster.client().register(&Function::new("double")).await;
    let first = epoch_of(&cluster, "e1").await;
    cluster.add_executor_as("rival", "e1").await;
    let address = cluster.executor("e1").ready("grpc").to_owned();
    let refused = async || {
        let log = cluster.log("rival");
        let code = log.contains(ErrorCode::InvalidConfig.as_str_name());
        (code && log.contains("\"e1\"") && log.contains(&address)).then_some(())
    };
    eventually("the second one says whose id it claims", refused).await;
    assert_eq!(epoch_of(&cluster, "e1").await, first, "the first one was never replaced");
    let results = call(&cluster.address(), path("double"), &[numbers([4])]).await.unwrap();
    assert_eq!(integers(&results), [8]);
    // Once the first is gone, the id is free: the second gets in by itself.
    cluster.executor("e1").kill();
    let taken_over = async || (epoch_of(&cluster, "e1").await > first).then_some(());
    eventually("the second one is let in", taken_over).await;
    cluster.client().wait_served_by("double", &["e1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_whose_end_nobody_noticed_gets_its_id_back() {
    let options = Options { coordinator: vec!["--executor-timeout=2s"], ..Options::default() };
    let mut cluster = Cluster::with(1, options).await;
    let first = epoch_of(&cluster, "e1").await;
    // Its connection stays open, as that of a machine that has lost its power.
    cluster.executor("e1").signal(libc::SIGSTOP);
    cluster.add_executor_as("restarted", "e1").await;
    let back = async || (epoch_of(&cluster, "e1").await > first).then_some(());
    eventually("the new process is let in", back).await;
    cluster.wait_state("e1", "ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_is_told_apart_from_a_loss_and_loses_no_numbers() {
    let mut cluster = Cluster::start(2).await;
    cluster.client().register(&Function::new("double")).await;
    let direct = cluster.executor("e1").ready("grpc").to_owned();
    for _ in 0..10 {
        call(&direct, path("double"), &[numbers([1])]).await.unwrap();
    }
    cluster.executor("e1").signal(libc::SIGTERM);
    assert!(cluster.executor("e1").ended().await.success());
    cluster.wait_state("e1", "stopped").await;
    let (total, _) = cluster.client().progress("double").await;
    assert_eq!(total.calls, 10, "its last report came with its goodbye");
    cluster.executor("e2").kill();
    cluster.wait_state("e2", "lost").await;
    assert_eq!(cluster.states().await["e1"], "stopped");
    cluster.restart_executor("e1").await;
    cluster.wait_state("e1", "ready").await;
}
