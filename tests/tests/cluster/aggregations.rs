//! Aggregations: one interpreter of an executor keeps the groups of a stream.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray};
use arrow_flight::FlightData;
use udfleet_proto::v1::{ErrorCode, FunctionKind};
use udfleet_tests::batches::{batch, integers, numbers};
use udfleet_tests::cluster::Cluster;
use udfleet_tests::function::{Function, bigint, string};
use udfleet_tests::http::wait_idle;
use udfleet_tests::memory::descendants;
use udfleet_tests::messages::{Encoder, command, path, result_of};
use udfleet_tests::stream::{Stream, call, in_band};
use udfleet_tests::wait::eventually;

fn total() -> Function {
    Function::new("total").kind(FunctionKind::Aggregate).config("udfleet.interpreters", "2")
}

async fn start(functions: &[Function]) -> (Cluster, String) {
    let cluster = Cluster::start(1).await;
    for function in functions {
        cluster.client().register(function).await;
    }
    let executor = cluster.endpoints().remove(1);
    (cluster, executor)
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_acknowledged_and_results_come_at_the_end() {
    let (cluster, executor) = start(&[total()]).await;
    let batches: Vec<_> = (0..50).map(|i| numbers([100 + i, 1000])).collect();
    // Sessions side by side do not mix.
    let streams = (0..4).map(|_| call(&executor, command("total"), &batches));
    for results in futures::future::join_all(streams).await {
        let results = results.unwrap();
        let (end, acknowledged) = results.split_last().unwrap();
        assert_eq!(acknowledged.len(), batches.len());
        for (sequence, message) in acknowledged.iter().enumerate() {
            let result = result_of(message);
            assert_eq!((result.sequence, result.last, result.rows), (sequence as u64, true, 0));
            assert!(message.data_header.is_empty() && message.data_body.is_empty());
        }
        assert_eq!((result_of(end).sequence, result_of(end).last), (50, true));
        assert_eq!(integers(std::slice::from_ref(end)), [50 * 49 / 2 + 50 * 1100]);
    }
    let plain = call(&executor, path("total"), &batches).await.unwrap();
    assert_eq!(integers(&plain), [50 * 49 / 2 + 50 * 1100], "plain clients hear of the result only");
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_input_there_is_one_group() {
    let (_cluster, executor) = start(&[total()]).await;
    let mut stream = Stream::open(&executor, command("total")).await.unwrap();
    stream.half_close();
    let all = stream.rest().await.unwrap();
    assert_eq!((all.len(), integers(&all[1..])), (2, vec![0]));
}

async fn feed(stream: &mut Stream, messages: Vec<FlightData>) -> FlightData {
    stream.send_all(messages).await;
    stream.next().await.unwrap().expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_the_interpreter_ends_the_stream() {
    let (mut cluster, executor) = start(&[total()]).await;
    // While it works on a batch.
    let mut encoder = Encoder::default();
    let error = call(&executor, command("total"), &[numbers([1]), numbers([13])]).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InterpreterCrashed, "{error}");
    assert!(error.code().retryable());
    // While it waits for the next.
    let mut stream = Stream::open(&executor, command("total")).await.unwrap();
    let mut first = vec![encoder.schema(&numbers([1]).schema())];
    first.extend(encoder.batch(&numbers([1])));
    stream.next().await.unwrap().expect("a schema");
    assert!(in_band(&feed(&mut stream, first).await).is_none());
    for process in descendants(cluster.executor("e1").pid()) {
        // SAFETY: a signal to a process of this test's own fleet.
        unsafe { libc::kill(process as libc::pid_t, libc::SIGKILL) };
    }
    let answer = feed(&mut stream, encoder.batch(&numbers([1]))).await;
    let error = in_band(&answer).expect("the groups are gone");
    assert_eq!(error.code(), ErrorCode::InterpreterCrashed, "{error}");
    assert!(error.info().exit.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_early_is_forgotten() {
    let (cluster, executor) = start(&[total().takes(vec![bigint(), string()])]).await;
    let marker = cluster.folder().join("session");
    let names: ArrayRef = Arc::new(StringArray::from(vec![marker.display().to_string()]));
    let rows = batch(vec![Arc::new(Int64Array::from(vec![1])), names]);
    let mut stream = Stream::open(&executor, command("total")).await.unwrap();
    stream.next().await.unwrap().expect("a schema");
    assert!(in_band(&feed(&mut stream, Encoder::default().all(&[rows])).await).is_none());
    drop(stream);
    let forgotten = marker.with_extension("forgotten");
    eventually("the accumulator is forgotten", async || forgotten.exists().then_some(())).await;
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}
