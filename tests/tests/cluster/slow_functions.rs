//! Slow functions do not delay others: quick ones of the same environment run where interpreters are free, or get another.

use udfleet_proto::error::Error;
use udfleet_proto::v1::{ErrorCode, ExchangeRequest, ExecutorInfo, ListExecutorsRequest};
use udfleet_tests::batches::{integers, numbers, texts};
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::function::{Function, string};
use udfleet_tests::gate::Gate;
use udfleet_tests::http::wait_idle;
use udfleet_tests::messages::{Encoder, command, descriptors, path, request};
use udfleet_tests::stream::{Stream, call, in_band};
use udfleet_tests::wait::{eventually, within};

/// `wait` is slow, `double` is quick, and they share an environment.
async fn register(cluster: &Cluster) {
    cluster.client().register(&Function::new("wait").takes(vec![string()])).await;
    cluster.client().register(&Function::new("double")).await;
}

/// A stream through `wait` that stops at the gate.
async fn slow(endpoint: &str, gate: &Gate, batches: usize) -> Stream {
    let mut stream = Stream::open(endpoint, command("wait")).await.unwrap();
    stream.send_all(Encoder::default().all(&vec![texts(&[gate.argument()]); batches])).await;
    stream.half_close();
    stream
}

async fn executor(cluster: &Cluster, id: &str) -> ExecutorInfo {
    let answer = cluster.client().fleet().await.list_executors(ListExecutorsRequest::default()).await.unwrap();
    let mut all = answer.into_inner().executors.into_iter();
    all.find(|executor| executor.hello.as_ref().is_some_and(|hello| hello.executor == id)).expect("an executor")
}

/// What the coordinator says that calls of `double` at the executor wait for, once it says so.
async fn wait_waiting(cluster: &Cluster, id: &str) -> String {
    let waiting = async || {
        let functions = executor(cluster, id).await.functions;
        functions.into_iter().find(|status| status.function == "double@1" && !status.waiting.is_empty())
    };
    eventually("the coordinator knows what calls wait for", waiting).await.waiting
}

#[tokio::test(flavor = "multi_thread")]
async fn quick_calls_go_to_the_executor_whose_interpreter_is_free() {
    let cluster = Cluster::start(2).await;
    register(&cluster).await;
    let (gate, held) = (Gate::new(&cluster.folder(), "gate"), cluster.endpoints().swap_remove(1));
    let mut slow = slow(&held, &gate, 1).await;
    gate.wait_entered(1).await;
    // One that asks this very executor waits there, and everybody can see for what.
    let endpoint = held.clone();
    let waiting = tokio::spawn(async move { call(&endpoint, command("double"), &[numbers([4])]).await });
    let reason = wait_waiting(&cluster, "e1").await;
    assert!(reason.contains("waiting") && reason.contains("1 busy") && reason.contains("wait@1"), "{reason}");
    // One that may go elsewhere is refused there, before anything has happened.
    let asked = ExchangeRequest { function: "double".to_owned(), refuse_if_busy: true, ..ExchangeRequest::default() };
    let refused = call(&held, request(asked.clone()), &[numbers([4])]).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NoCapacity);
    let other = &cluster.endpoints()[2];
    assert_eq!(integers(&call(other, request(asked), &[numbers([4])]).await.unwrap()), [8]);
    // The coordinator sends calls to the other one.
    for (form, descriptor) in descriptors("double") {
        for number in 0..20 {
            let results =
                within("a quick call", call(&cluster.address(), descriptor.clone(), &[numbers([number])])).await;
            assert_eq!(integers(&results.unwrap()), [2 * number], "{form}");
        }
    }
    assert!(!waiting.is_finished(), "its interpreter is held all along");
    gate.open();
    assert_eq!(integers(&waiting.await.unwrap().unwrap()), [8]);
    assert_eq!(integers(&slow.rest().await.unwrap()[1..]), [1]);
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

