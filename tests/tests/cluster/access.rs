//! Access control: tokens and addresses.

use std::collections::BTreeMap;

use tonic::{Code, Request, Status};
use udfleet_proto::v1::artifacts_client::ArtifactsClient;
use udfleet_proto::v1::membership_client::MembershipClient;
use udfleet_proto::v1::node_client::NodeClient;
use udfleet_proto::v1::{
    ErrorCode, ExecutorMessage, ListExecutorsRequest, MissingArtifactsRequest, ProfileRequest, RegisterFunctionRequest,
};
use udfleet_tests::batches::numbers;
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::control::{Client, Token};
use udfleet_tests::function::Function;
use udfleet_tests::http::get;
use udfleet_tests::messages::{Encoder, descriptors, path};
use udfleet_tests::process::run;
use udfleet_tests::stream::{Stream, flight, typed};

const TOKEN: &str = "a-token-of-the-fleet";

fn assert_locked_out(what: &str, status: Option<Status>) {
    let status = status.unwrap_or_else(|| panic!("{what} was let in"));
    assert_eq!(status.code(), Code::Unauthenticated, "{what}: {status:?}");
    let error = typed(&status);
    assert_eq!(error.code(), ErrorCode::Unauthenticated, "{what}");
    assert!(!error.to_string().contains(TOKEN), "{what}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_nothing_is_answered() {
    let cluster = Cluster::with(1, Options { token: Some(TOKEN), ..Options::default() }).await;
    cluster.client().register(&Function::new("double")).await;
    for (what, token) in [("no token", None), ("a wrong token", Some("another")), ("a part", Some(&TOKEN[..8]))] {
        for endpoint in cluster.endpoints() {
            let mut client = flight(&endpoint, token).await;
            let opened = vec![arrow_flight::FlightData::new().with_descriptor(path("double"))];
            assert_locked_out(what, Stream::open_with(&endpoint, token, opened).await.err());
            assert_locked_out(what, client.get_flight_info(path("double")).await.err());
            assert_locked_out(what, client.list_flights(arrow_flight::Criteria::default()).await.err());
        }
        let [coordinator, executor] = &cluster.endpoints()[..] else { panic!("two endpoints") };
        let channel = async |endpoint: &String| {
            tonic::transport::Endpoint::from_shared(format!("http://{endpoint}")).unwrap().connect().await
        };
        let mut fleet = Client::new(coordinator, token).fleet().await;
        assert_locked_out(what, fleet.list_executors(ListExecutorsRequest::default()).await.err());
        assert_locked_out(what, fleet.register_function(RegisterFunctionRequest::default()).await.err());
        let lock = || Token::new(token);
        let mut artifacts = ArtifactsClient::with_interceptor(channel(coordinator).await.unwrap(), lock());
        assert_locked_out(what, artifacts.missing(MissingArtifactsRequest::default()).await.err());
        let mut membership = MembershipClient::with_interceptor(channel(coordinator).await.unwrap(), lock());
        let nothing = tokio_stream::iter(Vec::<ExecutorMessage>::new());
        assert_locked_out(what, membership.attach(Request::new(nothing)).await.err());
        let mut node = NodeClient::with_interceptor(channel(executor).await.unwrap(), lock());
        assert_locked_out(what, node.profile(ProfileRequest::default()).await.err());
    }
    // With it, everything works, through the coordinator too.
    for endpoint in cluster.endpoints() {
        for (form, descriptor) in descriptors("double") {
            let mut first = vec![arrow_flight::FlightData::new().with_descriptor(descriptor)];
            first.extend(Encoder::default().all(&[numbers([4])]));
            let mut stream = Stream::open_with(&endpoint, Some(TOKEN), first).await.unwrap();
            stream.half_close();
            assert_eq!(
                udfleet_tests::batches::integers(&stream.rest().await.unwrap()[1..]),
                [8],
                "{form} at {endpoint}"
            );
        }
    }
    // Health needs no token, and tells no secret.
    for address in cluster.http_addresses() {
        assert_eq!(get(&address, "/healthz").await.0, 200);
        let (status, page) = get(&address, "/metrics").await;
        assert!(status == 200 && !page.contains(TOKEN));
    }
    cluster.assert_no_errors();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_without_the_token_stays_out() {
    let mut cluster = Cluster::with(1, Options { token: Some(TOKEN), ..Options::default() }).await;
    let address = cluster.address();
    let folder = cluster.folder().join("stranger");
    std::fs::create_dir_all(&folder).unwrap();
    let work = folder.join("work");
    let arguments = ["--coordinator", &address, "--id", "stranger", "--work-dir", work.to_str().unwrap()];
    let arguments: Vec<_> = arguments.iter().map(std::ffi::OsString::from).collect();
    let stranger = udfleet_tests::process::Process::start("udfleet-executor", "stranger", &folder, &arguments).await;
    let told = async || stranger.log().contains("UNAUTHENTICATED").then_some(());
    udfleet_tests::wait::eventually("it says why it is not attached", told).await;
    assert_eq!(cluster.states().await, BTreeMap::from([("e1".to_owned(), "ready".to_owned())]));
    assert!(!cluster.coordinator().log().contains(TOKEN), "the log holds no secret");
}

#[test]
fn other_addresses_than_loopback_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let all = "0.0.0.0:0";
    for (program, arguments) in [
        ("udfleet-coordinator", vec!["--listen", all, "--http-listen", "127.0.0.1:0", "--data-dir", data]),
        ("udfleet-coordinator", vec!["--listen", "127.0.0.1:0", "--http-listen", all, "--data-dir", data]),
        ("udfleet-executor", vec!["--listen", all, "--coordinator", "127.0.0.1:1", "--work-dir", data]),
        ("udfleet-executor", vec!["--http-listen", all, "--coordinator", "127.0.0.1:1", "--work-dir", data]),
    ] {
        let (success, out, err) = run(program, &arguments, &[]);
        assert!(!success && out.is_empty(), "{program} {arguments:?} started: {out}");
        assert!(err.contains("0.0.0.0") && err.contains("insecure_non_loopback"), "{program} {arguments:?}: {err}");
    }
    for (program, more) in
        [("udfleet-coordinator", vec!["--data-dir", data]), ("udfleet-executor", vec!["--work-dir", data])]
    {
        // The override alone does not open the endpoint to everybody.
        let arguments = [vec!["--listen", all], more].concat();
        let (success, _, err) = run(
            program,
            &arguments,
            &[("UDFLEET_INSECURE_NON_LOOPBACK", "true"), ("UDFLEET_COORDINATOR", "127.0.0.1:1")],
        );
        assert!(!success && err.contains("token"), "{program}: {err}");
    }
}

#[test]
fn a_token_on_the_command_line_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    for (program, more) in [
        ("udfleet-coordinator", vec!["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--data-dir", folder]),
        ("udfleet-executor", vec!["--coordinator", "127.0.0.1:1", "--work-dir", folder]),
        ("udfleet-clickhouse", vec!["--function", "f"]),
    ] {
        let (success, out, err) = run(program, &[more, vec!["--token", TOKEN]].concat(), &[]);
        assert!(!success && !out.contains(TOKEN), "{program}: {out}");
        assert!(err.contains("--token-file") && !err.contains(TOKEN), "{program}: {err}");
    }
}
