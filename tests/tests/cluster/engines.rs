//! Remote-function clients of engines, at every endpoint of the fleet.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array as _, ArrayRef, Int32Array, RecordBatch, RecordBatchOptions, StringArray, StringViewArray};
use arrow_schema::{DataType, Field, Schema};
use tonic::Code;
use udfleet_proto::types::simple;
use udfleet_proto::v1::{self, ErrorCode, FunctionKind, TypeRoot};
use udfleet_tests::batches::{batch, numbers};
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::engine::{EngineClient, Reply};
use udfleet_tests::function::{Function, bigint, string};
use udfleet_tests::http::{metrics, wait_idle};
use udfleet_tests::messages::{command, path};
use udfleet_tests::stream::{Stream, typed};
use udfleet_tests::wait::eventually;

const ARROW_UDF: &[(&str, &str)] = &[("x-udfleet-dialect", "arrow-udf")];
const DATABEND: &[(&str, &str)] = &[("x-databend-tenant", "acme"), ("x-databend-query-id", "q1")];

fn decimal() -> v1::DataType {
    v1::DataType { precision: 10, scale: 2, ..simple(TypeRoot::Decimal) }
}

fn field(name: &str, r#type: v1::DataType) -> v1::Field {
    v1::Field { name: name.to_owned(), r#type: Some(r#type) }
}

/// Text and a number.
fn twice() -> Function {
    let row = v1::DataType { fields: vec![field("t", string()), field("n", bigint())], ..simple(TypeRoot::Row) };
    Function::new("twice").kind(FunctionKind::Table).takes(vec![string(), bigint()]).returns(row)
}

fn values(reply: &Reply) -> Vec<Option<i64>> {
    reply.batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>()).collect()
}

