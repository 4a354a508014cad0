//! Handshakes over loopback, with certificates made for the occasion.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tonic::service::Routes;
use tonic::{Code, Status};
use udfleet_proto::error::Error;
use udfleet_proto::v1::fleet_client::FleetClient;
use udfleet_proto::v1::{ErrorCode, ServerInfoRequest};

use super::*;
use crate::auth::{Everybody, Gate, Surface};
use crate::channel::{endpoint, error_of, is_unreached};
use crate::server::{Port, grpc};

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// A folder of certificates by one CA.
struct Certificates {
    folder: TempDir,
    issuer: Issuer,
}

/// What differs between certificates.
struct Wanted<'a> {
    hosts: &'a [&'a str],
    uri: Option<&'a str>,
    expired: bool,
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    /// Writes the files NAME.cert and NAME.key.
    fn write(&self, name: &str, wanted: &Wanted<'_>) {
        let hosts: Vec<String> = wanted.hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names.extend(wanted.uri.map(|uri| SanType::URI(uri.try_into().unwrap())));
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = if wanted.expired { date_time_ymd(2021, 1, 1) } else { date_time_ymd(2090, 1, 1) };
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(name, "cert"), certificate.pem()).unwrap();
        std::fs::write(self.path(name, "key"), key.serialize_pem()).unwrap();
    }

    fn path(&self, name: &str, what: &str) -> std::path::PathBuf {
        self.folder.path().join(format!("{name}.{what}"))
    }

    fn files(&self, name: Option<&str>) -> TlsFiles {
        let identity = name.map(|name| (self.path(name, "cert"), self.path(name, "key")));
        TlsFiles { ca: self.folder.path().join("ca"), identity }
    }

    fn node(&self, name: &str, client_auth: ClientAuth) -> Arc<Credentials> {
        let settings = TlsSettings { files: self.files(Some(name)), client_auth, allow: None };
        Credentials::of_node(settings).unwrap()
    }

    fn client(&self, name: Option<&str>) -> Connector {
        Connector::new(Some(Credentials::of_client(self.files(name)).unwrap()))
    }
}

fn node(hosts: &'static [&'static str], uri: &'static str) -> Wanted<'static> {
    Wanted { hosts, uri: Some(uri), expired: false }
}

const HERE: &[&str] = &["127.0.0.1"];

/// A port that answers UNIMPLEMENTED to whoever is let in.
async fn served(tls: Option<&Arc<Credentials>>) -> String {
    let port = Port::bind("listen", ([127, 0, 0, 1], 0).into(), tls).await.unwrap();
    let address = port.address().to_string();
    let gate = Gate::new(Surface::Coordinator, Arc::new(Everybody::unlimited()), Arc::default());
    let services = grpc(gate).add_routes(Routes::default());
    tokio::spawn(port.serve(services, std::future::pending()));
    address
}

/// The answer to a call on a new connection.
async fn called(connector: &Connector, address: &str, expected: Option<ExpectedPeer>) -> Status {
    let channel = connector.connect_lazy(&endpoint(address).unwrap(), expected);
    FleetClient::new(channel).server_info(ServerInfoRequest::default()).await.unwrap_err()
}

async fn outcome(connector: &Connector, address: &str, expected: Option<ExpectedPeer>) -> Result<(), Error> {
    match called(connector, address, expected).await {
        status if status.code() == Code::Unimplemented => Ok(()),
        status => Err(error_of(&status, address)),
    }
}

/// A refusal that no retry overcomes, and that says what to do.
fn assert_refused(outcome: Result<(), Error>, said: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unauthenticated, "{error}");
    assert!(!error.code().retryable() && !error.info().hint.is_empty(), "{error}");
    assert!(error.info().message.contains(said), "{error}, not {said:?}");
}

