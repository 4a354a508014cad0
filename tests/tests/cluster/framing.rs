//! What stock and hand-written Flight clients put on the wire, at every endpoint of the fleet.

use std::time::Duration;

use arrow_flight::FlightData;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;
use udfleet_tests::batches::{integers, numbers, texts};
use udfleet_tests::cluster::Cluster;
use udfleet_tests::function::{Function, string};
use udfleet_tests::gate::Gate;
use udfleet_tests::http::{metrics, wait_idle};
use udfleet_tests::messages::{Encoder, descriptors, path};
use udfleet_tests::proxy::Proxy;
use udfleet_tests::stream::{Stream, call, exchange, typed};
use udfleet_tests::wait::eventually;

async fn start() -> Cluster {
    let cluster = Cluster::start(2).await;
    cluster.client().register(&Function::new("double")).await;
    cluster
}

/// Three batches as messages: schema, then 1, then 2 3, then nothing, then 4.
fn messages() -> Vec<FlightData> {
    Encoder::default().all(&[numbers([1]), numbers([2, 3]), numbers([]), numbers([4])])
}

/// Nothing is left behind, nobody complains, and the next call works.
async fn assert_unharmed(cluster: &Cluster) {
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
    for endpoint in cluster.endpoints() {
        for (_, descriptor) in descriptors("double") {
            let results = call(&endpoint, descriptor, &[numbers([21])]).await.unwrap();
            assert_eq!(integers(&results), [42]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptors_and_metadata_may_come_in_any_framing() {
    let cluster = start().await;
    let expected = [2, 4, 6, 8];
    for endpoint in cluster.endpoints() {
        for (form, descriptor) in descriptors("double") {
            let with = |message: FlightData| message.with_descriptor(descriptor.clone());
            let note = FlightData::new().with_app_metadata("a note of the client's own");
            // The descriptor alone first: what pyarrow sends when a stream is opened.
            let results = exchange(&endpoint, descriptor.clone(), messages()).await.unwrap();
            assert_eq!(integers(&results), expected, "{endpoint} {form}: descriptor only");
            // On the schema message, and then on every message: what arrow-rs sends.
            let mut stream =
                Stream::open_with(&endpoint, None, messages().into_iter().map(with).collect()).await.unwrap();
            stream.half_close();
            assert_eq!(
                integers(&stream.rest().await.unwrap()[1..]),
                expected,
                "{endpoint} {form}: descriptor everywhere"
            );
            // Metadata alone in between: what pyarrow's write_metadata sends.
            let noted =
                messages().into_iter().flat_map(|message| [note.clone(), message]).chain([note.clone()]).collect();
            let results = exchange(&endpoint, descriptor.clone(), noted).await.unwrap();
            assert_eq!(integers(&results), expected, "{endpoint} {form}: metadata in between");
        }
    }
    assert_unharmed(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_and_schema_come_before_any_data() {
    let cluster = start().await;
    for endpoint in cluster.endpoints() {
        for (form, descriptor) in descriptors("double") {
            // The schema of the result is there while the client has said no more than what it wants.
            let mut stream = Stream::open(&endpoint, descriptor).await.unwrap();
            let schema = stream.next().await.unwrap().unwrap();
            assert!(!schema.data_header.is_empty(), "{endpoint} {form}");
            stream.send_all(messages()).await;
            // Answers come while the client's side is open.
            assert_eq!(integers(&[stream.next().await.unwrap().unwrap()]), [2]);
            stream.half_close();
            assert_eq!(integers(&stream.rest().await.unwrap()), [4, 6, 8]);
        }
        // A client that waits for headers before it says anything gets them.
        let stream = Stream::open_with(&endpoint, None, Vec::new()).await.unwrap();
        stream.send(FlightData::new().with_descriptor(path("double"))).await;
        stream.send_all(messages()).await;
        let mut stream = stream;
        stream.half_close();
        assert_eq!(integers(&stream.rest().await.unwrap()[1..]), [2, 4, 6, 8], "{endpoint}: late descriptor");
    }
    assert_unharmed(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_may_end_before_they_hold_a_batch() {
    let cluster = start().await;
    for endpoint in cluster.endpoints() {
        for (form, descriptor) in descriptors("double") {
            let schema = vec![messages().swap_remove(0)];
            for (what, sent) in [("descriptor only", Vec::new()), ("schema only", schema)] {
                let results = exchange(&endpoint, descriptor.clone(), sent).await.unwrap();
                assert_eq!(results.len(), 0, "{endpoint} {form}: {what}");
            }
            // Columns are checked although no batch comes.
            let wrong = vec![Encoder::default().schema(&texts(&["a"]).schema())];
            let error = exchange(&endpoint, descriptor, wrong).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidInput, "{endpoint} {form}: {error}");
            assert!(error.info().message.contains("double@1 takes (BIGINT), given (Utf8)"), "{error}");
        }
        // Nothing at all.
        let mut client = udfleet_tests::stream::flight(&endpoint, None).await;
        let status = client.do_exchange(tokio_stream::empty()).await.unwrap_err();
        assert!(typed(&status).info().message.contains("before its descriptor"), "{status:?}");
    }
    assert_unharmed(&cluster).await;
}

/// A cluster whose function `wait` stops at a gate, in one interpreter per executor.
async fn gated() -> (Cluster, Function) {
    let cluster = start().await;
    let function = Function::new("wait").takes(vec![string()]).variant("gated");
    cluster.client().register(&function).await;
    (cluster, function)
}

/// Waits until every process has noticed that nobody listens any more.
async fn wait_streams_closed(cluster: &Cluster) {
    for address in cluster.http_addresses() {
        let is_count = |name: &str| name == "udfleet_streams_open" || name == "udfleet_executor_streams";
        let closed = async || metrics(&address).await.iter().all(|(n, v)| !is_count(n) || *v == 0.0).then_some(());
        eventually(&format!("{address} has no stream open"), closed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_may_cancel_in_the_middle() {
    let (cluster, _) = gated().await;
    for (number, endpoint) in cluster.endpoints().into_iter().enumerate() {
        for (form, descriptor) in descriptors("wait") {
            let gate = Gate::new(&cluster.folder(), &format!("{number}-{form}"));
            let stream = Stream::open(&endpoint, descriptor).await.unwrap();
            let batches: Vec<_> = (0..20).map(|_| texts(&[gate.argument()])).collect();
            stream.send_all(Encoder::default().all(&batches)).await;
            gate.wait_entered(1).await;
            drop(stream);
            wait_streams_closed(&cluster).await;
            gate.open();
            wait_idle(&cluster.http_addresses()).await;
            // What had not begun when the client left was not begun any more: of each executor, what lay at its one
            // interpreter, four calls where the last ones were short.
            assert!(gate.entered() <= 8, "{endpoint} {form}: {} of 20 batches ran", gate.entered());
        }
    }
    assert_unharmed(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_waits_for_any_more_keeps_its_place() {
    let cluster = Cluster::start(1).await;
    let wait = Function::new("wait").takes(vec![string()]).config("udfleet.interpreters", "2");
    cluster.client().register(&wait).await;
    let abandoned = Gate::new(&cluster.folder(), "abandoned");
    let stream = Stream::open(&cluster.endpoints()[1], path("wait")).await.unwrap();
    stream.send_all(Encoder::default().all(&[texts(&[abandoned.argument()])])).await;
    abandoned.wait_entered(1).await;
    drop(stream);
    wait_streams_closed(&cluster).await;
    // While its interpreter is still busy with it, others are served by the other one.
    for round in 0..3 {
        let gate = Gate::new(&cluster.folder(), &format!("open-{round}"));
        gate.open();
        let (endpoint, batches) = (&cluster.endpoints()[1], [texts(&[gate.argument()])]);
        let served = call(endpoint, path("wait"), &batches);
        assert_eq!(integers(&tokio::time::timeout(Duration::from_secs(20), served).await.unwrap().unwrap()), [1]);
    }
    abandoned.open();
    wait_idle(&cluster.http_addresses()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_call_that_nobody_waits_for_is_ended_and_frees_its_interpreter() {
    let cluster = Cluster::start(1).await;
    cluster.client().register(&Function::new("wait").takes(vec![string()])).await;
    cluster.client().register(&Function::new("double")).await;
    for (number, endpoint) in cluster.endpoints().into_iter().enumerate() {
        for (form, descriptor) in descriptors("wait") {
            // It is never opened.
            let gate = Gate::new(&cluster.folder(), &format!("closed-{number}-{form}"));
            let stream = Stream::open(&endpoint, descriptor).await.unwrap();
            let batches: Vec<_> = (0..4).map(|_| texts(&[gate.argument()])).collect();
            stream.send_all(Encoder::default().all(&batches)).await;
            gate.wait_entered(1).await;
            drop(stream);
            let doubled = call(&endpoint, path("double"), &[numbers([4])]).await.unwrap();
            assert_eq!(integers(&doubled), [8], "{endpoint} {form}");
            wait_idle(&cluster.http_addresses()).await;
            assert_eq!(gate.entered(), 1, "{endpoint} {form}: those that waited were not begun");
        }
    }
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_may_vanish_while_their_batch_is_computed() {
    let (cluster, _) = gated().await;
    for (number, endpoint) in cluster.endpoints().into_iter().enumerate() {
        for (form, descriptor) in descriptors("wait") {
            let gate = Gate::new(&cluster.folder(), &format!("{number}-{form}"));
            let proxy = Proxy::start(&endpoint).await;
            let mut stream = Stream::open(proxy.address(), descriptor).await.unwrap();
            stream.send_all(Encoder::default().all(&[texts(&[gate.argument()])])).await;
            gate.wait_entered(1).await;
            proxy.cut();
            // The connection is gone for the client too.
            let lost = async {
                while stream.next().await?.is_some() {}
                Ok::<(), tonic::Status>(())
            };
            assert!(lost.await.is_err());
            wait_streams_closed(&cluster).await;
            gate.open();
            wait_idle(&cluster.http_addresses()).await;
        }
    }
    assert_unharmed(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_reaches_a_client_that_still_writes() {
    let cluster = start().await;
    cluster.client().register(&Function::new("fail")).await;
    for endpoint in cluster.endpoints() {
        let [_, (_, command)] = descriptors("fail");
        let mut stream = Stream::open(&endpoint, command).await.unwrap();
        let mut encoder = Encoder::default();
        let large = numbers(0..10_000);
        stream.send_all(encoder.all(std::slice::from_ref(&large))).await;
        let schema = stream.next().await.unwrap().unwrap();
        assert!(!schema.data_header.is_empty());
        let failure = stream.next().await.unwrap().unwrap();
        let error: Error = udfleet_tests::stream::in_band(&failure).unwrap();
        assert_eq!((error.code(), error.info().function.as_str()), (ErrorCode::UserCode, "fail@1"));
        // More than all windows hold: the server has to read it, and must not end the stream under the write.
        let sender = stream.take_sender();
        let writing = async {
            for message in std::iter::repeat_with(|| encoder.batch(&large)).take(500).flatten() {
                sender.send(message).await.expect("the client's side of the stream is open");
            }
        };
        tokio::select! {
            biased;
            ended = stream.next() => panic!("{endpoint}: the stream ended under the client's writes: {ended:?}"),
            () = writing => {}
        }
        drop(sender);
        assert!(stream.rest().await.unwrap().is_empty(), "nothing follows an error");
    }
    assert_unharmed(&cluster).await;
}