fn messages(reply: &Reply) -> Vec<Option<String>> {
    let texts = reply.batches.iter().flat_map(|batch| batch.column(1).as_string::<i32>());
    texts.map(|text| text.map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn risingwave_gets_errors_of_rows_in_a_column() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    client.register(&Function::new("odd_only")).await;
    let slow = Function::new("slow_if_negative").config("udfleet.call.timeout", "1000").variant("slow");
    client.register(&slow).await;
    for endpoint in cluster.endpoints() {
        let mut engine = EngineClient::connect(&endpoint, &[]).await;
        assert_eq!(engine.protocol_version().await, 2, "{endpoint}");
        let good = engine.call("odd_only", &[numbers([1, 3]), numbers([5])]).await.unwrap();
        assert_eq!((good.schema.fields().len(), values(&good)), (1, vec![Some(1), Some(3), Some(5)]), "{endpoint}");
        let bad = engine.call("odd_only", &[numbers([1]), numbers([2, 3])]).await.unwrap();
        assert_eq!(values(&bad), [Some(1), None, Some(3)], "{endpoint}");
        let told = messages(&bad);
        assert!(told[1].as_ref().unwrap().contains("2 is even") && told[0].is_none() && told[2].is_none(), "{told:?}");
        // A batch that is killed takes none of its neighbours' answers along.
        let late = engine.call("slow_if_negative", &[numbers([7]), numbers([-1, 8])]).await.unwrap();
        assert_eq!(values(&late), [Some(7), None, None], "{endpoint}");
        assert!(messages(&late)[2].as_ref().unwrap().contains("CALL_TIMEOUT"), "{:?}", messages(&late));
        // What the function does not take is no matter of rows.
        let wrong = engine.call("odd_only", &[udfleet_tests::batches::texts(&["a"])]).await.unwrap_err();
        assert_eq!(typed(&wrong).code(), ErrorCode::InvalidInput, "{endpoint}");
    }
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn risingwave_sends_and_gets_decimals_as_text() {
    let cluster = Cluster::start(1).await;
    cluster.client().register(&Function::new("echo").takes(vec![decimal()]).returns(decimal())).await;
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("1.5"), None, Some("-20")]));
    let marked = HashMap::from([("ARROW:extension:name".to_owned(), "arrowudf.decimal".to_owned())]);
    let column = |nullable| Field::new("d", DataType::Utf8, nullable).with_metadata(marked.clone());
    let given = RecordBatch::try_new(Arc::new(Schema::new(vec![column(true)])), vec![texts]).unwrap();
    for endpoint in cluster.endpoints() {
        let mut engine = EngineClient::connect(&endpoint, ARROW_UDF).await;
        let (info, schema) = engine.info(path("echo")).await.unwrap();
        assert_eq!(info.total_records, 1);
        for field in schema.fields() {
            assert_eq!(field.data_type(), &DataType::Utf8, "{endpoint}");
            assert_eq!(field.metadata(), &marked, "{endpoint}");
        }
        let reply = engine.call("echo", std::slice::from_ref(&given)).await.unwrap();
        assert_eq!(reply.schema.field(0).metadata(), &marked, "{endpoint}");
        let got: Vec<_> = reply.batches[0].column(0).as_string::<i32>().iter().collect();
        assert_eq!(got, [Some("1.5"), None, Some("-20")], "{endpoint}");
        // A digit that does not fit is refused, not rounded.
        let long: ArrayRef = Arc::new(StringArray::from(vec!["1.234"]));
        let long = RecordBatch::try_new(Arc::new(Schema::new(vec![column(true)])), vec![long]).unwrap();
        let told = messages(&engine.call("echo", &[long]).await.unwrap());
        assert!(told[0].as_ref().unwrap().contains("1.234"), "{endpoint}: {told:?}");
        // Others get decimals.
        let mut other = EngineClient::connect(&endpoint, DATABEND).await;
        let reply = other.call("echo", std::slice::from_ref(&given)).await.unwrap();
        assert_eq!(reply.schema.field(0).data_type(), &DataType::Decimal128(10, 2), "{endpoint}");
    }
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_take_the_form_that_each_engine_reads() {
    let cluster = Cluster::start(1).await;
    cluster.client().register(&twice()).await;
    let words: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "b"]));
    let counts: ArrayRef = Arc::new(Int32Array::from(vec![2, 1]));
    let given = batch(vec![words, counts]);
    for endpoint in cluster.endpoints() {
        let names = |schema: &Schema| schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
        for (headers, expected) in
            [(ARROW_UDF, &["row", "twice"][..]), (DATABEND, &["t", "n"]), (&[][..], &["row", "t", "n"])]
        {
            let mut engine = EngineClient::connect(&endpoint, headers).await;
            let (_, schema) = engine.info(path("twice")).await.unwrap();
            assert_eq!(names(&schema)[2..], *expected, "{endpoint} {headers:?}");
            let reply = engine.call("twice", std::slice::from_ref(&given)).await.unwrap();
            assert_eq!(names(&reply.schema), expected, "{endpoint} {headers:?}");
            assert_eq!(reply.batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 3, "{endpoint} {headers:?}");
            let described: Vec<_> = schema.fields().iter().skip(2).map(|f| f.data_type()).collect();
            let got: Vec<_> = reply.schema.fields().iter().map(|f| f.data_type()).collect();
            assert_eq!(got, described, "{endpoint} {headers:?}");
        }
        // A chunk that was cut on its way: rows count from the first batch on.
        let mut engine = EngineClient::connect(&endpoint, ARROW_UDF).await;
        let reply = engine.call("twice", &[given.clone(), given.clone()]).await.unwrap();
        let rows = |batch: &RecordBatch| batch.column(0).as_primitive::<Int32Type>().values().to_vec();
        assert_eq!(reply.batches.iter().flat_map(rows).collect::<Vec<_>>(), [0, 0, 1, 2, 2, 3], "{endpoint}");
    }
    cluster.assert_no_errors();
}

