//! User metrics, row errors and bundles, as executors report them.

use tonic::transport::Endpoint;
use udfleet_proto::v1::node_client::NodeClient;
use udfleet_proto::v1::{BundleProgress, ErrorCode, ExchangeRequest, OnError, RowErrorsRequest};
use udfleet_tests::batches::{integers, numbers};
use udfleet_tests::cluster::Cluster;
use udfleet_tests::function::{Function, bigint};
use udfleet_tests::http::metrics;
use udfleet_tests::messages::{command, path, request, result_of};
use udfleet_tests::stream::call;
use udfleet_tests::wait::eventually;

async fn start(function: &Function) -> (Cluster, String) {
    let cluster = Cluster::start(1).await;
    cluster.client().register(function).await;
    let executor = cluster.endpoints().remove(1);
    (cluster, executor)
}

#[tokio::test(flavor = "multi_thread")]
async fn user_metrics_add_up_over_interpreters_that_end() {
    let counting = Function::new("counting").config("udfleet.interpreters", "2");
    let (cluster, executor) = start(&counting).await;
    let batches = [0; 10].map(|_| numbers(100..200));
    let mut rows = 0;
    for round in 0..3 {
        let streams = (0..4).map(|_| call(&executor, path("counting"), &batches));
        for results in futures::future::join_all(streams).await {
            rows += integers(&results.unwrap()).len();
        }
        if round < 2 {
            let error = call(&executor, path("counting"), &[numbers([13])]).await.unwrap_err();
            assert_eq!(error.code(), ErrorCode::InterpreterCrashed);
        }
    }
    let address = &cluster.http_addresses()[1];
    let counted = async || {
        let page = metrics(address).await;
        let counter = page.get("udfleet_executor_user_rows{function=\"counting@1\"}")?;
        let histogram = page.get("udfleet_executor_user_values_count{function=\"counting@1\",kind=\"input\"}")?;
        (*counter as usize == rows && *histogram as usize == rows).then_some(())
    };
    eventually("all rows are counted, each once", counted).await;
    let page = metrics(address).await;
    let median = page["udfleet_executor_user_values{function=\"counting@1\",kind=\"input\",quantile=\"0.5\"}"];
    assert!((median / 149.5 - 1.0).abs() < 0.02, "{median}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_fail_are_counted_and_the_first_are_kept_whole() {
    let (cluster, executor) = start(&Function::new("odd_only")).await;
    let ask = |on_error: OnError| {
        let function = "odd_only".to_owned();
        request(ExchangeRequest { function, on_error: on_error as i32, ..ExchangeRequest::default() })
    };
    let odd: Vec<i64> = (0..50).filter(|i| i % 2 == 1).collect();
    for _ in 0..2 {
        let results = call(&executor, ask(OnError::Skip), &[numbers(0..50)]).await.unwrap();
        assert_eq!(integers(&results), odd);
    }
    let error = call(&executor, ask(OnError::Fail), &[numbers(0..50)]).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UserCode, "the stream fails, which is no row error");
    let channel = Endpoint::from_shared(format!("http://{executor}")).unwrap().connect().await.unwrap();
    let mut node = NodeClient::new(channel);
    let request_of = |function: &str| RowErrorsRequest { function: function.to_owned() };
    let mut answer = node.row_errors(request_of("odd_only")).await.unwrap().into_inner();
    let kept = answer.message().await.unwrap().unwrap();
    let kept = &kept.functions[0];
    assert_eq!((kept.function.as_str(), kept.executor.as_str(), kept.count), ("odd_only@1", "e1", 50));
    let first = &kept.first[0];
    assert_eq!((first.row, first.executor.as_str()), (Some(0), "e1"));
    assert_eq!(first.exception.as_ref().unwrap().message, "0 is even");
    let mut none = node.row_errors(request_of("other")).await.unwrap().into_inner();
    assert!(none.message().await.unwrap().is_none());
    let not_null =
        Function::new("odd_only").named("strict").returns(udfleet_proto::v1::DataType { not_null: true, ..bigint() });
    cluster.client().register(&not_null).await;
    let on_error = OnError::Null as i32;
    let strict = ExchangeRequest { function: "strict".to_owned(), on_error, ..ExchangeRequest::default() };
    let error = call(&executor, request(strict), &[numbers([1])]).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidInput, "{error}");
}

/// The answers without what is said of bundles, and that.
async fn watched(executor: &str, function: &str, batches: usize) -> (Vec<i64>, Vec<BundleProgress>) {
    let function = function.to_owned();
    let ask = request(ExchangeRequest { function, bundle_progress: true, ..ExchangeRequest::default() });
    let rows: Vec<_> = (0..batches).map(|_| numbers(vec![1; 100])).collect();
    let (told, answers): (Vec<_>, Vec<_>) =
        call(executor, ask, &rows).await.unwrap().into_iter().partition(|m| result_of(m).bundle.is_some());
    (integers(&answers), told.iter().filter_map(|message| result_of(message).bundle).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_are_cut_by_size_time_and_the_end_of_the_input() {
    let by_size = Function::new("echo").config("python.fn-execution.bundle.size", "250");
    let (cluster, executor) = start(&by_size).await;
    let (rows, told) = watched(&executor, "echo", 10).await;
    assert_eq!(rows, vec![1; 1000]);
    let ended: Vec<_> = told.iter().filter(|b| b.completed).map(|b| (b.bundle, b.batches, b.rows_in)).collect();
    assert_eq!(ended, [(0, 3, 300), (1, 3, 300), (2, 3, 300), (3, 1, 100)]);
    assert!(told.iter().all(|b| b.rows_in == b.rows_out && b.timing.as_ref().is_some_and(|t| t.run > 0)));
    // Each batch takes longer than a bundle may.
    let by_time = Function::new("nap").config("python.fn-execution.bundle.time", "1");
    cluster.client().register(&by_time).await;
    let (rows, told) = watched(&executor, "nap", 4).await;
    assert_eq!(rows.len(), 400);
    let ended: Vec<_> = told.iter().filter(|b| b.completed).map(|b| (b.bundle, b.batches)).collect();
    assert_eq!(ended, [(0, 1), (1, 1), (2, 1), (3, 1)]);
    let results = call(&executor, command("echo"), &[numbers([1])]).await.unwrap();
    assert!(result_of(&results[0]).bundle.is_none(), "who does not ask is not told");
}
