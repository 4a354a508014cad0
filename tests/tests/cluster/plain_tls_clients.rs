//! Engines that bring a Flight client and TLS of their own: arrow-flight on tonic, with nothing of ours.

use std::ffi::OsString;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use tonic::Code;
use tonic::transport::{ClientTlsConfig, Endpoint};
use udfleet_tests::batches::numbers;
use udfleet_tests::binaries::uv;
use udfleet_tests::certificates::{Certificates, connect_encrypted};
use udfleet_tests::control::Client;
use udfleet_tests::engine::EngineClient;
use udfleet_tests::function::Function;
use udfleet_tests::messages::path;
use udfleet_tests::process::Process;
use udfleet_tests::wait::eventually;

const TOKEN: &str = "token-of-a-fleet-with-tls";

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// 42, or the status that refuses.
async fn doubled(address: &str, tls: &ClientTlsConfig, token: &str) -> Result<i64, Code> {
    let channel = connect_encrypted(address, tls).await.expect("a connection");
    let bearer = format!("Bearer {token}");
    let mut engine = EngineClient::over(channel, &[("authorization", bearer.as_str())]);
    let reply = engine.call("double", &[numbers([21])]).await.map_err(|status| status.code())?;
    Ok(reply.batches[0].column(0).as_primitive::<Int64Type>().value(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_tonic_client_calls_a_fleet_that_speaks_tls() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::create(&folder.path().join("certs"), "e1");
    let file = |name: &str| folder.path().join(name).into_os_string();
    std::fs::write(file("token"), TOKEN).unwrap();
    let common =
        [words(&["--listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--token-file"]), vec![file("token")]].concat();
    let options = [
        &common[..],
        &words(&["--engine-listen=127.0.0.1:0", "--data-dir"]),
        &[file("data")],
        &certificates.options("coordinator-c"),
    ];
    let coordinator = Process::start("udfleet-coordinator", "coordinator", folder.path(), &options.concat()).await;
    let address = coordinator.ready("grpc").to_owned();
    let options = [
        &common[..],
        &words(&["--tls-client-auth=required", "--interpreters-per-environment=1", "--coordinator", &address]),
        &words(&["--uv"]),
        &[uv().into_os_string(), "--work-dir".into(), file("e1")],
        &certificates.options("executor-e1"),
    ];
    let executor = Process::start("udfleet-executor", "e1", folder.path(), &options.concat()).await;
    let (anonymous, known) = (certificates.client(None), certificates.client(Some("client")));

    // The control services too are what tonic makes of the .proto files.
    let client = Client::encrypted(&address, Some(TOKEN), anonymous.clone());
    eventually("it is registered", async || client.try_register(&Function::new("double")).await.ok()).await;
    for tls in [&anonymous, &known] {
        assert_eq!(doubled(&address, tls, TOKEN).await, Ok(42));
        assert_eq!(doubled(coordinator.ready("engine"), tls, "none is asked for").await, Ok(42));
        assert_eq!(doubled(&address, tls, "wrong").await, Err(Code::Unauthenticated));
    }
    // Straight at the executor, where a client finds it.
    let channel = connect_encrypted(&address, &known).await.unwrap();
    let mut engine = EngineClient::over(channel, &[("authorization", &format!("Bearer {TOKEN}"))]);
    let (info, _) = engine.info(path("double")).await.unwrap();
    let locations: Vec<&str> = info.endpoint.iter().flat_map(|e| &e.location).map(|l| l.uri.as_str()).collect();
    assert_eq!(locations, [format!("grpc+tls://{}", executor.ready("grpc"))]);
    assert_eq!(doubled(executor.ready("grpc"), &known, TOKEN).await, Ok(42));
    assert_eq!(doubled(executor.ready("grpc"), &anonymous, TOKEN).await, Err(Code::Unauthenticated));

    // Who trusts another CA, and who speaks no TLS, gets no connection or no answer.
    let others = Certificates::create(&folder.path().join("others"), "e1");
    assert!(connect_encrypted(&address, &others.client(None)).await.is_err());
    let plain = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let refused = EngineClient::over(plain, &[]).call("double", &[numbers([21])]).await.unwrap_err();
    assert!(refused.code() != Code::Ok, "{refused}");
}
