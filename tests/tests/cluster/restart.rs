//! The coordinator is killed and restarted on the same data.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use udfleet_proto::v1::{DropFunctionRequest, FunctionInfo, ListFunctionsRequest, LoadState};
use udfleet_tests::batches::{integers, numbers};
use udfleet_tests::binaries::uv;
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::function::Function;
use udfleet_tests::http::wait_idle;
use udfleet_tests::messages::{Encoder, command, path};
use udfleet_tests::stream::{Stream, call};
use udfleet_tests::wait::eventually;

/// Calls through the coordinator until it answers; whatever comes before must be worth a retry.
async fn call_with_retries(cluster: &Cluster) -> Vec<i64> {
    let ask = async || match call(&cluster.address(), path("double"), &[numbers([4])]).await {
        Ok(results) => Some(integers(&results)),
        Err(error) => {
            assert!(error.code().retryable(), "{error:?}");
            None
        }
    };
    eventually("the fleet answers again", ask).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_and_restart_lose_nothing() {
    let mut cluster = Cluster::start(2).await;
    for doc in ["one", "two"] {
        cluster.client().register(&Function::new("double").variant(doc)).await;
    }
    let direct = cluster.endpoints().swap_remove(1);
    let mut stream = Stream::open(&direct, command("double")).await.unwrap();
    let mut encoder = Encoder::default();
    stream.send(encoder.schema(&numbers([0]).schema())).await;
    stream.next().await.unwrap().expect("a schema");
    let mut ask = async |value: i64| {
        stream.send_all(encoder.batch(&numbers([value]))).await;
        integers(&[stream.next().await.unwrap().expect("an answer")])
    };
    assert_eq!(ask(1).await, [2]);

    cluster.coordinator().kill();
    // Executors serve what they have, on open streams and on new ones.
    assert_eq!(ask(2).await, [4]);
    assert_eq!(integers(&call(&direct, path("double@1"), &[numbers([3])]).await.unwrap()), [6]);

    cluster.restart_coordinator().await;
    assert_eq!(call_with_retries(&cluster).await, [8]);
    cluster.wait_ready(2).await;
    cluster.client().wait_served_by("double@1", &["e1", "e2"]).await;
    cluster.client().wait_served_by("double@2", &["e1", "e2"]).await;
    assert_eq!(ask(5).await, [10], "the stream has not noticed");
    // What is registered again is the same version, and version numbers go on.
    let version = |info: FunctionInfo| info.definition.unwrap().version;
    assert_eq!(version(cluster.client().register(&Function::new("double").variant("two")).await), 2);
    assert_eq!(version(cluster.client().register(&Function::new("double").variant("three")).await), 3);
    drop(stream);
    wait_idle(&cluster.http_addresses()).await;
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_in_order() {
    let mut cluster = Cluster::start(1).await;
    cluster.client().register(&Function::new("double")).await;
    // A client that holds a stream open does not hold the coordinator up for long.
    let stream = Stream::open(&cluster.address(), command("double")).await.unwrap();
    cluster.coordinator().signal(libc::SIGTERM);
    let status = cluster.coordinator().ended().await;
    assert!(status.success(), "{status}");
    drop(stream);
    cluster.restart_coordinator().await;
    assert_eq!(call_with_retries(&cluster).await, [8]);
    cluster.assert_no_errors();
}

/// A `uv` that says when it is called, waits until it may go on, and then does as uv does, or fails.
fn gated_uv(folder: &Path, then: &str) -> PathBuf {
    let path = folder.join("uv");
    let gate = folder.display();
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in venv) touch {gate}/entered; while [ ! -e {gate}/open ]; do sleep 0.02; done;; esac\n{then}\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A cluster whose coordinator died and was started again while the environment of `double` was being built.
async fn interrupted(folder: &Path, then: &str) -> Cluster {
    let options = Options { uv: Some(gated_uv(folder, then)), ..Options::default() };
    let mut cluster = Cluster::with(2, options).await;
    let events = cluster.client().begin_register(&Function::new("double")).await;
    let building = async || {
        let info = cluster.client().describe("double").await?;
        (info.state() == LoadState::Building && folder.join("entered").exists()).then_some(())
    };
    eventually("the environment is being built", building).await;
    cluster.restart_coordinator().await;
    drop(events);
    let known = cluster.client().describe("double").await.expect("what was under way is not forgotten");
    assert_ne!(known.state(), LoadState::Ready);
    std::fs::write(folder.join("open"), "").unwrap();
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_was_cut_short_becomes_ready() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = interrupted(folder.path(), &format!("exec {} \"$@\"", uv().display())).await;
    cluster.client().wait_served_by("double", &["e1", "e2"]).await;
    let results = call(&cluster.address(), path("double"), &[numbers([4])]).await.unwrap();
    assert_eq!(integers(&results), [8]);
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_was_cut_short_fails_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = interrupted(folder.path(), "echo no space left >&2; exit 1").await;
    eventually("it is gone", async || cluster.client().describe("double").await.is_none().then_some(())).await;
    let request = ListFunctionsRequest { all_versions: true, ..Default::default() };
    let listed = cluster.client().fleet().await.list_functions(request).await.unwrap().into_inner();
    assert!(listed.functions.is_empty(), "{listed:?}");
    let log = cluster.coordinator().log();
    assert!(log.contains("double@1") && log.contains("no space left"), "the log says why:\n{log}");
}

async fn drop_function(cluster: &Cluster, name: &str) {
    let request = DropFunctionRequest { name: name.to_owned() };
    cluster.client().fleet().await.drop_function(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_dropped_functions_go() {
    let options = Options { coordinator: vec!["--artifact-ttl=1s"], ..Options::default() };
    let mut cluster = Cluster::with(1, options).await;
    cluster.client().register(&Function::new("double")).await;
    cluster.client().register(&Function::new("echo")).await;
    let data = cluster.data_dir();
    let files = || {
        let folders = std::fs::read_dir(data.join("artifacts")).unwrap().flatten();
        // The others hold marks of when a file was asked for.
        let folders = folders.filter(|folder| folder.file_name().len() == 2);
        folders.filter_map(|folder| std::fs::read_dir(folder.path()).ok()).flatten().count()
    };
    assert_eq!(files(), 3, "one module and two payloads");
    drop_function(&cluster, "double").await;
    eventually("one payload goes", async || (files() == 2).then_some(())).await;
    // What is left can be loaded by an executor that has nothing yet.
    cluster.add_executor("e2").await;
    cluster.client().wait_served_by("echo", &["e1", "e2"]).await;
    drop_function(&cluster, "echo").await;
    eventually("nothing is left", async || (files() == 0).then_some(())).await;
    cluster.assert_no_errors();
}