#[tokio::test]
async fn each_kind_of_failed_handshake_is_told_by_its_name() {
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    ours.write("good", &node(HERE, "udfleet://coordinator/c"));
    ours.write("elsewhere", &Wanted { hosts: &["elsewhere.example"], uri: None, expired: false });
    ours.write("old", &Wanted { hosts: HERE, uri: None, expired: true });
    let port = |name: &'static str| ours.node(name, ClientAuth::Off);
    let (client, stranger) = (ours.client(None), theirs.client(None));
    let good = served(Some(&port("good"))).await;
    outcome(&client, &good, None).await.unwrap();
    assert_refused(outcome(&stranger, &good, None).await, "not signed by a CA");
    assert_refused(outcome(&client, &served(Some(&port("elsewhere"))).await, None).await, "other names");
    assert_refused(outcome(&client, &served(Some(&port("old"))).await, None).await, "expired");
    assert_refused(outcome(&client, &served(None).await, None).await, "does not speak TLS");
    assert_refused(outcome(&Connector::default(), &good, None).await, "plain text");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let status = called(&client, &nobody, None).await;
    assert!(is_unreached(&status) && error_of(&status, &nobody).code().retryable(), "{status:?}");
}

#[tokio::test]
async fn clients_show_who_they_are() {
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    for certificates in [&ours, &theirs] {
        certificates.write("client", &node(&[], "udfleet://client/etl"));
    }
    ours.write("server", &node(HERE, "udfleet://coordinator/c"));
    ours.write("nameless", &Wanted { hosts: HERE, uri: None, expired: false });
    ours.write("old", &Wanted { hosts: &[], uri: Some("udfleet://client/etl"), expired: true });
    let stranger = TlsFiles { identity: theirs.files(Some("client")).identity, ..ours.files(None) };
    let stranger = Connector::new(Some(Credentials::of_client(stranger).unwrap()));
    for auth in [ClientAuth::Optional, ClientAuth::Required] {
        let address = served(Some(&ours.node("server", auth))).await;
        outcome(&ours.client(Some("client")), &address, None).await.unwrap();
        assert_refused(outcome(&stranger, &address, None).await, "not signed by this fleet's CA");
        assert_refused(outcome(&ours.client(Some("old")), &address, None).await, "expired");
        assert_refused(outcome(&ours.client(Some("nameless")), &address, None).await, "no node or client");
        let anonymous = outcome(&ours.client(None), &address, None).await;
        match auth {
            ClientAuth::Required => assert_refused(anonymous, "wants a client certificate"),
            _ => anonymous.unwrap(),
        }
    }
    let unasked = served(Some(&ours.node("server", ClientAuth::Off))).await;
    outcome(&stranger, &unasked, None).await.unwrap();
}

#[tokio::test]
async fn a_node_is_known_by_its_identity_wherever_it_is() {
    let ours = Certificates::new();
    ours.write("moved", &node(&["elsewhere.example"], "udfleet://executor/e1"));
    ours.write("usurper", &node(HERE, "udfleet://executor/e2"));
    ours.write("bare", &Wanted { hosts: HERE, uri: None, expired: false });
    let client = ours.client(None);
    let e1 = || Some(ExpectedPeer::Executor("e1".to_owned()));
    let moved = served(Some(&ours.node("moved", ClientAuth::Off))).await;
    outcome(&client, &moved, e1()).await.unwrap();
    assert_refused(outcome(&client, &moved, None).await, "other names");
    assert_refused(outcome(&client, &moved, Some(ExpectedPeer::Coordinator)).await, "a coordinator");
    let usurper = served(Some(&ours.node("usurper", ClientAuth::Off))).await;
    assert_refused(outcome(&client, &usurper, e1()).await, "executor e1");
    // A certificate without an identity counts by the name of its host.
    outcome(&client, &served(Some(&ours.node("bare", ClientAuth::Off))).await, e1()).await.unwrap();
}

#[tokio::test]
async fn silent_connections_delay_nobody() {
    let ours = Certificates::new();
    ours.write("server", &node(HERE, "udfleet://coordinator/c"));
    let address = served(Some(&ours.node("server", ClientAuth::Off))).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(&address).await.unwrap());
    }
    let client = ours.client(None);
    let call = outcome(&client, &address, None);
    tokio::time::timeout(Duration::from_secs(4), call).await.expect("shorter than a handshake may take").unwrap();
}

