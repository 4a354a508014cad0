//! `udfleet-clickhouse`: what it reads and writes, byte by byte, and what it does after failures.

use std::sync::Arc;

use arrow_array::Array as _;
use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use udfleet_proto::types::simple;
use udfleet_proto::v1::{DataType, TypeRoot};
use udfleet_tests::batches::{batch, numbers, texts};
use udfleet_tests::bridge::{Bridge, Ended, chunk, decode, stream};
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::function::{Function, bigint, bytes, string};
use udfleet_tests::gate::Gate;
use udfleet_tests::http::wait_idle;
use udfleet_tests::proxy::Proxy;

const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// The results in an answer.
fn values(answer: &[u8]) -> Vec<i64> {
    decode(answer).iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

/// Fails; its error is on stderr, and stdout a whole stream, since ClickHouse shows its own complaint otherwise.
fn assert_failed(ended: &Ended, expected: &str) {
    assert!(ended.status == 1 && ended.stderr.contains(expected), "{ended:?}");
    assert!(ended.stdout.ends_with(&END), "{ended:?}");
    let _ = decode(&ended.stdout);
}

async fn once(cluster: &Cluster, function: &str, arguments: &[&str], input: &[u8]) -> Ended {
    let mut bridge = Bridge::start(&cluster.address(), function, arguments);
    bridge.write(input).await;
    bridge.close();
    bridge.ended().await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stream_is_answered_with_one_stream() {
    let cluster = Cluster::start(2).await;
    cluster.client().register(&Function::new("double")).await;
    cluster.client().register(&Function::new("length").takes(vec![bytes()])).await;
    let batches = [numbers(0..5_000), numbers([]), numbers(5_000..5_001)];
    let ended = once(&cluster, "double", &[], &stream(&batches)).await;
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.ends_with(&END));
    assert_eq!(values(&ended.stdout), (0..5_001).map(|value| 2 * value).collect::<Vec<_>>());
    assert_eq!(decode(&ended.stdout)[0].schema().field(0).name(), "result");

    // Nothing to do is answered with nothing, under the name that is asked for.
    let ended = once(&cluster, "double@1", &["--return-name=y"], &stream(&[numbers([])])).await;
    assert_eq!((ended.status, values(&ended.stdout)), (0, vec![]));
    assert_eq!(decode(&ended.stdout)[0].schema().field(0).name(), "y");

    // ClickHouse's String is text whatever it holds; a function of BYTES takes it.
    let ended = once(&cluster, "length", &[], &stream(&[texts(&["", "é"])])).await;
    assert_eq!(values(&ended.stdout), [0, 2], "{ended:?}");
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_a_pool_answers_chunk_after_chunk_and_survives_the_coordinator() {
    let mut cluster = Cluster::start(1).await;
    cluster.client().register(&Function::new("double")).await;
    let mut bridge = Bridge::start(&cluster.address(), "double", &["--chunk-header"]);
    for value in 1..4 {
        bridge.write(&chunk(&[numbers([value]), numbers([10 * value, 100 * value])])).await;
        assert_eq!(values(&bridge.read_rows(3).await), [2 * value, 20 * value, 200 * value]);
    }
    // Of nothing ClickHouse reads nothing: what came would be taken for the next answer.
    bridge.write(&chunk(&[numbers([])])).await;
    bridge.write(&chunk(&[numbers([7])])).await;
    assert_eq!(values(&bridge.read_rows(1).await), [14]);

    cluster.restart_coordinator().await;
    bridge.write(&chunk(&[numbers([8])])).await;
    assert_eq!(values(&bridge.read_rows(1).await), [16]);
    cluster.coordinator().kill();
    bridge.write(&chunk(&[numbers([9])])).await;
    cluster.restart_coordinator().await;
    assert_eq!(values(&bridge.read_rows(1).await), [18]);

    bridge.close();
    let ended = bridge.ended().await;
    assert!(ended.status == 0 && ended.stdout.is_empty() && ended.stderr.is_empty(), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_loses_the_coordinator_is_made_again() {
    let mut cluster = Cluster::start(1).await;
    cluster.client().register(&Function::new("wait").takes(vec![string()])).await;
    let (first, second) = (Gate::new(&cluster.folder(), "first"), Gate::new(&cluster.folder(), "second"));
    first.open();
    let mut bridge = Bridge::start(&cluster.address(), "wait", &["--chunk-header"]);
    let batches = [texts(&[first.argument()]), texts(&[second.argument()])];
    let input = chunk(&batches);
    let (begin, rest) = input.split_at(chunk(&batches[..1]).len() - END.len());
    bridge.write(begin).await;
    let mut answer = bridge.read_rows(1).await;
    bridge.write(rest).await;
    second.wait_entered(1).await;
    cluster.restart_coordinator().await;
    second.open();
    // What had been answered is not computed again, nor is its schema written again.
    answer.extend(bridge.read_rows(1).await);
    assert_eq!((values(&answer), first.entered()), (vec![1, 1], 1));
    bridge.close();
    assert_eq!(bridge.ended().await.status, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_told_with_function_row_and_reason() {
    let cluster = Cluster::start(1).await;
    let odd = Function::new("odd_only");
    cluster.client().register(&odd).await;
    cluster.client().register(&odd.clone().named("short").returns(simple(TypeRoot::Tinyint))).await;
    let odds = |count: i64| numbers((0..count).map(|value| 2 * value + 1));
    // The row within the block, whatever the batches; and an input that is larger than any pipe is read all the same.
    let input = [odds(100), numbers([1, 3, 4]), odds(200_000)];
    for (arguments, bytes) in [(&[][..], stream(&input)), (&["--chunk-header"], chunk(&input))] {
        let ended = once(&cluster, "odd_only", arguments, &bytes).await;
        assert_failed(&ended, "USER_CODE: odd_only@1: row 102: ValueError: 4 is even\n");
        assert!(ended.stderr.contains("Traceback"), "{}", ended.stderr);
        assert_eq!(values(&ended.stdout).len(), 100);
    }
    let ended = once(&cluster, "short", &[], &stream(&[numbers([1, 301])])).await;
    assert_failed(&ended, "RESULT_TYPE: short@1: row 1: ");
    assert!(ended.stderr.contains("301"), "{}", ended.stderr);
    let ended = once(&cluster, "odd_only", &["--on-error=null"], &stream(&[numbers([1, 2])])).await;
    let results = decode(&ended.stdout);
    assert!(ended.status == 0 && results[0].column(0).is_null(1) && results[0].column(0).is_valid(0), "{ended:?}");
    let ended = once(&cluster, "odd_only", &[], &stream(&[texts(&["a"])])).await;
    assert_failed(&ended, "odd_only@1 takes (BIGINT), given (Utf8)");
    let ended = once(&cluster, "odd", &[], &stream(&[numbers([1])])).await;
    assert_failed(&ended, "FUNCTION_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clickhouse_would_misread_is_refused() {
    let cluster = Cluster::start(1).await;
    let list = DataType { element: Some(Box::new(bigint())), ..simple(TypeRoot::Array) };
    cluster.client().register(&Function::new("echo").takes(vec![list.clone()]).returns(list)).await;
    let mut lists = ListBuilder::new(Int64Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_value::<_, i64>(std::iter::empty::<Option<i64>>());
    let fine = once(&cluster, "echo", &[], &stream(&[batch(vec![Arc::new(lists.finish_cloned())])])).await;
    assert_eq!(decode(&fine.stdout)[0].num_rows(), 2, "{fine:?}");
    lists.append(false);
    let ended = once(&cluster, "echo@1", &[], &stream(&[batch(vec![Arc::new(lists.finish())])])).await;
    assert_failed(&ended, "RESULT_TYPE: echo@1: row 2: ");

    cluster.client().register(&Function::new("spread").kind(udfleet_proto::v1::FunctionKind::Table)).await;
    let ended = once(&cluster, "spread", &[], &stream(&[numbers([1])])).await;
    assert_failed(&ended, "INVALID_INPUT: spread: this is a function of kind TABLE");
    let ended = once(&cluster, "echo", &[], b"1\n").await;
    assert_failed(&ended, "--chunk-header where send_chunk_header is set");
    let ended = once(&cluster, "echo", &["--chunk-header"], &stream(&[numbers([1])])).await;
    assert_failed(&ended, "neither works alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_absent_fleets() {
    let cluster = Cluster::with(1, Options { token: Some("s3cret"), ..Options::default() }).await;
    cluster.client().register(&Function::new("double")).await;
    let file = cluster.folder().join("token");
    std::fs::write(&file, "s3cret\n").unwrap();
    let (file, input) = (file.to_str().unwrap(), stream(&[numbers([4])]));
    let ended = once(&cluster, "double", &["--token-file", file], &input).await;
    assert_eq!(values(&ended.stdout), [8], "{ended:?}");
    let wrong = cluster.folder().join("wrong");
    std::fs::write(&wrong, "wrong").unwrap();
    let arguments = ["--token-file", wrong.to_str().unwrap()];
    assert_failed(&once(&cluster, "double", &arguments, &input).await, "UNAUTHENTICATED");
    let missing = once(&cluster, "double", &["--token-file=/no/such/file"], &input).await;
    assert_failed(&missing, "INVALID_CONFIG: double: token_file /no/such/file");

    let address = cluster.address();
    drop(cluster);
    let mut bridge = Bridge::start(&address, "double", &["--retry-seconds=0"]);
    bridge.write(&input).await;
    assert_failed(&bridge.ended().await, &format!("UNREACHABLE: no answer from {address}: "));
    let mut misused = Bridge::start(&address, "double", &["--no-such-flag"]);
    misused.close();
    let ended = misused.ended().await;
    assert!(ended.status == 2 && ended.stderr.contains("--no-such-flag") && ended.stdout.ends_with(&END), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_nobody_reads_any_more() {
    let cluster = Cluster::start(1).await;
    cluster.client().register(&Function::new("wait").takes(vec![string()])).await;
    for arguments in [&[][..], &["--chunk-header"]] {
        let gate = Gate::new(&cluster.folder(), &format!("gate-{}", arguments.len()));
        let mut bridge = Bridge::start(&cluster.address(), "wait", arguments);
        let batches = [texts(&[gate.argument()])];
        bridge.write(&if arguments.is_empty() { stream(&batches) } else { chunk(&batches) }).await;
        gate.wait_entered(1).await;
        // Its input stays open, and its call runs.
        bridge.stop_reading();
        let ended = bridge.ended().await;
        assert!(ended.status == 1 && ended.stderr.is_empty(), "{ended:?}");
        gate.open();
    }
    wait_idle(&cluster.http_addresses()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_goes_away_under_a_call_is_replaced_by_the_next() {
    let cluster = Cluster::start(1).await;
    cluster.client().register(&Function::new("double")).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let broken = Proxy::start(&cluster.address()).await;
    let addresses = format!("{nobody},{}, {}", broken.address(), cluster.address());
    let mut bridge = Bridge::start(&addresses, "double", &["--chunk-header", "--retry-seconds=0"]);
    bridge.write(&chunk(&[numbers(0..10)])).await;
    assert_eq!(values(&bridge.read_rows(10).await), (0..10).map(|value| 2 * value).collect::<Vec<_>>());
    broken.cut();
    bridge.write(&chunk(&[numbers(10..20)])).await;
    assert_eq!(values(&bridge.read_rows(10).await), (10..20).map(|value| 2 * value).collect::<Vec<_>>());
    bridge.close();
    assert_eq!(bridge.ended().await.status, 0);

    let mut refused = Bridge::start("a:1,,b:1", "double", &[]);
    refused.close();
    let ended = refused.ended().await;
    assert!(ended.status == 2 && ended.stderr.contains("address 2 of 3"), "{ended:?}");
}
