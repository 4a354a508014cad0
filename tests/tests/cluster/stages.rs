//! Stages: several functions in one call, at executors.

use arrow_flight::FlightDescriptor;
use udfleet_proto::v1::step::Kind;
use udfleet_proto::v1::{ErrorCode, ExchangeRequest, Field, FunctionInfo, Invocation, OnError, Stage, Step};
use udfleet_tests::batches::{integers, numbers};
use udfleet_tests::cluster::Cluster;
use udfleet_tests::function::{Function, bigint};
use udfleet_tests::http::{metrics, wait_idle};
use udfleet_tests::messages::request;
use udfleet_tests::stream::call;
use udfleet_tests::wait::eventually;

async fn start(functions: &[Function]) -> (Cluster, String, Vec<FunctionInfo>) {
    let cluster = Cluster::start(1).await;
    let mut infos = Vec::new();
    for function in functions {
        infos.push(cluster.client().register(function).await);
    }
    let executor = cluster.endpoints().remove(1);
    (cluster, executor, infos)
}

fn column(name: &str) -> Field {
    Field { name: name.to_owned(), r#type: Some(bigint()) }
}

/// Each function of the one before it: `functions[1](functions[0](x))`.
fn chain(functions: &[&str], environment: &str) -> Stage {
    let invoke = |slot: usize| {
        let call = Invocation { function: slot as u32, arguments: vec![slot as u32], row: Vec::new() };
        Step { text: format!("{}(...)", functions[slot]), kind: Some(Kind::Invoke(call)) }
    };
    Stage {
        functions: functions.iter().map(|name| format!("{name}@1")).collect(),
        environment: environment.to_owned(),
        inputs: vec![column("x")],
        steps: (0..functions.len()).map(invoke).collect(),
        results: vec![functions.len() as u32],
        outputs: vec![column("result")],
        pipeline_breaker: false,
        partition_by: Vec::new(),
    }
}

fn ask(stage: Stage, on_error: OnError) -> FlightDescriptor {
    request(ExchangeRequest { stage: Some(stage), on_error: on_error as i32, ..ExchangeRequest::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_of_one_environment_run_in_one_call() {
    let (cluster, executor, infos) = start(&[Function::new("double"), Function::new("echo")]).await;
    let stage = chain(&["double", "echo", "double"], &infos[0].environment);
    let batches: Vec<_> = (0..20).map(|i| numbers([i, 100])).collect();
    // Several streams share the stage.
    for _ in 0..3 {
        let results = call(&executor, ask(stage.clone(), OnError::Unspecified), &batches).await.unwrap();
        let wanted: Vec<i64> = (0..20).flat_map(|i| [4 * i, 400]).collect();
        assert_eq!((results.len(), integers(&results)), (20, wanted));
    }
    // Each function has numbers of its own; `double` has two places in the stage.
    for (name, calls) in [("double", 120), ("echo", 60)] {
        let counted = async || {
            let (total, _) = cluster.client().progress(name).await;
            (total.calls == calls && total.rows == 2 * calls && total.run_ns > 0).then_some(())
        };
        eventually(&format!("{calls} calls of {name}"), counted).await;
    }
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_run_is_refused_before_anything_runs() {
    let elsewhere = Function::new("echo").variant("other");
    let (cluster, executor, infos) = start(&[Function::new("double"), elsewhere]).await;
    let home = infos[0].environment.clone();
    let fine = chain(&["double"], &home);
    let without_type = Field { name: "x".to_owned(), r#type: None };
    for (stage, code) in [
        (chain(&["double", "echo"], &home), ErrorCode::InvalidPlan),
        (chain(&["missing"], &home), ErrorCode::FunctionNotFound),
        (Stage { results: vec![7], ..fine.clone() }, ErrorCode::InvalidPlan),
        (Stage { inputs: vec![without_type], ..fine.clone() }, ErrorCode::InvalidPlan),
        (Stage { pipeline_breaker: true, ..fine.clone() }, ErrorCode::InvalidPlan),
    ] {
        let error = call(&executor, ask(stage, OnError::Unspecified), &[numbers([1])]).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    let text = udfleet_tests::batches::texts(&["x"]);
    let error = call(&executor, ask(fine.clone(), OnError::Unspecified), &[text]).await.unwrap_err();
    assert_eq!((error.code(), error.info().function.as_str()), (ErrorCode::InvalidInput, "double@1"));
    assert_eq!(integers(&call(&executor, ask(fine, OnError::Unspecified), &[numbers([4])]).await.unwrap()), [8]);
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_its_function_and_is_counted_there() {
    let (cluster, executor, infos) = start(&[Function::new("double"), Function::new("fail")]).await;
    let stage = chain(&["double", "fail"], &infos[0].environment);
    let error = call(&executor, ask(stage.clone(), OnError::Fail), &[numbers([1])]).await.unwrap_err();
    let info = error.info();
    assert_eq!((error.code(), info.function.as_str(), info.row), (ErrorCode::UserCode, "fail@1", Some(0)));
    assert_eq!(info.expression, "fail(...)");
    let results = call(&executor, ask(stage, OnError::Skip), &[numbers([1, 2])]).await.unwrap();
    assert_eq!((results.len(), integers(&results)), (1, Vec::new()));
    let address = &cluster.http_addresses()[1];
    for (name, errors, row_errors) in [("double", 0.0, 0.0), ("fail", 1.0, 2.0)] {
        let of = |what: &str| format!("udfleet_executor_function_{what}_total{{function=\"{name}@1\"}}");
        let counted = async || {
            let page = metrics(address).await;
            let all = ["calls", "errors", "row_errors"].map(|what| page.get(&of(what)).copied());
            (all == [Some(2.0), Some(errors), Some(row_errors)]).then_some(())
        };
        eventually(&format!("errors of {name}"), counted).await;
    }
}