/// The error that answers the next batch of an open stream, whose schema message has been read.
async fn refusal(stream: &mut Stream) -> Error {
    let answer = stream.next().await.unwrap().expect("an answer");
    in_band(&answer).expect("a refusal")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_on_an_open_stream_comes_back_before_it_has_begun() {
    let cluster = Cluster::start(1).await;
    register(&cluster).await;
    cluster.client().register(&Function::new("double").named("once").not_deterministic()).await;
    let (gate, door) = (Gate::new(&cluster.folder(), "gate"), cluster.endpoints().swap_remove(1));
    let asked = |function: &str| {
        request(ExchangeRequest { function: function.to_owned(), refuse_if_busy: true, ..ExchangeRequest::default() })
    };
    let mut streams = Vec::new();
    for function in ["double", "once", "wait"] {
        let stream = Stream::open(&door, asked(function)).await.unwrap();
        streams.push((stream, Encoder::default()));
    }
    for (stream, encoder) in &mut streams[..2] {
        stream.send_all(encoder.all(&[numbers([1])])).await;
        stream.next().await.unwrap().expect("the schema");
        assert_eq!(integers(&[stream.next().await.unwrap().unwrap()]), [2]);
    }
    // Two batches of one stream: behind its own first one, the second keeps its place.
    let (own, encoder) = &mut streams[2];
    own.send_all(encoder.all(&vec![texts(&[gate.argument()]); 2])).await;
    gate.wait_entered(1).await;
    for (stream, encoder) in &mut streams[..2] {
        stream.send_all([4, 5].into_iter().flat_map(|value| encoder.batch(&numbers([value])))).await;
        let error = refusal(stream).await;
        let info = error.info();
        assert_eq!((error.code(), info.busy, info.has_no_side_effects), (ErrorCode::NoCapacity, true, true));
        assert_eq!(info.sequence, Some(1));
    }
    gate.open();
    let (own, _) = &mut streams[2];
    own.half_close();
    assert_eq!(integers(&own.rest().await.unwrap()[1..]), [1; 2]);
    drop(streams);
    // What came back is no failure of the function, and was not run.
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_routed_batch_goes_where_an_interpreter_becomes_free_first() {
    let cluster = Cluster::start(2).await;
    register(&cluster).await;
    let gates = [0, 1].map(|number| Gate::new(&cluster.folder(), &format!("gate-{number}")));
    let mut held = Vec::new();
    for (gate, door) in gates.iter().zip(&cluster.endpoints()[1..]) {
        held.push(slow(door, gate, 1).await);
        gate.wait_entered(1).await;
    }
    // Some wait at either executor, whichever they were sent to.
    let quick = (0..8).map(|value| {
        let address = cluster.address();
        tokio::spawn(async move { call(&address, command("double"), &[numbers([value])]).await })
    });
    let quick: Vec<_> = quick.collect();
    for id in ["e1", "e2"] {
        wait_waiting(&cluster, id).await;
    }
    gates[0].open();
    for (value, answer) in quick.into_iter().enumerate() {
        let answer = within("a quick call", answer).await.unwrap().unwrap();
        assert_eq!(integers(&answer), [2 * value as i64]);
    }
    gates[1].open();
    for stream in &mut held {
        assert_eq!(integers(&stream.rest().await.unwrap()[1..]), [1]);
    }
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_grows_when_calls_wait_and_shrinks_when_idle() {
    let executor_options = vec!["--max-interpreters-per-environment=3", "--interpreter-idle=1s"];
    let cluster = Cluster::with(1, Options { executor: executor_options, ..Options::default() }).await;
    register(&cluster).await;
    for (number, endpoint) in cluster.endpoints().into_iter().enumerate() {
        let gate = Gate::new(&cluster.folder(), &format!("gate-{number}"));
        let mut slow = slow(&endpoint, &gate, 2).await;
        gate.wait_entered(1).await;
        for value in 0..10 {
            let results = within("a quick call", call(&endpoint, path("double"), &[numbers([value])])).await;
            assert_eq!(integers(&results.unwrap()), [2 * value], "{endpoint}");
        }
        let grown = executor(&cluster, "e1").await.interpreters;
        assert!((2..=3).contains(&grown), "{grown} interpreters");
        gate.open();
        assert_eq!(integers(&slow.rest().await.unwrap()[1..]), [1; 2]);
        let shrunk = async || (executor(&cluster, "e1").await.interpreters == 1).then_some(());
        eventually("interpreters that are idle are stopped", shrunk).await;
    }
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_a_function_names_is_kept() {
    let executor_options = vec!["--max-interpreters-per-environment=4"];
    let cluster = Cluster::with(1, Options { executor: executor_options, ..Options::default() }).await;
    let one = Function::new("wait").takes(vec![string()]).config("udfleet.interpreters", "1");
    cluster.client().register(&one).await;
    cluster.client().register(&Function::new("double")).await;
    let (gate, endpoint) = (Gate::new(&cluster.folder(), "gate"), cluster.endpoints().swap_remove(1));
    let mut slow = slow(&endpoint, &gate, 2).await;
    gate.wait_entered(1).await;
    let waiting = tokio::spawn(async move { call(&endpoint, command("double"), &[numbers([4])]).await });
    wait_waiting(&cluster, "e1").await;
    assert_eq!(executor(&cluster, "e1").await.interpreters, 1);
    gate.open();
    assert_eq!(integers(&waiting.await.unwrap().unwrap()), [8]);
    assert_eq!(integers(&slow.rest().await.unwrap()[1..]), [1; 2]);
    cluster.assert_no_errors();
}
