//! Output of functions: it outlives its executor, is ordered by time over all executors, and is bounded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use futures::StreamExt as _;
use udfleet_proto::v1::{LogLine, LogsRequest};
use udfleet_tests::batches::{integers, numbers};
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::function::{Function, string};
use udfleet_tests::messages::path;
use udfleet_tests::stream::call;
use udfleet_tests::wait::{eventually, within};

fn word(text: &str) -> RecordBatch {
    let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
    RecordBatch::try_from_iter([("word", column)]).unwrap()
}

fn request(function: &str, tail: u32, follow: bool) -> LogsRequest {
    LogsRequest { function: function.to_owned(), tail, follow }
}

async fn logs(cluster: &Cluster, function: &str, tail: u32) -> Vec<LogLine> {
    let stream = cluster.client().fleet().await.logs(request(function, tail, false)).await.unwrap().into_inner();
    stream.map(|line| line.unwrap()).collect().await
}

fn texts(lines: &[LogLine]) -> Vec<(&str, &str)> {
    lines.iter().map(|line| (line.executor.as_str(), line.text.as_str())).collect()
}

/// Calls at one executor, and waits until the coordinator has the line.
async fn say(cluster: &mut Cluster, executor: &str, text: &str) {
    let direct = cluster.executor(executor).ready("grpc").to_owned();
    call(&direct, path("say"), &[word(text)]).await.unwrap();
    let line = format!("said {text}");
    let kept = async || logs(cluster, "say", 0).await.iter().any(|l| l.text == line).then_some(());
    eventually("the line is kept", kept).await;
}

async fn start(executors: usize) -> Cluster {
    let cluster = Cluster::start(executors).await;
    cluster.client().register(&Function::new("say").takes(vec![string()])).await;
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_outlive_their_executor_and_are_ordered_by_time_over_all() {
    let mut cluster = start(2).await;
    for (executor, text) in [("e1", "one"), ("e2", "two"), ("e1", "three"), ("e2", "four")] {
        say(&mut cluster, executor, text).await;
    }
    let all = [("e1", "said one"), ("e2", "said two"), ("e1", "said three"), ("e2", "said four")];
    cluster.executor("e1").kill();
    cluster.wait_state("e1", "lost").await;
    assert_eq!(texts(&logs(&cluster, "say", 0).await), all);
    assert_eq!(texts(&logs(&cluster, "say@1", 1).await), all[3..], "of all executors together");
    assert_eq!(texts(&logs(&cluster, "", 3).await), all[1..]);
    // A follower hears of executors that come back.
    let mut fleet = cluster.client().fleet().await;
    let mut follower = fleet.logs(request("say", 1, true)).await.unwrap().into_inner();
    let mut next = async || within("a line", follower.next()).await.unwrap().unwrap().text;
    assert_eq!(next().await, "said four");
    cluster.restart_executor("e1").await;
    cluster.client().wait_served_by("say", &["e1", "e2"]).await;
    say(&mut cluster, "e1", "back").await;
    assert_eq!(next().await, "said back");
    // After a restart of the coordinator, executors send again what they keep.
    cluster.restart_coordinator().await;
    let again = async || (texts(&logs(&cluster, "say", 0).await).len() == 3).then_some(());
    eventually("lines of both that run", again).await;
    assert_eq!(texts(&logs(&cluster, "say", 0).await), [all[1], all[3], ("e1", "said back")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_line_ends_delays_nobody_and_loses_no_executor() {
    let options = Options { coordinator: vec!["--executor-timeout=3s"], ..Options::default() };
    let mut cluster = Cluster::with(1, options).await;
    cluster.client().register(&Function::new("print_line_ends")).await;
    let direct = cluster.executor("e1").ready("grpc").to_owned();
    let flood = {
        let direct = direct.clone();
        tokio::spawn(async move { call(&direct, path("print_line_ends"), &[numbers([60])]).await })
    };
    let longest = {
        let mut longest = Duration::ZERO;
        while !flood.is_finished() {
            let begun = Instant::now();
            // Health is served by the same threads as everything else.
            let (status, _) = udfleet_tests::http::get(cluster.executor("e1").ready("http"), "/healthz").await;
            assert_eq!(status, 200);
            longest = longest.max(begun.elapsed());
        }
        longest
    };
    assert_eq!(integers(&flood.await.unwrap().unwrap()), [60]);
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    let end = async || logs(&cluster, "print_line_ends", 1).await.iter().any(|l| l.text == "the end").then_some(());
    eventually("its end is kept", end).await;
    assert_eq!(cluster.states().await["e1"], "ready");
    assert!(!cluster.coordinator().log().contains("executor lost"));
}
