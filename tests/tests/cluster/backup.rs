//! What is registered moves from one store into the other.

use udfleet_proto::error::Error;
use udfleet_proto::v1::export_functions_response::Kind as Exported;
use udfleet_proto::v1::import_function_request::Kind as Imported;
use udfleet_proto::v1::{
    ErrorCode, ExportFunctionsRequest, ExportFunctionsResponse, FunctionDefinition, ImportFunctionRequest,
};
use udfleet_tests::batches::{integers, numbers};
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::etcd::EtcdCluster;
use udfleet_tests::function::Function;
use udfleet_tests::messages::path;
use udfleet_tests::stream::{call, typed};

async fn exported(cluster: &Cluster) -> Vec<ExportFunctionsResponse> {
    let answer = cluster.client().fleet().await.export_functions(ExportFunctionsRequest {}).await;
    let (mut stream, mut all) = (answer.unwrap().into_inner(), Vec::new());
    while let Some(item) = stream.message().await.unwrap() {
        all.push(item);
    }
    all
}

/// Whether it was there already.
async fn import(cluster: &Cluster, kind: Imported, check_only: bool) -> Result<bool, Error> {
    let request = ImportFunctionRequest { kind: Some(kind), check_only };
    let answer = cluster.client().fleet().await.import_function(request).await;
    answer.map(|answer| answer.into_inner().already_present).map_err(|status| typed(&status))
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_move_from_a_file_into_etcd() {
    let Some(etcd) = EtcdCluster::start(1) else { return };
    let in_a_file = Cluster::start(1).await;
    let (one, two) = (Function::new("double").variant("one"), Function::new("double").variant("two"));
    in_a_file.client().register(&one).await;
    in_a_file.client().register(&two).await;
    let backup = exported(&in_a_file).await;
    drop(in_a_file);
    let definitions = backup.iter().filter_map(|item| match &item.kind {
        Some(Exported::Definition(definition)) => Some(definition.clone()),
        _ => None,
    });
    let definitions: Vec<FunctionDefinition> = definitions.collect();
    assert_eq!(definitions.iter().map(|d| d.version).collect::<Vec<_>>(), [1, 2]);

    let url: &'static str = Box::leak(format!("--meta-store={}", etcd.url("fleet")).into_boxed_str());
    let in_etcd =
        Cluster::with(1, Options { coordinator: vec![url, "--artifact-store-shared"], ..Options::default() }).await;
    let early = import(&in_etcd, Imported::Definition(definitions[0].clone()), false).await.unwrap_err();
    assert_eq!(early.code(), ErrorCode::ArtifactMissing);
    for function in [&one, &two] {
        in_etcd.client().upload("functions.py", function.module().as_bytes()).await;
        in_etcd.client().upload("payload", function.payload().as_bytes()).await;
    }
    for definition in &definitions {
        let kind = || Imported::Definition(definition.clone());
        assert!(!import(&in_etcd, kind(), true).await.unwrap(), "it could be imported");
        assert!(!import(&in_etcd, kind(), false).await.unwrap());
        assert!(import(&in_etcd, kind(), false).await.unwrap(), "once more does nothing");
        let other = FunctionDefinition { doc: "other".to_owned(), ..definition.clone() };
        for check_only in [true, false] {
            let refused = import(&in_etcd, Imported::Definition(other.clone()), check_only).await.unwrap_err();
            assert_eq!(refused.code(), ErrorCode::InvalidInput, "nothing is overwritten");
        }
    }
    for item in &backup {
        if let Some(Exported::Counter(counter)) = &item.kind {
            import(&in_etcd, Imported::Counter(counter.clone()), false).await.unwrap();
        }
    }
    assert_eq!(exported(&in_etcd).await, backup, "the same in both");
    in_etcd.client().wait_served_by("double@1", &["e1"]).await;
    in_etcd.client().wait_served_by("double@2", &["e1"]).await;
    assert_eq!(integers(&call(&in_etcd.address(), path("double"), &[numbers([4])]).await.unwrap()), [8]);
}
