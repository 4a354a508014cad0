//! Functions are registered, fail, are dropped, and outlive the coordinator.

use udfleet_proto::types::simple;
use udfleet_proto::v1::import_function_request::Kind as Imported;
use udfleet_proto::v1::registration_event::Kind;
use udfleet_proto::v1::{
    DescribeFunctionRequest, DropFunctionRequest, Environment, ErrorCode, FunctionDefinition, ImportFunctionRequest,
    ListFunctionsRequest, LoadState, ProgressRequest, TypeRoot,
};

use super::client::{batch, command, encode, firsts, open, schema};
use super::executor::{Behaviour, Executor};
use super::support::{echo, error_of, eventually, start, start_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_function_becomes_ready_on_every_executor() {
    let coordinator = start().await;
    let _a = Executor::start(&coordinator.address(), "a", Behaviour::default());
    let _b = Executor::start(&coordinator.address(), "b", Behaviour::default());
    coordinator.executors(|all| all.len() == 2).await;
    let (events, info) = coordinator.register(echo("add")).await;
    let info = info.unwrap();
    assert_eq!((info.state(), info.executors.len()), (LoadState::Ready, 2));
    assert!(events.iter().any(|e| matches!(e, Kind::Progress(line) if line.contains("add@1"))), "{events:?}");
    assert!(events.iter().any(|e| matches!(e, Kind::BuildLog(line) if line.line.contains("resolved"))), "{events:?}");

    let (_, again) = coordinator.register(echo("add")).await;
    assert_eq!(again.unwrap().definition.unwrap().version, 1, "identical: the version that exists");
    let changed = FunctionDefinition { doc: "changed".to_owned(), ..echo("add") };
    assert_eq!(coordinator.register(changed).await.1.unwrap().definition.unwrap().version, 2);

    let mut fleet = coordinator.fleet().await;
    let all = fleet
        .list_functions(ListFunctionsRequest { all_versions: true, ..Default::default() })
        .await
        .unwrap()
        .into_inner()
        .functions;
    assert_eq!(all.len(), 2);
    let progress = fleet
        .progress(ProgressRequest { function: "add@2".to_owned(), ..Default::default() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(progress.functions[0].total.as_ref().unwrap().calls, 14, "two executors with 7 calls each");
    let dropped = fleet.drop_function(DropFunctionRequest { name: "add".to_owned() }).await.unwrap().into_inner();
    assert_eq!(dropped.dropped, ["add@1", "add@2"]);
    let gone = fleet.describe_function(DescribeFunctionRequest { name: "add".to_owned() }).await.unwrap_err();
    assert_eq!(error_of(&gone).code(), ErrorCode::FunctionNotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_registration_says_why_and_leaves_nothing() {
    let coordinator = start().await;
    let _a = Executor::start(&coordinator.address(), "a", Behaviour { broken: Some("bad"), ..Default::default() });
    coordinator.executors(|all| all.len() == 1).await;
    let _b = Executor::start(&coordinator.address(), "b", Behaviour { broken: Some("bad"), ..Default::default() });
    coordinator.executors(|all| all.len() == 2).await;
    let (events, error) = coordinator.register(echo("bad")).await;
    let error = error.unwrap_err();
    assert_eq!((error.code(), error.info().executor.as_str()), (ErrorCode::LoadFailed, "a"));
    assert!(error.to_string().contains("no module named 'nowhere'"), "{error}");
    let line = |event: &Kind| match event {
        Kind::Progress(line) => line.clone(),
        _ => String::new(),
    };
    let lines: Vec<String> = events.iter().map(line).collect();
    assert!(lines.iter().all(|line| !line.contains("nowhere") && !line.contains("registered as")), "{lines:?}");
    let mut fleet = coordinator.fleet().await;
    assert!(fleet.list_functions(ListFunctionsRequest::default()).await.unwrap().into_inner().functions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_imported_is_listed_the_next_moment() {
    let coordinator = start().await;
    let (mut fleet, payload) = (coordinator.fleet().await, coordinator.upload(b"payload").await);
    for count in 1..=100 {
        let (version, payload) = (1, Some(payload.clone()));
        let definition = FunctionDefinition { version, payload, ..echo(&format!("f{count}")) };
        let request = ImportFunctionRequest { kind: Some(Imported::Definition(definition)), check_only: false };
        fleet.import_function(request).await.unwrap();
        let listed = fleet.list_functions(ListFunctionsRequest::default()).await.unwrap().into_inner().functions;
        assert_eq!(listed.len(), count);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_typed() {
    let coordinator = start().await;
    let nobody = coordinator.register(echo("f")).await.1.unwrap_err();
    assert_eq!(nobody.code(), ErrorCode::NoCapacity);
    let _a = Executor::start(&coordinator.address(), "a", Behaviour::default());
    coordinator.executors(|all| all.len() == 1).await;

    let mut missing = echo("f");
    missing.payload = Some(udfleet_proto::v1::Artifact { hash: "0".repeat(64), ..Default::default() });
    assert_eq!(coordinator.register_raw(missing).await.1.unwrap_err().code(), ErrorCode::ArtifactMissing);

    let mut python = echo("f");
    python.environment = Some(Environment { python: "3.12".to_owned(), ..Default::default() });
    let infeasible = coordinator.register(python).await.1.unwrap_err();
    assert_eq!(infeasible.code(), ErrorCode::Infeasible);
    assert_eq!(infeasible.info().message, "needs Python 3.12; the fleet offers 3.11.2 on 1 executor");

    let mut invalid = echo("f");
    invalid.result_type = Some(simple(TypeRoot::Unspecified));
    assert_eq!(coordinator.register(invalid).await.1.unwrap_err().code(), ErrorCode::InvalidDefinition);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_nothing() {
    let first = start().await;
    let executor = Executor::start(&first.address(), "a", Behaviour::default());
    first.executors(|all| all.len() == 1).await;
    first.register(echo("add")).await.1.unwrap();
    drop(executor);
    let folder = first.folder;
    first.server.stop().await;

    let second = start_in(folder).await;
    let pending = second.fleet().await.describe_function(DescribeFunctionRequest { name: "add".to_owned() }).await;
    let pending = pending.unwrap().into_inner();
    assert_eq!((pending.state(), pending.reason.as_str()), (LoadState::Pending, "no executor is attached"));
    let _again = Executor::start(&second.address(), "a", Behaviour::default());
    let mut stream = eventually("a route", async || open(&second, command("add")).await.ok()).await;
    stream.send_all(encode(schema(), vec![batch(5..9)]).await);
    stream.half_close();
    stream.next().await.unwrap().unwrap();
    assert_eq!(firsts(&stream.rest().await.unwrap()), [5]);
    let epochs = second.fleet().await.list_executors(udfleet_proto::v1::ListExecutorsRequest::default()).await.unwrap();
    assert_eq!(epochs.into_inner().executors[0].epoch, 2, "epochs grow over restarts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_registration_uses_up_no_number() {
    let coordinator = start().await;
    let bad = Executor::start(&coordinator.address(), "a", Behaviour { broken: Some("add"), ..Default::default() });
    coordinator.executors(|all| all.len() == 1).await;
    for doc in ["one", "two"] {
        let definition = udfleet_proto::v1::FunctionDefinition { doc: doc.to_owned(), ..echo("add") };
        let (events, result) = coordinator.register(definition).await;
        assert_eq!(result.unwrap_err().info().function, "add@1");
        assert!(matches!(&events[0], Kind::Progress(line) if line == "registering add@1"), "{events:?}");
    }
    drop(bad);
    let _good = Executor::start(&coordinator.address(), "b", Behaviour::default());
    coordinator.executors(|all| all.iter().any(|(id, state)| id == "b" && state == "ready")).await;
    let (events, info) = coordinator.register(echo("add")).await;
    assert_eq!(info.unwrap().definition.unwrap().version, 1);
    assert!(matches!(events.last(), Some(Kind::Progress(line)) if line == "registered as add@1"), "{events:?}");
}
