//! Addresses that processes are given, and that they tell.

use udfleet_tests::process::Process;
use udfleet_tests::wait::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_whose_name_does_not_resolve_is_said_to_be_that() {
    let folder = tempfile::tempdir().unwrap();
    // The top-level domain is reserved: no server knows names in it.
    let arguments = ["--coordinator", "nobody.invalid:8815", "--advertise", "node-1", "--work-dir"];
    let work = folder.path().join("work").into_os_string();
    let arguments: Vec<_> = arguments.iter().map(std::ffi::OsString::from).chain([work]).collect();
    let executor = Process::start("udfleet-executor", "e1", folder.path(), &arguments).await;
    let told = async || executor.log().contains("its name does not resolve").then_some(());
    eventually("it says why it is not attached", told).await;
    let log = executor.log();
    assert!(!log.contains("EXECUTOR_LOST"), "{log}");
    let (_, port) = executor.ready("grpc").rsplit_once(':').unwrap();
    assert!(log.contains(&format!("node-1:{port}")), "it says what it tells others: {log}");
}
