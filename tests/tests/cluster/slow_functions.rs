//! Slow functions do not delay others: quick ones of the same environment run where interpreters are free, or get another.

use udfleet_proto::v1::{ErrorCode, ExchangeRequest, ExecutorInfo, ListExecutorsRequest};
use udfleet_tests::batches::{integers, numbers, texts};
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::function::{Function, string};
use udfleet_tests::gate::Gate;
use udfleet_tests::http::wait_idle;
use udfleet_tests::messages::{Encoder, command, descriptors, path, request};
use udfleet_tests::stream::{Stream, call};
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
