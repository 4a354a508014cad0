//! Access control: tokens, the port for engines, attaching.

use arrow_flight::flight_service_client::FlightServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_stream::wrappers::ReceiverStream;
use udfleet_coordinator::config::Config;
use udfleet_coordinator::server::Server;
use udfleet_edge::auth::SendToken;
use udfleet_edge::secret::Secret;
use udfleet_proto::v1::coordinator_message::Kind as Down;
use udfleet_proto::v1::executor_message::Kind as Up;
use udfleet_proto::v1::fleet_client::FleetClient;
use udfleet_proto::v1::membership_client::MembershipClient;
use udfleet_proto::v1::{ErrorCode, ExecutorMessage, Hello, ServerInfoRequest};

use super::client::{open_on, path};
use super::executor::{Behaviour, Executor};
use super::support::{config, echo, error_of, start, within};

pub async fn get(address: &str, page: &str) -> String {
    get_with(address, page, "").await
}

async fn get_with(address: &str, page: &str, header: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {page} HTTP/1.1\r\nHost: localhost\r\n{header}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_guards_every_service() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Config { token: Some(Secret::new("sesame")), ..config(&folder) }).await.unwrap();
    let url = format!("http://{}", server.grpc_address());
    let channel = tonic::transport::Channel::from_shared(url).unwrap().connect().await.unwrap();
    let refused = open_on(channel.clone(), path("f")).await.err().unwrap();
    assert_eq!(error_of(&refused).code(), ErrorCode::Unauthenticated);
    let info = |token: &str| {
        let mut request = tonic::Request::new(ServerInfoRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    };
    let mut fleet = FleetClient::new(channel);
    assert!(fleet.server_info(ServerInfoRequest::default()).await.is_err());
    assert!(fleet.server_info(info("open")).await.is_err());
    let answer = fleet.server_info(info("sesame")).await.unwrap().into_inner();
    assert_eq!(answer.http_address, server.http_address().to_string());
    assert!(answer.config_keys.iter().any(|key| key.name == "udfleet.call.timeout"));

    let http = server.http_address().to_string();
    for (header, status) in
        [("", "401"), ("Authorization: Bearer open\r\n", "401"), ("Authorization: Bearer sesame\r\n", "200")]
    {
        let answer = get_with(&http, "/api/v1/functions", header).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{header}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_port_tells_health_and_numbers() {
    let coordinator = start().await;
    let _a = Executor::start(&coordinator.address(), "a", Behaviour::default());
    coordinator.executors(|all| all.len() == 1).await;
    coordinator.register(echo("add")).await.1.unwrap();
    let http = coordinator.server.http_address().to_string();
    assert!(get(&http, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(get(&http, "/readyz").await.starts_with("HTTP/1.1 200"));
    let page = get(&http, "/metrics").await;
    assert!(page.contains("udfleet_function_calls_total{function=\"add@1\"} 7"), "{page}");
    assert!(page.contains("udfleet_executors{state=\"ready\"} 1"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_attach_fences_the_older() {
    let coordinator = start().await;
    let mut client = MembershipClient::new(coordinator.channel().await);
    let mut attach = async |version: &str, process: &str| {
        let hello = Hello {
            executor: "twin".to_owned(),
            incarnation: process.to_owned(),
            version: version.to_owned(),
            address: "127.0.0.1:1".to_owned(),
            ..Hello::default()
        };
        let (send, receive) = tokio::sync::mpsc::channel(4);
        send.send(ExecutorMessage { kind: Some(Up::Hello(hello)) }).await.unwrap();
        client.attach(ReceiverStream::new(receive)).await.map(|answer| (send, answer.into_inner()))
    };
    let (_keep_first, mut first) = attach(udfleet_proto::VERSION, "one").await.unwrap();
    let Some(Down::Welcome(welcome)) = first.message().await.unwrap().unwrap().kind else { panic!("no welcome") };
    assert_eq!(welcome.epoch, 1);
    for _ in 0..3 {
        let rival = attach(udfleet_proto::VERSION, "two").await.err().unwrap();
        assert_eq!(error_of(&rival).code(), ErrorCode::InvalidConfig);
    }
    let (to_second, mut second) = attach(udfleet_proto::VERSION, "one").await.unwrap();
    let Some(Down::Welcome(welcome)) = second.message().await.unwrap().unwrap().kind else { panic!("no welcome") };
    assert_eq!(welcome.epoch, 1, "it is the same process, and those that were refused have used up none");
    let report = udfleet_proto::v1::Report { sequence: 1, ..Default::default() };
    to_second.send(ExecutorMessage { kind: Some(Up::Report(report)) }).await.unwrap();
    let ended = async { while let Ok(Some(_)) = first.message().await {} };
    within(ended).await;
    let desired = async { while !matches!(second.message().await.unwrap().unwrap().kind, Some(Down::Desired(_))) {} };
    within(desired).await;
    let other = attach("99.0.0", "one").await.err().unwrap();
    assert_eq!(error_of(&other).code(), ErrorCode::VersionMismatch);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_a_wildcard() {
    let folder = tempfile::tempdir().unwrap();
    let everywhere = Config {
        listen: ([0, 0, 0, 0], 0).into(),
        http_listen: ([0, 0, 0, 0], 0).into(),
        insecure_non_loopback: true,
        token: Some(Secret::new("sesame")),
        ..config(&folder)
    };
    let error = Server::start(everywhere.clone()).await.err().unwrap();
    assert!(error.code() == ErrorCode::InvalidConfig && error.info().hint.contains("advertise"), "{error}");
    let advertise = Some("localhost".parse().unwrap());
    let server = Server::start(Config { advertise, ..everywhere }).await.unwrap();
    let (grpc, http) = (server.grpc_address().port(), server.http_address().port());
    let channel = tonic::transport::Channel::from_shared(format!("http://127.0.0.1:{grpc}")).unwrap();
    let channel = channel.connect().await.unwrap();
    let guarded = SendToken::new(Some(&Secret::new("sesame"))).unwrap();
    let mut fleet = FleetClient::with_interceptor(channel.clone(), guarded.clone());
    let told = fleet.server_info(ServerInfoRequest::default()).await.unwrap().into_inner();
    assert_eq!((told.coordinator, told.http_address), (format!("localhost:{grpc}"), format!("localhost:{http}")));
    let hello = Hello { executor: "e".to_owned(), version: udfleet_proto::VERSION.to_owned(), ..Hello::default() };
    let hello = Hello { address: "127.0.0.1:1".to_owned(), ..hello };
    let first = tokio_stream::once(ExecutorMessage { kind: Some(Up::Hello(hello)) });
    let mut membership = MembershipClient::with_interceptor(channel, guarded);
    let mut inbox = membership.attach(first).await.unwrap().into_inner();
    let Some(Down::Welcome(welcome)) = inbox.message().await.unwrap().unwrap().kind else { panic!("no welcome") };
    assert_eq!(welcome.coordinator, format!("localhost:{grpc}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_calls_are_in_the_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Config { token: Some(Secret::new("sesame")), ..config(&folder) }).await.unwrap();
    let url = format!("http://{}", server.grpc_address());
    let channel = tonic::transport::Channel::from_shared(url).unwrap().connect().await.unwrap();
    let with = |token: &str| SendToken::new(Some(&Secret::new(token))).unwrap();
    let request = udfleet_proto::v1::CreateTokenRequest {
        kind: udfleet_proto::v1::TokenKind::Roles as i32,
        name: "ci".to_owned(),
        roles: vec!["call".to_owned()],
        functions: vec!["team_*".to_owned()],
        ..Default::default()
    };
    let mut admin = FleetClient::with_interceptor(channel.clone(), with("sesame"));
    let token = admin.create_token(request).await.unwrap().into_inner().token;
    let drop = || udfleet_proto::v1::DropFunctionRequest { name: "f".to_owned() };
    FleetClient::with_interceptor(channel.clone(), with("wrong")).drop_function(drop()).await.unwrap_err();
    FleetClient::with_interceptor(channel.clone(), with(&token)).drop_function(drop()).await.unwrap_err();
    let mut flight = FlightServiceClient::with_interceptor(channel, with(&token));
    flight.get_flight_info(path("other")).await.unwrap_err();
    get(&server.http_address().to_string(), "/api/v1/functions").await;
    let log = folder.path().join("audit/audit.jsonl");
    let lines = async {
        loop {
            let text = std::fs::read_to_string(&log).unwrap();
            let all: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            if all.iter().filter(|line| line["decision"] == "denied").count() == 4 {
                return all;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let lines = within(lines).await;
    let text = |line: &serde_json::Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let denied: Vec<_> = lines
        .iter()
        .filter(|line| line["decision"] == "denied")
        .map(|line| ["who", "what", "subject", "code", "reason"].map(|key| text(line, key)))
        .collect();
    assert_eq!(
        denied,
        [
            ["", "DropFunction", "", "UNAUTHENTICATED", "wrong"],
            ["ci", "DropFunction", "", "PERMISSION_DENIED", ""],
            ["ci", "GetFlightInfo", "other", "PERMISSION_DENIED", ""],
            ["", "/api/v1/functions", "", "UNAUTHENTICATED", "missing"],
        ]
    );
    assert!(lines.iter().all(|line| text(line, "from").starts_with("127.0.0.1:")), "{lines:?}");
    assert!(!std::fs::read_to_string(&log).unwrap().contains("sesame"));
}
