//! The table of methods against real processes: each method with each kind of caller.

use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use udfleet_edge::auth::{Demand, METHODS, Right, Rights, Role, SecretHash, Surface, TokenType, token_of};
use udfleet_proto::v1::membership_client::MembershipClient;
use udfleet_proto::v1::{
    AccessRecord, CreateTokenRequest, DropFunctionRequest, ErrorCode, ExchangeRequest, Hello, JoinRequest,
    ListTokensRequest, RegisterFunctionRequest, RevokeTokenRequest, ServerInfoRequest, Stage, TokenKind,
};
use udfleet_tests::batches::numbers;
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::control::{Client, Token};
use udfleet_tests::function::Function;
use udfleet_tests::http::{get_as, get_with};
use udfleet_tests::messages::{Encoder, descriptors, path, request};
use udfleet_tests::stream::{Stream, flight, typed};
use udfleet_tests::wait::{eventually, within};

const TOKEN: &str = "the-fleets-own-token";

/// A caller, and what it may do on the coordinator's ports.
struct Identity {
    what: String,
    token: Option<String>,
    /// `None`: it is not known.
    rights: Option<Rights>,
}

async fn create(client: &Client, kind: TokenKind, name: &str, roles: &[&str], functions: &[&str]) -> String {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let (name, kind) = (name.to_owned(), kind as i32);
    let request =
        CreateTokenRequest { kind, name, roles: owned(roles), functions: owned(functions), ..Default::default() };
    client.fleet().await.create_token(request).await.unwrap().into_inner().token
}

/// Whether ServerInfo, which any caller that is known may ask for, is answered.
async fn known(address: &str, token: &str) -> bool {
    let mut fleet = Client::new(address, Some(token)).fleet().await;
    fleet.server_info(ServerInfoRequest::default()).await.is_ok()
}

async fn channel(address: &str) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// An executor's credential, got as an executor gets it.
async fn join(address: &str, join_token: &str, executor: &str) -> String {
    let (credential, hash) = token_of(TokenType::Executor, executor, [7; 32]);
    let mut membership = MembershipClient::with_interceptor(channel(address).await, Token::new(Some(join_token)));
    let request = JoinRequest { executor: executor.to_owned(), secret_sha256: hash.bytes().to_vec().into() };
    membership.join(request).await.unwrap();
    credential.expose().to_owned()
}

async fn identities(cluster: &Cluster) -> Vec<Identity> {
    let (client, address) = (cluster.client(), cluster.address());
    let of = |what: &str, token: Option<String>, rights| Identity { what: what.to_owned(), token, rights };
    let mut all = vec![
        of("no token", None, None),
        of("a wrong token", Some("wrong".to_owned()), None),
        of("a token of a name that does not exist", Some(format!("udfleet.nobody.{}", "0".repeat(64))), None),
        of("the fleet's own token", Some(TOKEN.to_owned()), Some(Rights::ALL)),
    ];
    for role in Role::ALL {
        let token = create(&client, TokenKind::Roles, role.name(), &[role.name()], &[]).await;
        all.push(of(&format!("the role {role}"), Some(token), Some(role.rights())));
    }
    let revoked = create(&client, TokenKind::Roles, "revoked", &["admin"], &[]).await;
    assert!(known(&address, &revoked).await);
    let request = RevokeTokenRequest { kind: TokenKind::Roles as i32, name: "revoked".to_owned() };
    client.fleet().await.revoke_token(request).await.unwrap();
    all.push(of("a revoked token", Some(revoked.clone()), None));
    let forged = revoked.replace(".revoked.", ".admin.");
    all.push(of("one token's secret with another's name", Some(forged), None));
    let request = CreateTokenRequest {
        kind: TokenKind::Roles as i32,
        name: "expired".to_owned(),
        roles: vec!["admin".to_owned()],
        lifetime_s: 1,
        ..Default::default()
    };
    let expired = client.fleet().await.create_token(request).await.unwrap().into_inner().token;
    eventually("the token expires", async || (!known(&address, &expired).await).then_some(())).await;
    all.push(of("an expired token", Some(expired), None));
    let token = create(&client, TokenKind::Join, "e9", &[], &[]).await;
    all.push(of("a join token", Some(token.clone()), Some(Rights::of(&[Right::Join]))));
    let credential = join(&address, &token, "e9").await;
    all.push(of("an executor", Some(credential), Some(Rights::of(&[Right::Attach, Right::Join]))));
    all
}

