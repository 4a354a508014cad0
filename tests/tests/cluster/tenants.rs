//! Limits of tenants, on real processes.

use tonic::{Code, Status};
use udfleet_proto::v1::{CreateTokenRequest, ErrorCode, ListTenantsRequest, TenantInfo, TenantLimits, TokenKind};
use udfleet_tests::batches::numbers;
use udfleet_tests::cluster::{Cluster, Options};
use udfleet_tests::control::Client;
use udfleet_tests::function::Function;
use udfleet_tests::http::metrics;
use udfleet_tests::messages::{Encoder, path};
use udfleet_tests::stream::{Stream, flight, typed};
use udfleet_tests::wait::eventually;

const TOKEN: &str = "the-fleets-own-token";

async fn fleet(limits: &[&'static str]) -> Cluster {
    let coordinator = limits.iter().flat_map(|limit| ["--tenant-limit", limit]).collect();
    Cluster::with(1, Options { token: Some(TOKEN), coordinator, ..Options::default() }).await
}

/// A client of this tenant, and its token.
async fn of(cluster: &Cluster, tenant: &str) -> (Client, String) {
    let request = CreateTokenRequest {
        kind: TokenKind::Roles as i32,
        name: format!("of-{tenant}"),
        tenant: tenant.to_owned(),
        roles: vec!["register".to_owned(), "call".to_owned()],
        ..CreateTokenRequest::default()
    };
    let token = cluster.client().fleet().await.create_token(request).await.unwrap().into_inner().token;
    (Client::new(&cluster.address(), Some(&token)), token)
}

async fn tenant(cluster: &Cluster, tenant: &str) -> TenantInfo {
    let answer = cluster.client().fleet().await.list_tenants(ListTenantsRequest::default()).await.unwrap();
    answer.into_inner().tenants.into_iter().find(|info| info.tenant == tenant).unwrap()
}

/// A stream with a batch of so many rows, open.
async fn open(address: &str, token: &str, rows: i64) -> Result<Stream, Status> {
    let mut first = vec![arrow_flight::FlightData::new().with_descriptor(path("double"))];
    first.extend(Encoder::default().all(&[numbers(0..rows)]));
    let mut stream = Stream::open_with(address, Some(token), first).await?;
    // The schema, and the batch.
    stream.next().await?;
    stream.next().await?;
    Ok(stream)
}

/// What executors are shown in place of the token, and where one is.
async fn ticket(cluster: &Cluster, token: &str) -> (String, String) {
    let info =
        flight(&cluster.address(), Some(token)).await.get_flight_info(path("double")).await.unwrap().into_inner();
    let place = info.endpoint[0].location[0].uri.rsplit_once('/').unwrap().1.to_owned();
    let schema = arrow_schema::Schema::try_from(arrow_flight::IpcMessage(info.schema)).unwrap();
    (schema.metadata["x-udfleet-ticket"].clone(), place)
}

fn refused(opened: Result<Stream, Status>) {
    let status = opened.err().expect("it is refused before any header is sent");
    let error = typed(&status);
    assert_eq!((status.code(), error.code()), (Code::Unavailable, ErrorCode::NoCapacity), "{error}");
    assert!(error.info().message.contains("\"acme\""), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_registers_is_bounded() {
    let cluster = fleet(&["*.functions=9", "acme.functions=2", "acme.environments=1", "small.artifact_bytes=1k"]).await;
    let ((acme, _), (other, _), (small, _)) =
        (of(&cluster, "acme").await, of(&cluster, "other").await, of(&cluster, "small").await);
    let first = acme.register(&Function::new("double").named("a")).await;
    assert_eq!(first.definition.unwrap().tenant, "acme");
    // One more environment, then one more version.
    let elsewhere = Function::new("double").named("b").variant("another module");
    let error = acme.try_register(&elsewhere).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::LimitExceeded);
    assert!(error.info().hint.contains("tenants.acme.environments"), "{error:?}");
    acme.register(&Function::new("double").named("b")).await;
    let error = acme.try_register(&Function::new("double").named("c")).await.unwrap_err();
    assert!(
        error.code() == ErrorCode::LimitExceeded && error.info().hint.contains("tenants.acme.functions"),
        "{error:?}"
    );
    acme.register(&Function::new("double").named("a")).await;
    other.register(&elsewhere).await;
    cluster.client().register(&Function::new("double").named("c")).await;
    // A file that would be too much is refused before it is stored.
    let refused = small.try_upload("large", &[b'x'; 2000]).await.unwrap_err();
    assert_eq!(typed(&refused).code(), ErrorCode::LimitExceeded);
    small.upload("small", &[b'x'; 600]).await;
    assert_eq!(typed(&small.try_upload("more", &[b'y'; 600]).await.unwrap_err()).code(), ErrorCode::LimitExceeded);
    // What is dropped makes room.
    let request = udfleet_proto::v1::DropFunctionRequest { name: "a".to_owned() };
    acme.fleet().await.drop_function(request).await.unwrap();
    acme.register(&Function::new("double").named("d")).await;

    let seen = tenant(&cluster, "acme").await;
    let limits = TenantLimits { functions: Some(2), environments: Some(1), ..TenantLimits::default() };
    assert_eq!((seen.functions, seen.environments, seen.refused, seen.limits), (2, 1, 2, Some(limits)));
    assert_eq!(tenant(&cluster, "other").await.functions, 1);
    assert_eq!(tenant(&cluster, "small").await.refused, 2);
    let page = metrics(&cluster.http_addresses()[0]).await;
    assert_eq!(page["udfleet_tenant_functions{tenant=\"acme\"}"], 2.0);
    assert!(page["udfleet_tenant_artifact_bytes{tenant=\"acme\"}"] > 0.0);
    let counted = |limit: &str| {
        let labels = [("tenant", "small"), ("limit", limit)].map(|(name, value)| format!("{name}=\"{value}\""));
        let orders = [format!("{},{}", labels[0], labels[1]), format!("{},{}", labels[1], labels[0])];
        orders.iter().find_map(|labels| page.get(&format!("udfleet_tenant_refusals_total{{{labels}}}")).copied())
    };
    assert_eq!(counted("artifact_bytes"), Some(2.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_are_bounded_at_every_port() {
    let cluster = fleet(&["acme.streams=1"]).await;
    cluster.client().register(&Function::new("double")).await;
    let ((_, acme), (_, other)) = (of(&cluster, "acme").await, of(&cluster, "other").await);
    let (shown, place) = ticket(&cluster, &acme).await;
    for (address, token) in [(cluster.address(), &acme), (place, &shown)] {
        let held = open(&address, token, 10).await.unwrap();
        refused(open(&address, token, 10).await);
        drop(held);
        let again = async || open(&address, token, 10).await.ok();
        eventually("there is room again", again).await;
    }
    let address = cluster.address();
    let many: Vec<_> = futures::future::join_all((0..5).map(|_| open(&address, &other, 10))).await;
    assert!(many.iter().all(Result::is_ok), "others are not concerned");
    assert_eq!(tenant(&cluster, "other").await.streams, 5);
    let [coordinator, executor] = &cluster.http_addresses()[..] else { panic!("two pages") };
    assert_eq!(metrics(coordinator).await["udfleet_tenant_streams_open{tenant=\"other\"}"], 5.0);
    // The executor has counted what came straight to it, and nothing that the coordinator has sent on.
    let page = metrics(executor).await;
    assert_eq!(page["udfleet_tenant_rows_total{tenant=\"acme\"}"], 20.0);
    assert!(!page.contains_key("udfleet_tenant_rows_total{tenant=\"other\"}"), "{page:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_second_are_bounded() {
    let cluster = fleet(&["acme.rows_per_second=1000"]).await;
    cluster.client().register(&Function::new("double")).await;
    let ((_, acme), (_, other)) = (of(&cluster, "acme").await, of(&cluster, "other").await);
    let (shown, place) = ticket(&cluster, &acme).await;
    for (address, token) in [(cluster.address(), &acme), (place, &shown)] {
        let mut held = open(&address, token, 4000).await.unwrap();
        // Three seconds' worth too early: a new stream is refused, the open one waits.
        refused(open(&address, token, 1).await);
        assert!(open(&cluster.address(), &other, 4000).await.is_ok());
        let begun = std::time::Instant::now();
        held.send_all(Encoder::default().all(&[numbers(0..1)]).into_iter().skip(1)).await;
        held.next().await.unwrap().unwrap();
        assert!(begun.elapsed() > std::time::Duration::from_millis(500), "{:?}", begun.elapsed());
        // More than ten seconds allow.
        held.send_all(Encoder::default().all(&[numbers(0..10_001)]).into_iter().skip(1)).await;
        let error = typed(&held.next().await.unwrap_err());
        assert_eq!(error.code(), ErrorCode::LimitExceeded, "{error}");
    }
}
