//! The client's end of a handshake.

use std::fmt;
use std::io;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};
use tonic::transport::{Channel, Endpoint, Uri};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::certificate::CertificateSummary;
use super::{Credentials, failure, provider};
use crate::identity::Identity;

/// Errors of tonic's connectors.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Who has to be at an address, where it shows a certificate of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedPeer {
    /// Any coordinator of the fleet.
    Coordinator,
    /// The executor of this name.
    Executor(String),
}

impl ExpectedPeer {
    fn is(&self, identity: &Identity) -> bool {
        match (self, identity) {
            (Self::Coordinator, Identity::Coordinator(_)) => true,
            (Self::Executor(name), Identity::Executor(shown)) => name == shown,
            _ => false,
        }
    }
}

impl fmt::Display for ExpectedPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator => f.write_str("a coordinator"),
            Self::Executor(name) => write!(f, "executor {name}"),
        }
    }
}

/// How connections to other processes are made: in plain text, or with certificates.
#[derive(Debug, Clone, Default)]
pub struct Connector {
    credentials: Option<Arc<Credentials>>,
}

impl Connector {
    /// `None` for plain text.
    #[must_use]
    pub fn new(credentials: Option<Arc<Credentials>>) -> Self {
        Self { credentials }
    }

    /// The scheme of locations that Flight clients are told.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.credentials.is_some() { "grpc+tls" } else { "grpc+tcp" }
    }

    /// A connection that is made when first used and again whenever it breaks, each time with the certificates that are
    /// current then. An identity that is `expected` counts as much as the name of the host; a node with another one is
    /// refused.
    #[must_use]
    pub fn connect_lazy(&self, endpoint: &Endpoint, expected: Option<ExpectedPeer>) -> Channel {
        let Some(credentials) = &self.credentials else { return endpoint.connect_lazy() };
        let credentials = Arc::clone(credentials);
        endpoint.connect_with_connector_lazy(tower::service_fn(move |uri: Uri| {
            let (credentials, expected) = (Arc::clone(&credentials), expected.clone());
            async move { connect(&credentials, &uri, expected).await.map(TokioIo::new) }
        }))
    }
}

async fn connect(
    credentials: &Credentials,
    uri: &Uri,
    expected: Option<ExpectedPeer>,
) -> Result<TlsStream<TcpStream>, BoxError> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let address = uri.authority().map(ToString::to_string).unwrap_or_default();
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        Error::new(ErrorCode::InvalidConfig, format!("{host:?} is no name that a certificate can have"))
    })?;
    let config = client_config(credentials, expected).map_err(|e| failure::of_server(&e, &address))?;
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(crate::address::DEFAULT_PORT))).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|e| failed(e, &address))
}

/// Typed where TLS is the reason; else the connection broke.
fn failed(error: io::Error, address: &str) -> BoxError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(why) => failure::of_server(why, address).into(),
        None => error.into(),
    }
}

fn client_config(credentials: &Credentials, expected: Option<ExpectedPeer>) -> Result<ClientConfig, rustls::Error> {
    let material = credentials.current();
    let verifier = NodeVerifier { inner: Arc::clone(&material.servers), expected };
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &material.own {
        Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::clone(&own.key)))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Checks that a server is vouched for, and is who it should be.
#[derive(Debug)]
struct NodeVerifier {
    inner: Arc<WebPkiServerVerifier>,
    expected: Option<ExpectedPeer>,
}

impl NodeVerifier {
    /// Whether it has the identity that is expected; `None` where it has none, or none is.
    fn is_expected(&self, certificate: &CertificateDer<'_>) -> Option<bool> {
        let expected = self.expected.as_ref()?;
        let shown = CertificateSummary::of(certificate).ok()?;
        let mut identities = shown.uris.iter().filter_map(|uri| uri.parse::<Identity>().ok());
        let first = identities.next()?;
        Some(expected.is(&first) || identities.any(|identity| expected.is(&identity)))
    }
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let other_name = |error: &rustls::Error| {
            matches!(
                error,
                rustls::Error::InvalidCertificate(
                    CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
                )
            )
        };
        // Names are looked at last: what fails there is signed and valid otherwise.
        match self.inner.verify_server_cert(certificate, chain, name, ocsp, now) {
            Err(error) if !other_name(&error) => Err(error),
            by_host => match (&self.expected, self.is_expected(certificate)) {
                (_, Some(true)) => Ok(ServerCertVerified::assertion()),
                (Some(expected), Some(false)) => {
                    let wrong = io::Error::other(format!("it is that of another node than {expected}"));
                    Err(CertificateError::Other(OtherError(Arc::new(wrong))).into())
                }
                _ => by_host,
            },
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
