//! Executors that die, hang, leave and come back while streams run.

use std::time::Duration;

use arrow_flight::FlightDescriptor;
use udfleet_proto::v1::{DrainExecutorRequest, ErrorCode, ExchangeRequest};
use udfleet_tests::batches::{integers, numbers, texts};
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::function::{Function, string};
use udfleet_tests::gate::Gate;
use udfleet_tests::http::{metrics, wait_idle};
use udfleet_tests::memory::{alive, descendants};
use udfleet_tests::messages::{Encoder, command, descriptors, path, request};
use udfleet_tests::stream::{Stream, call};
use udfleet_tests::wait::{eventually, within};

async fn start(executors: usize) -> Cluster {
    let cluster = Cluster::start(executors).await;
    cluster.client().register(&Function::new("uneven")).await;
    cluster
}

/// A stream of `0..batches`, one row each, that is being answered: the client reads in a task of its own.
struct Running {
    answered: tokio::sync::watch::Receiver<usize>,
    writer: tokio::task::JoinHandle<()>,
    results: tokio::task::JoinHandle<Vec<i64>>,
}

async fn run(endpoint: &str, descriptor: FlightDescriptor, batches: i64) -> Running {
    let mut stream = Stream::open(endpoint, descriptor).await.unwrap();
    let sender = stream.take_sender();
    let writer = tokio::spawn(async move {
        let mut encoder = Encoder::default();
        let schema = encoder.schema(&numbers([0]).schema());
        for message in std::iter::once(vec![schema]).chain((0..batches).map(|i| encoder.batch(&numbers([i])))).flatten()
        {
            if sender.send(message).await.is_err() {
                return;
            }
        }
    });
    let (count, answered) = tokio::sync::watch::channel(0);
    let results = tokio::spawn(async move {
        let mut all = Vec::new();
        stream.next().await.unwrap().expect("a schema");
        while let Some(answer) = stream.next().await.unwrap() {
            let error = udfleet_tests::stream::in_band(&answer);
            assert!(error.is_none(), "{error:?}");
            all.extend(integers(&[answer]));
            count.send_replace(all.len());
        }
        all
    });
    Running { answered, writer, results }
}

impl Running {
    async fn wait_answered(&mut self, batches: usize) {
        within("answers", self.answered.wait_for(|count| *count >= batches)).await.unwrap();
    }

    /// Everything came, once and in order.
    async fn assert_complete(self, batches: i64) {
        assert_eq!(within("the stream's end", self.results).await.unwrap(), (0..batches).collect::<Vec<_>>());
    }
}