/// Batches of a function that executors have answered.
async fn answered(cluster: &Cluster, function: &str) -> f64 {
    let series = format!("udfleet_executor_function_calls_total{{function=\"{function}\"}}");
    metrics(&cluster.http_addresses()[1]).await.get(&series).copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn databend_repeats_a_failing_call_and_it_runs_once() {
    let cluster = Cluster::start(1).await;
    let client = cluster.client();
    client.register(&Function::new("fail")).await;
    for (number, endpoint) in cluster.endpoints().into_iter().enumerate() {
        let query = format!("q{number}");
        let headers = [("x-databend-tenant", "acme"), ("x-databend-query-id", query.as_str())];
        let before = answered(&cluster, "fail@1").await;
        let mut told = Vec::new();
        for _ in 0..9 {
            // A connection for each call, as Databend has it.
            let mut engine = EngineClient::connect(&endpoint, &headers).await;
            let status = engine.call("fail", &[numbers([13])]).await.unwrap_err();
            assert_eq!(
                (status.code(), typed(&status).code()),
                (Code::InvalidArgument, ErrorCode::UserCode),
                "{endpoint}"
            );
            told.push(status.message().to_owned());
        }
        assert!(told.iter().all(|message| *message == told[0] && message.contains("no 13")), "{told:?}");
        let ran = async || (answered(&cluster, "fail@1").await >= before + 1.0).then_some(());
        eventually("the call is counted", ran).await;
        assert_eq!(answered(&cluster, "fail@1").await - before, 1.0, "{endpoint}");
        // Another batch, and another query, run.
        let mut engine = EngineClient::connect(&endpoint, &headers).await;
        assert!(engine.call("fail", &[numbers([14])]).await.unwrap_err().message().contains("no 14"));
        let mut other = EngineClient::connect(&endpoint, &[("x-databend-query-id", "another")]).await;
        assert!(other.call("fail", &[numbers([13])]).await.is_err());
        let page = metrics(&cluster.http_addresses()[number]).await;
        let calls =
            |tenant: &str| page[&format!("udfleet_engine_calls_total{{engine=\"databend\",tenant=\"{tenant}\"}}")];
        assert_eq!((calls("acme"), calls("")), (10.0, 1.0), "{endpoint}");
        assert_eq!(page["udfleet_engine_repeats_total{engine=\"databend\"}"], 8.0, "{endpoint}");
    }
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn builtin_functions_answer_where_nothing_is_registered() {
    let cluster = Cluster::start(1).await;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let nothing = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    for endpoint in cluster.endpoints() {
        let mut engine = EngineClient::connect(&endpoint, &[]).await;
        let (info, schema) = engine.info(path("builtin_healthy")).await.unwrap();
        assert_eq!((info.total_records, schema.field(0).data_type()), (0, &DataType::Int32), "{endpoint}");
        assert_eq!(schema.metadata()["x-databend-udf-input-count"], "0", "{endpoint}");
        let reply = engine.call("builtin_healthy", std::slice::from_ref(&nothing)).await.unwrap();
        assert_eq!(reply.batches[0].column(0).as_primitive::<Int32Type>().values(), &[1], "{endpoint}");
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec![Some("hello"), None]));
        let reply = engine.call("builtin_echo", &[batch(vec![texts])]).await.unwrap();
        let echoed = reply.batches[0].column(0).as_string::<i64>();
        assert!(echoed.value(0) == "hello" && echoed.is_null(1), "{endpoint}");
    }
    let client = cluster.client();
    let refused = client.try_register(&Function::new("double").named("builtin_double")).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidDefinition, "{refused}");
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_have_a_port_without_token_that_serves_nothing_else() {
    const TOKEN: &str = "a-token-of-the-fleet";
    let open = vec!["--engine-listen=127.0.0.1:0"];
    let options = Options { token: Some(TOKEN), coordinator: open.clone(), executor: open, ..Options::default() };
    let mut cluster = Cluster::with(1, options).await;
    cluster.client().register(&Function::new("odd_only")).await;
    let endpoints =
        [cluster.coordinator().ready("engine").to_owned(), cluster.executor("e1").ready("engine").to_owned()];
    for endpoint in endpoints {
        // A bare Rust client is RisingWave here, also where it connects anew and does not ask for the version.
        let mut engine = EngineClient::connect(&endpoint, &[]).await;
        let reply = engine.call("odd_only", &[numbers([1, 2])]).await.unwrap();
        assert_eq!((values(&reply), reply.schema.fields().len()), (vec![Some(1), None], 2), "{endpoint}");
        assert_eq!(engine.info(path("odd_only")).await.unwrap().0.total_records, 1, "{endpoint}");
        let refused = Stream::open(&endpoint, command("odd_only")).await.err().expect("a refusal");
        assert_eq!(typed(&refused).code(), ErrorCode::InvalidInput, "{endpoint}");
        assert_eq!(engine.info(command("odd_only")).await.unwrap_err().code(), Code::InvalidArgument, "{endpoint}");
        let mut fleet = udfleet_tests::control::Client::new(&endpoint, Some(TOKEN)).fleet().await;
        let other = fleet.list_executors(v1::ListExecutorsRequest::default()).await.unwrap_err();
        assert_eq!(other.code(), Code::Unimplemented, "{endpoint}");
    }
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_serves_is_refused_before_headers() {
    let mut cluster = Cluster::start(1).await;
    cluster.client().register(&Function::new("double")).await;
    cluster.executor("e1").kill();
    cluster.wait_state("e1", "lost").await;
    let gone = async || {
        let refused = Stream::open(&cluster.address(), path("double")).await.err()?;
        Some(refused)
    };
    // `open` waits for headers only.
    let refused = eventually("the route is gone", gone).await;
    assert_eq!((refused.code(), typed(&refused).code()), (Code::Unavailable, ErrorCode::NoCapacity), "{refused:?}");
}