/// Waits until it holds.
async fn until(mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "waited for 30 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn replace(file: &Path, text: &[u8]) {
    std::fs::write(file, text).unwrap();
}

#[tokio::test]
async fn changed_files_are_taken_and_wrong_ones_are_not() {
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    ours.write("server", &node(HERE, "udfleet://coordinator/before"));
    let credentials = ours.node("server", ClientAuth::Off);
    let watch = tokio::spawn(Arc::clone(&credentials).watch());
    let address = served(Some(&credentials)).await;
    let (client, stranger) = (ours.client(None), theirs.client(None));
    let kept = client.connect_lazy(&endpoint(&address).unwrap(), None);
    let ask = || FleetClient::new(kept.clone());
    assert_eq!(ask().server_info(ServerInfoRequest::default()).await.unwrap_err().code(), Code::Unimplemented);

    // Half of a file; a key of another certificate; no file at all.
    let cert = std::fs::read(ours.path("server", "cert")).unwrap();
    for wrong in [&cert[..cert.len() / 2], b"", b"no certificate"] {
        let failed = credentials.numbers().failed_reloads;
        replace(&ours.path("server", "cert"), wrong);
        until(|| credentials.numbers().failed_reloads > failed).await;
        outcome(&client, &address, None).await.unwrap();
    }
    theirs.write("server", &node(HERE, "udfleet://coordinator/after"));
    let failed = credentials.numbers().failed_reloads;
    std::fs::copy(theirs.path("server", "cert"), ours.path("server", "cert")).unwrap();
    until(|| credentials.numbers().failed_reloads > failed).await;
    outcome(&client, &address, None).await.unwrap();
    assert_eq!(credentials.numbers().reloads, 0);

    std::fs::copy(theirs.path("server", "key"), ours.path("server", "key")).unwrap();
    until(|| credentials.numbers().reloads == 1).await;
    assert_eq!(credentials.certificate().unwrap().uris, ["udfleet://coordinator/after"]);
    outcome(&stranger, &address, None).await.unwrap();
    assert_refused(outcome(&client, &address, None).await, "not signed");
    // The connection that was there stays.
    assert_eq!(ask().server_info(ServerInfoRequest::default()).await.unwrap_err().code(), Code::Unimplemented);
    watch.abort();
}

#[test]
fn files_that_hold_something_else_are_named() {
    let ours = Certificates::new();
    ours.write("a", &node(HERE, "udfleet://client/a"));
    ours.write("b", &node(HERE, "udfleet://client/b"));
    let open = |cert: &str, key: &str| {
        let files = TlsFiles {
            identity: Some((ours.folder.path().join(cert), ours.folder.path().join(key))),
            ..ours.files(None)
        };
        Credentials::of_client(files)
    };
    open("a.cert", "a.key").unwrap();
    for (cert, key, named) in [
        ("a.cert", "b.key", "b.key"),
        ("a.key", "a.key", "tls_cert"),
        ("none", "a.key", "none"),
        ("a.cert", "a.cert", "tls_key"),
    ] {
        let error = open(cert, key).unwrap_err();
        assert!(error.code() == ErrorCode::InvalidConfig && error.info().message.contains(named), "{error}");
    }
}

#[test]
fn a_certificate_is_summed_up() {
    let ours = Certificates::new();
    ours.write("a", &node(&["127.0.0.1", "::1", "a.example.org"], "udfleet://client/a"));
    let summary = Credentials::of_client(ours.files(Some("a"))).unwrap().certificate().unwrap();
    assert_eq!(summary.hosts, ["127.0.0.1", "::1", "a.example.org"]);
    assert_eq!((summary.uris, summary.is_ca), (vec!["udfleet://client/a".to_owned()], false));
    assert!(summary.subject.contains("CN=a") && summary.issuer.contains("test CA"), "{}", summary.subject);
    assert_eq!(
        summary.not_after.duration_since(summary.not_before).unwrap().as_secs(),
        70 * 365 * 86_400 + 18 * 86_400
    );
}