/// Calls any method with an empty message, which none does anything for, and waits for its first answer.
async fn call(address: &str, method: &'static str, token: Option<&str>) -> Status {
    let service = tonic::service::interceptor::InterceptedService::new(channel(address).await, Token::new(token));
    let mut client = Grpc::new(service);
    client.ready().await.unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let messages = Request::new(tokio_stream::iter([()]));
    let asked = async {
        match client.streaming(messages, PathAndQuery::from_static(method), codec).await {
            Ok(answers) => match answers.into_inner().message().await {
                // Messages are not decoded into nothing without complaint.
                Ok(_) => Status::ok(""),
                Err(status) => status,
            },
            Err(status) => status,
        }
    };
    within(method, asked).await
}

fn expected(demand: Demand, rights: Option<Rights>) -> Option<Code> {
    match (demand, rights) {
        (Demand::Nothing, _) => None,
        (_, None) => Some(Code::Unauthenticated),
        (Demand::Known, Some(_)) => None,
        (Demand::OneOf(wanted), Some(rights)) => {
            (!wanted.iter().any(|right| rights.has(*right))).then_some(Code::PermissionDenied)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_takes_what_the_table_says() {
    let cluster = Cluster::with(1, Options { token: Some(TOKEN), ..Options::default() }).await;
    let identities = identities(&cluster).await;
    let [coordinator, executor] = &cluster.endpoints()[..] else { panic!("two endpoints") };
    let http = cluster.http_addresses();
    let mut checked = 0;
    for method in METHODS.iter().filter(|method| !method.path.starts_with("DoAction ")) {
        for identity in &identities {
            let token = identity.token.as_deref();
            for surface in method.surfaces {
                // Executors know the fleet's own token and nobody else's.
                let on_executor = identity.rights.filter(|rights| *rights == Rights::ALL);
                let (code, rights) = match surface {
                    Surface::Coordinator => (call(coordinator, method.path, token).await.code(), identity.rights),
                    Surface::Executor => (call(executor, method.path, token).await.code(), on_executor),
                    Surface::CoordinatorHttp | Surface::ExecutorHttp => {
                        let (at, rights) = match surface {
                            Surface::CoordinatorHttp => (&http[0], identity.rights),
                            _ => (&http[1], on_executor),
                        };
                        let header =
                            token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
                        let code = match get_with(at, &method.path.replace("{}", "f"), &header).await.0 {
                            401 => Code::Unauthenticated,
                            403 => Code::PermissionDenied,
                            _ => Code::Ok,
                        };
                        (code, rights)
                    }
                    Surface::Engine => continue,
                };
                let refused = matches!(code, Code::Unauthenticated | Code::PermissionDenied).then_some(code);
                let wanted = expected(method.demand, rights);
                assert_eq!(refused, wanted, "{} at {surface:?} by {}", method.path, identity.what);
                checked += 1;
            }
        }
    }
    assert!(checked > 500, "{checked}");
    // What is in no table does not exist, and strangers do not even learn that.
    for (token, code) in [(None, Code::Unauthenticated), (Some(TOKEN), Code::Unimplemented)] {
        assert_eq!(call(coordinator, "/udfleet.v1.Fleet/Nothing", token).await.code(), code);
    }
    let (_, page) = get_with(&http[0], "/metrics", "").await;
    let failed = |reason: &str| page.contains(&format!("udfleet_logins_failed_total{{reason=\"{reason}\"}}"));
    assert!(["missing", "wrong", "expired", "revoked"].iter().all(|reason| failed(reason)), "{page}");
}

/// What a Flight action is answered.
async fn act(address: &str, action: &str, token: Option<&str>) -> Code {
    let request = arrow_flight::Action { r#type: action.to_owned(), ..Default::default() };
    match flight(address, token).await.do_action(request).await {
        Ok(answers) => answers.into_inner().message().await.err().map_or(Code::Ok, |status| status.code()),
        Err(status) => status.code(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_and_the_port_for_engines_take_what_the_table_says() {
    let coordinator = vec!["--engine-listen", "127.0.0.1:0"];
    let mut cluster = Cluster::with(1, Options { token: Some(TOKEN), coordinator, ..Options::default() }).await;
    let identities = identities(&cluster).await;
    let [coordinator, executor] = &cluster.endpoints()[..] else { panic!("two endpoints") };
    let engines = cluster.coordinator().ready("engine");
    let by_engine = Some(Rights::of(&[Right::Call]));
    let mut checked = 0;
    for method in METHODS {
        let Some(action) = method.path.strip_prefix("DoAction ") else { continue };
        for Identity { what, token, rights } in &identities {
            let on_executor = rights.filter(|rights| *rights == Rights::ALL);
            for (address, rights) in [(coordinator, *rights), (executor, on_executor)] {
                let code = act(address, action, token.as_deref()).await;
                assert_eq!(
                    code,
                    expected(method.demand, rights).unwrap_or(Code::Ok),
                    "{action} at {address} by {what}"
                );
                checked += 1;
            }
        }
        assert_eq!(
            act(engines, action, None).await,
            expected(method.demand, by_engine).unwrap_or(Code::Ok),
            "{action}"
        );
    }
    assert!(checked > 20, "{checked}");
    // Engines reach their part of Flight, and nothing else is there, whatever they show.
    for method in METHODS.iter().filter(|method| method.path.starts_with("/udfleet") || method.path.contains("Flight"))
    {
        for token in [None, Some(TOKEN)] {
            let code = call(engines, method.path, token).await.code();
            let denied = matches!(code, Code::PermissionDenied | Code::Unauthenticated);
            if method.surfaces.contains(&Surface::Engine) {
                assert_eq!(denied, expected(method.demand, by_engine).is_some(), "{}: {code:?}", method.path);
            } else {
                assert_eq!(code, Code::Unimplemented, "{}", method.path);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_looks_at_host_and_origin() {
    let cluster = Cluster::with(1, Options { token: Some(TOKEN), ..Options::default() }).await;
    let http = cluster.http_addresses();
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    let foreign = format!("{token}origin: http://evil.example\r\n");
    let mut checked = 0;
    let pages = METHODS.iter().flat_map(|method| method.surfaces.iter().map(|surface| (*surface, method.path)));
    for (surface, path) in pages.chain([(Surface::CoordinatorHttp, "/nothing"), (Surface::ExecutorHttp, "/nothing")]) {
        let at = match surface {
            Surface::CoordinatorHttp => &http[0],
            Surface::ExecutorHttp => &http[1],
            Surface::Coordinator | Surface::Executor | Surface::Engine => continue,
        };
        let path = path.replace("{}", "f");
        assert_ne!(get_with(at, &path, &token).await.0, 403, "{surface:?} {path}");
        for (host, headers) in [("evil.example", &token), ("localhost", &foreign)] {
            let (status, body) = get_as(at, host, &path, headers).await;
            assert!(
                status == 403 && body.contains("PERMISSION_DENIED"),
                "{surface:?} {path} as {host}: {status} {body}"
            );
            checked += 1;
        }
    }
    assert!(checked >= 20, "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_hold_for_every_way_to_name_a_function() {
    let cluster = Cluster::with(1, Options { token: Some(TOKEN), ..Options::default() }).await;
    let (client, address) = (cluster.client(), cluster.address());
    client.register(&Function::new("double").named("team_double")).await;
    client.register(&Function::new("double").named("other")).await;
    let token = create(&client, TokenKind::Roles, "team", &["call", "register"], &["team_*"]).await;
    let token = Some(token.as_str());
    let open = async |descriptor| {
        let mut first = vec![arrow_flight::FlightData::new().with_descriptor(descriptor)];
        first.extend(Encoder::default().all(&[numbers([4])]));
        let mut stream = Stream::open_with(&address, token, first).await?;
        stream.half_close();
        stream.rest().await.map(|answers| answers.len())
    };
    let denied = |what: &str, status: Option<Status>| {
        let status = status.unwrap_or_else(|| panic!("{what} is allowed"));
        assert_eq!(typed(&status).code(), ErrorCode::PermissionDenied, "{what}: {status:?}");
    };
    for (form, descriptor) in descriptors("team_double") {
        assert_eq!(open(descriptor).await.unwrap(), 2, "{form}");
    }
    for (form, descriptor) in descriptors("other") {
        denied(form, open(descriptor).await.err());
    }
    denied("a version", open(path("other@1")).await.err());
    let stage = |functions: &[&str]| {
        let functions = functions.iter().map(|name| (*name).to_owned()).collect();
        request(ExchangeRequest { stage: Some(Stage { functions, ..Stage::default() }), ..ExchangeRequest::default() })
    };
    denied("a stage", open(stage(&["team_double@1", "other@1"])).await.err());
    let mut engine = flight(&address, token).await;
    assert!(engine.get_flight_info(path("team_double")).await.is_ok());
    denied("GetFlightInfo", engine.get_flight_info(path("other")).await.err());
    denied("GetSchema", engine.get_schema(path("other")).await.err());
    let mut flights = engine.list_flights(arrow_flight::Criteria::default()).await.unwrap().into_inner();
    let mut listed = Vec::new();
    while let Some(info) = flights.message().await.unwrap() {
        listed.extend(info.flight_descriptor.unwrap().path);
    }
    assert_eq!(listed, ["team_double"]);
    let mut fleet = Client::new(&address, token).fleet().await;
    let definition = Some(udfleet_proto::v1::FunctionDefinition { name: "other".to_owned(), ..Default::default() });
    let registered = fleet.register_function(RegisterFunctionRequest { definition, ..Default::default() }).await;
    denied("a registration", registered.err());
    denied("a drop", fleet.drop_function(DropFunctionRequest { name: "other".to_owned() }).await.err());
    fleet.drop_function(DropFunctionRequest { name: "team_double".to_owned() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_attaches_under_its_own_name_only_and_until_it_is_revoked() {
    use udfleet_proto::v1::ExecutorMessage;
    use udfleet_proto::v1::executor_message::Kind;
    let cluster = Cluster::with(1, Options { token: Some(TOKEN), ..Options::default() }).await;
    let (client, address) = (cluster.client(), cluster.address());
    let token = create(&client, TokenKind::Join, "e9", &[], &[]).await;
    let credential = join(&address, &token, "e9").await;
    let attach = async |executor: &str| {
        let hello = Hello {
            executor: executor.to_owned(),
            incarnation: "one".to_owned(),
            version: udfleet_proto::VERSION.to_owned(),
            address: "127.0.0.1:1".to_owned(),
            ..Hello::default()
        };
        let (send, messages) = tokio::sync::mpsc::channel(4);
        send.send(ExecutorMessage { kind: Some(Kind::Hello(hello)) }).await.unwrap();
        let interceptor = Token::new(Some(&credential));
        let mut membership = MembershipClient::with_interceptor(channel(&address).await, interceptor);
        let answer = membership.attach(tokio_stream::wrappers::ReceiverStream::new(messages)).await?;
        Ok::<_, Status>((send, answer.into_inner()))
    };
    let refused = attach("e1").await.err().unwrap();
    assert_eq!(typed(&refused).code(), ErrorCode::PermissionDenied, "another's name");
    let (_keep, mut inbox) = attach("e9").await.unwrap();
    assert!(inbox.message().await.unwrap().is_some(), "welcome");
    let request = RevokeTokenRequest { kind: TokenKind::Executor as i32, name: "e9".to_owned() };
    client.fleet().await.revoke_token(request).await.unwrap();
    within("the attachment ends", async { while let Ok(Some(_)) = inbox.message().await {} }).await;
    assert_eq!(typed(&attach("e9").await.err().unwrap()).code(), ErrorCode::Unauthenticated);
    // No hash leaves the fleet in a list.
    let listed = client.fleet().await.list_tokens(ListTokensRequest::default()).await.unwrap().into_inner().records;
    assert!(listed.iter().all(|record: &AccessRecord| record.secret_sha256.is_empty()) && listed.len() == 2);
    assert!(SecretHash::stored(&listed[0].used_for_sha256).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_hosts_read_nothing() {
    let cluster = Cluster::start(1).await;
    for address in cluster.http_addresses() {
        for (header, expected) in [("", 200), ("origin: http://evil.example\r\n", 403), ("origin: null\r\n", 403)] {
            assert_eq!(get_with(&address, "/metrics", header).await.0, expected, "{header}");
        }
        let (status, _) = udfleet_tests::http::get_as(&address, "evil.example", "/metrics", "").await;
        assert_eq!(status, 403, "a name that was made to resolve to this machine");
        let (status, _) = udfleet_tests::http::get_as(&address, "localhost:1", "/healthz", "").await;
        assert_eq!(status, 200);
    }
}

/// What GetFlightInfo gives for executors: the ticket, and their addresses.
async fn ticket(address: &str, token: &str, function: &str) -> (Option<String>, Vec<String>) {
    let info = flight(address, Some(token)).await.get_flight_info(path(function)).await.unwrap().into_inner();
    let places = info.endpoint.iter().flat_map(|endpoint| &endpoint.location);
    let places = places.map(|location| location.uri.rsplit_once('/').unwrap().1.to_owned()).collect();
    let schema = arrow_schema::Schema::try_from(arrow_flight::IpcMessage(info.schema)).unwrap();
    (schema.metadata.get("x-udfleet-ticket").cloned(), places)
}

/// One batch through a function, under a PATH descriptor.
async fn doubled(address: &str, token: Option<&str>, function: &str) -> Result<usize, ErrorCode> {
    let mut first = vec![arrow_flight::FlightData::new().with_descriptor(path(function))];
    first.extend(Encoder::default().all(&[numbers([4])]));
    let answers = async {
        let mut stream = Stream::open_with(address, token, first).await?;
        stream.half_close();
        stream.rest().await
    };
    answers.await.map(|answers| answers.len()).map_err(|status| typed(&status).code())
}

async fn start_executor(cluster: &Cluster, id: &str, more: &[&str]) -> udfleet_tests::process::Process {
    let folder = cluster.folder().join(id);
    std::fs::create_dir_all(&folder).unwrap();
    let (work, environments, uv) =
        (folder.join("work"), cluster.folder().join("environments"), udfleet_tests::binaries::uv());
    let address = cluster.address();
    let mut arguments: Vec<std::ffi::OsString> = vec!["--coordinator".into(), address.into(), "--work-dir".into()];
    arguments.extend([work.into(), "--environments-dir".into(), environments.into(), "--uv".into(), uv.into()]);
    arguments.extend(more.iter().map(std::ffi::OsString::from));
    udfleet_tests::process::Process::start("udfleet-executor", id, &folder, &arguments).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_joins_once_and_sees_tickets_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let cluster = Cluster::with(0, Options { token: Some(TOKEN), ..Options::default() }).await;
    let (client, address) = (cluster.client(), cluster.address());
    let join_token = create(&client, TokenKind::Join, "e7", &[], &[]).await;
    let file = cluster.folder().join("join");
    std::fs::write(&file, &join_token).unwrap();
    let token_file = ["--token-file", file.to_str().unwrap()];
    let executor = start_executor(&cluster, "e7", &token_file).await;
    // Its name is the join token's.
    cluster.wait_state("e7", "ready").await;
    let kept = cluster.folder().join("e7/work/credential");
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    client.register(&Function::new("double").named("team_double")).await;
    client.register(&Function::new("double").named("other")).await;
    let caller = create(&client, TokenKind::Roles, "caller", &["call"], &["team_*"]).await;
    let (given, places) = ticket(&address, &caller, "team_double").await;
    let (given, place) = (given.expect("a ticket"), &places[0]);
    assert_eq!(place, executor.ready("grpc"));
    assert_eq!(doubled(place, Some(&given), "team_double").await, Ok(2));
    assert_eq!(doubled(place, Some(&given), "other").await, Err(ErrorCode::PermissionDenied));
    for stranger in [None, Some(caller.as_str()), Some(TOKEN), Some(&given[..given.len() - 2])] {
        assert_eq!(doubled(place, stranger, "team_double").await, Err(ErrorCode::Unauthenticated), "{stranger:?}");
    }
    assert_eq!(doubled(&address, Some(&given), "team_double").await, Err(ErrorCode::Unauthenticated), "no token");
    assert_eq!(doubled(&address, Some(&caller), "team_double").await, Ok(2), "through the coordinator");
    let profile = call(place, "/udfleet.v1.Node/Profile", Some(&given)).await;
    assert_eq!(profile.code(), Code::PermissionDenied, "a caller's ticket is no coordinator's");
    // The credential is enough for ever after; the join token is not good for another executor.
    drop(executor);
    let gone = async || (cluster.states().await.get("e7").map(String::as_str) != Some("ready")).then_some(());
    eventually("it is gone", gone).await;
    let again = start_executor(&cluster, "e7", &["--id", "e7"]).await;
    cluster.wait_state("e7", "ready").await;
    let thief = start_executor(&cluster, "thief", &[token_file[0], token_file[1], "--id", "e7"]).await;
    let told = async || thief.log().contains("UNAUTHENTICATED").then_some(());
    eventually("it says why it is not attached", told).await;
    let secret = std::fs::read_to_string(kept).unwrap();
    for log in [again.log(), thief.log()] {
        assert!(!log.contains(&secret) && !log.contains(&join_token), "{log}");
    }
}
