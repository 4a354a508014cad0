//! Large definitions: executors fetch them, and fetch them again after a restart.

use udfleet_proto::v1::{ExecutorInfo, ListExecutorsRequest};
use udfleet_tests::batches::{integers, numbers};
use udfleet_tests::cluster::Cluster;
use udfleet_tests::function::Function;
use udfleet_tests::messages::path;
use udfleet_tests::stream::call;

const LARGE: usize = 6;

async fn executors(cluster: &Cluster) -> Vec<ExecutorInfo> {
    let mut fleet = cluster.client().fleet().await;
    fleet.list_executors(ListExecutorsRequest::default()).await.unwrap().into_inner().executors
}

#[tokio::test(flavor = "multi_thread")]
async fn six_of_four_mebibytes_and_an_executor_that_comes_back() {
    let mut cluster = Cluster::start(2).await;
    for number in 0..LARGE {
        let function = Function::new("double").named(&format!("double{number}")).sources(4 << 20);
        cluster.client().register(&function).await;
    }
    cluster.executor("e2").kill();
    cluster.client().wait_served_by("double5", &["e1"]).await;
    cluster.add_executor("e2").await;
    for number in 0..LARGE {
        let name = format!("double{number}");
        cluster.client().wait_served_by(&name, &["e1", "e2"]).await;
        assert_eq!(integers(&call(&cluster.address(), path(&name), &[numbers([21])]).await.unwrap()), [42]);
    }
    let epochs: Vec<u64> = executors(&cluster).await.iter().map(|executor| executor.epoch).collect();
    assert_eq!(epochs, [1, 2], "nobody has attached in a loop");
    cluster.assert_no_errors();
}