/// Waits until an executor has taken batches of the function.
async fn wait_used(cluster: &Cluster, executor: &str) {
    let used = async || {
        let (_, each) = cluster.client().progress("uneven").await;
        each.iter().any(|(id, m)| id == executor && m.calls > 0).then_some(())
    };
    eventually(&format!("{executor} computes"), used).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_of_an_executor_in_the_middle_of_a_stream() {
    for (form, descriptor) in descriptors("uneven") {
        let mut cluster = start(2).await;
        let mut stream = run(&cluster.address(), descriptor, 600).await;
        stream.wait_answered(20).await;
        wait_used(&cluster, "e1").await;
        let interpreters = descendants(cluster.executor("e1").pid());
        assert!(!interpreters.is_empty(), "{form}");
        cluster.executor("e1").kill();
        stream.assert_complete(600).await;
        eventually("its interpreters are gone", async || interpreters.iter().all(|pid| !alive(*pid)).then_some(()))
            .await;
        cluster.wait_state("e1", "lost").await;
        cluster.assert_no_errors();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_batch_has_the_same_name_and_another_attempt_at_the_next_executor() {
    let mut cluster = Cluster::start(2).await;
    let gate = Gate::new(&cluster.folder(), "gate");
    cluster.client().register(&Function::new("wait_and_fail").takes(vec![string()])).await;
    let descriptor = request(ExchangeRequest {
        function: "wait_and_fail".to_owned(),
        producer: "the-client".to_owned(),
        ..ExchangeRequest::default()
    });
    let mut stream = Stream::open(&cluster.address(), descriptor).await.unwrap();
    let (mut encoder, batch) = (Encoder::default(), texts(&[gate.argument()]));
    stream.send_all([encoder.schema(&batch.schema())]).await;
    let _not_sent = encoder.batch(&batch);
    stream.send_all(encoder.batch(&batch)).await;
    stream.half_close();
    gate.wait_entered(1).await;
    let at_first = descendants(cluster.executor("e1").pid()).contains(&gate.processes()[0]);
    let (lost, other) = if at_first { ("e1", "e2") } else { ("e2", "e1") };
    cluster.executor(lost).kill();
    gate.wait_entered(2).await;
    gate.open();
    let answers = stream.rest().await.unwrap();
    let error = answers.iter().find_map(udfleet_tests::stream::in_band).expect("the second try fails").into_info();
    assert_eq!((error.code(), error.executor.as_str(), error.attempt), (ErrorCode::UserCode, other, 2), "{error:?}");
    assert_eq!((error.producer.as_str(), error.sequence), ("the-client", Some(1)));
    assert!(!error.has_no_side_effects);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_deterministic_does_not_run_again_with_its_executor_lost() {
    let mut cluster = Cluster::start(2).await;
    let gate = Gate::new(&cluster.folder(), "gate");
    cluster.client().register(&Function::new("wait").takes(vec![string()]).not_deterministic()).await;
    let (mut encoder, batch) = (Encoder::default(), texts(&[gate.argument()]));
    let mut stream = Stream::open(&cluster.address(), command("wait")).await.unwrap();
    stream.send_all(encoder.all(&[batch])).await;
    stream.half_close();
    gate.wait_entered(1).await;
    let at_first = descendants(cluster.executor("e1").pid()).contains(&gate.processes()[0]);
    cluster.executor(if at_first { "e1" } else { "e2" }).kill();
    let answers = stream.rest().await.unwrap();
    let error = answers.iter().find_map(udfleet_tests::stream::in_band).expect("it may have run").into_info();
    assert_eq!((error.code(), error.attempt, error.sequence), (ErrorCode::ExecutorLost, 1, Some(0)), "{error:?}");
    assert!(!error.has_no_side_effects);
    assert_eq!(gate.entered(), 1, "it ran once");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_of_an_executor_under_several_streams_and_its_return() {
    let mut cluster = start(2).await;
    let mut streams = Vec::new();
    for number in 0..8 {
        let descriptor = if number % 2 == 0 { path("uneven") } else { command("uneven@1") };
        streams.push(run(&cluster.address(), descriptor, 150).await);
    }
    for stream in &mut streams {
        stream.wait_answered(5).await;
    }
    wait_used(&cluster, "e2").await;
    cluster.executor("e2").kill();
    for stream in streams {
        stream.assert_complete(150).await;
    }
    cluster.restart_executor("e2").await;
    cluster.client().wait_served_by("uneven", &["e1", "e2"]).await;
    let before = cluster.client().progress("uneven").await;
    run(&cluster.address(), command("uneven"), 100).await.assert_complete(100).await;
    let took = async || {
        let calls = |each: &[(String, udfleet_proto::v1::FunctionMetrics)]| {
            each.iter().find(|(id, _)| id == "e2").map_or(0, |(_, m)| m.calls)
        };
        (calls(&cluster.client().progress("uneven").await.1) > calls(&before.1)).then_some(())
    };
    eventually("the returned executor computes again", took).await;
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_hangs_is_lost_and_comes_back_clean() {
    let options = Options { coordinator: vec!["--executor-timeout=2s"], ..Options::default() };
    let mut cluster = Cluster::with(2, options).await;
    cluster.client().register(&Function::new("uneven")).await;
    let mut stream = run(&cluster.address(), command("uneven"), 500).await;
    stream.wait_answered(20).await;
    wait_used(&cluster, "e1").await;
    let stopped = std::time::Instant::now();
    cluster.executor("e1").signal(libc::SIGSTOP);
    cluster.wait_state("e1", "lost").await;
    stream.assert_complete(500).await;
    // The batches that it held were sent to the other once it counted as lost, not when its connection timed out.
    assert!(stopped.elapsed() < Duration::from_secs(15), "{:?}", stopped.elapsed());
    let results = call(&cluster.address(), path("uneven"), &[numbers([5])]).await.unwrap();
    assert_eq!(integers(&results), [5], "new streams do without it");

    cluster.executor("e1").signal(libc::SIGCONT);
    cluster.wait_state("e1", "ready").await;
    cluster.client().wait_served_by("uneven", &["e1", "e2"]).await;
    run(&cluster.address(), command("uneven"), 100).await.assert_complete(100).await;
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_joins_is_given_work() {
    let mut cluster = start(1).await;
    let mut stream = run(&cluster.address(), command("uneven"), 100_000).await;
    stream.wait_answered(1).await;
    cluster.add_executor("e2").await;
    cluster.client().wait_served_by("uneven", &["e1", "e2"]).await;
    // Even of a stream that was open before.
    wait_used(&cluster, "e2").await;
    stream.writer.abort();
    stream.results.abort();
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_streams_go_on_elsewhere() {
    let mut cluster = start(2).await;
    let mut streams = Vec::new();
    for (_, descriptor) in descriptors("uneven") {
        streams.push(run(&cluster.address(), descriptor, 400).await);
    }
    for stream in &mut streams {
        stream.wait_answered(10).await;
    }
    wait_used(&cluster, "e1").await;
    let interpreters = descendants(cluster.executor("e1").pid());
    cluster.executor("e1").signal(libc::SIGTERM);
    for stream in streams {
        stream.assert_complete(400).await;
    }
    let status = cluster.executor("e1").ended().await;
    assert!(status.success(), "{status}");
    assert!(interpreters.iter().all(|pid| !alive(*pid)), "it leaves no interpreter behind");
    cluster.wait_state("e1", "stopped").await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_runs_and_takes_nothing_new() {
    let cluster = start(2).await;
    let direct = cluster.endpoints().swap_remove(1);
    let mut through = run(&cluster.address(), command("uneven"), 300).await;
    let mut straight = run(&direct, command("uneven"), 300).await;
    through.wait_answered(5).await;
    straight.wait_answered(5).await;
    let drain = |undo| {
        let client = cluster.client();
        async move {
            let request = DrainExecutorRequest { executor: "e1".to_owned(), undo };
            client.fleet().await.drain_executor(request).await.unwrap();
        }
    };
    drain(false).await;
    cluster.client().wait_served_by("uneven", &["e2"]).await;
    let refused = async || Stream::open(&direct, path("uneven")).await.err();
    let status = eventually("the draining executor refuses", refused).await;
    assert!(udfleet_tests::stream::typed(&status).code().retryable(), "{status:?}");
    through.assert_complete(300).await;
    straight.assert_complete(300).await;
    cluster.wait_state("e1", "drained").await;
    drain(true).await;
    cluster.client().wait_served_by("uneven", &["e1", "e2"]).await;
    run(&direct, command("uneven"), 10).await.assert_complete(10).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_left_is_a_retryable_refusal() {
    let mut cluster = start(1).await;
    cluster.executor("e1").kill();
    cluster.wait_state("e1", "lost").await;
    let error = call(&cluster.address(), path("uneven"), &[numbers([1])]).await.unwrap_err();
    assert!(error.code().retryable(), "{error:?}");
    assert!(error.info().message.contains("no executor"), "{error:?}");
    cluster.restart_executor("e1").await;
    cluster.client().wait_served_by("uneven", &["e1"]).await;
    let results = call(&cluster.address(), path("uneven"), &[numbers([1])]).await.unwrap();
    assert_eq!(integers(&results), [1]);
    let coordinator = metrics(&cluster.http_addresses()[0]).await;
    assert_eq!(coordinator["udfleet_executors{state=\"ready\"}"], 1.0);
}
