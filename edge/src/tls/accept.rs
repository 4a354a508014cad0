//! The server's end of a handshake.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{
    self, DigitallySignedStruct, DistinguishedName, ServerConfig, ServerConnection, SignatureScheme,
};
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

use super::certificate::CertificateSummary;
use super::material::Material;
use super::verify::identify;
use super::{ClientAuth, Credentials, failure, provider};
use crate::identity::Peer;

/// How long a handshake may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Bytes that are read from those that don't speak TLS, so that they can read their answer.
const UNREAD: u64 = 64 << 10;
/// The first byte of a connection that speaks TLS.
const TLS_RECORD: u8 = 0x16;
/// The answer to those that don't: HTTP/1 clients show it, and gRPC says that it met an HTTP/1 server, which is told
/// apart from a broken connection.
const PLAIN_TEXT: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n\
    this port of udfleet speaks TLS only: use grpcs:// or https:// and the fleet's CA (tls_ca)\n";

/// A connection after its handshake.
pub type ServerStream = tokio_rustls::server::TlsStream<TcpStream>;

/// What a port speaks inside of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC and Flight.
    Http2,
    /// Pages.
    Http1,
}

/// Makes handshakes for the connections of a port.
#[derive(Debug, Clone)]
pub struct Handshake {
    credentials: Arc<Credentials>,
    protocol: Protocol,
}

impl Handshake {
    /// With the certificate that is current when a connection comes.
    #[must_use]
    pub fn new(credentials: Arc<Credentials>, protocol: Protocol) -> Self {
        Self { credentials, protocol }
    }

    /// The encrypted connection, and who is at its other end; `None` where it failed, which has been noted.
    pub async fn accept(&self, stream: TcpStream) -> Option<(ServerStream, Peer)> {
        let outcome = tokio::time::timeout(LIMIT, self.shake(stream)).await;
        match outcome.unwrap_or_else(|_| Err(format!("no handshake within {} s", LIMIT.as_secs()))) {
            Ok(accepted) => Some(accepted),
            Err(reason) => {
                self.credentials.handshake_failed();
                tracing::debug!("a connection ended before it was encrypted: {reason}");
                None
            }
        }
    }

    async fn shake(&self, mut stream: TcpStream) -> Result<(ServerStream, Peer), String> {
        let mut first = [0];
        if stream.peek(&mut first).await.map_err(|e| e.to_string())? == 1 && first[0] != TLS_RECORD {
            // The peer may be gone. What it has sent is read: a reset would take the answer from it.
            let _ = stream.write_all(PLAIN_TEXT).await;
            let _ = stream.shutdown().await;
            let _ = tokio::io::copy(&mut stream.take(UNREAD), &mut tokio::io::sink()).await;
            return Err("the peer speaks no TLS".to_owned());
        }
        let material = self.credentials.current();
        let config = material.server(self.protocol).ok_or("there is no certificate to show")?;
        let stream = TlsAcceptor::from(config).accept(stream).await.map_err(|e| e.to_string())?;
        let peer = self.peer(&material, stream.get_ref().1);
        if let Peer::Refused(error) = &peer {
            self.credentials.handshake_failed();
            tracing::debug!("calls of a connection are refused: {error}");
        }
        Ok((stream, peer))
    }

    /// Judges the certificate that was shown. Not within the handshake: there, the peer would learn no more than that the
    /// connection has ended.
    fn peer(&self, material: &Material, session: &ServerConnection) -> Peer {
        let Some(settings) = &self.credentials.settings else { return Peer::Unasked };
        let (leaf, chain) = match session.peer_certificates() {
            _ if settings.client_auth == ClientAuth::Off => return Peer::Unasked,
            Some([leaf, chain @ ..]) => (leaf, chain),
            _ if settings.demands_certificates() => {
                return Peer::Refused(
                    Error::new(ErrorCode::Unauthenticated, "this port wants a client certificate, and none was shown")
                        .hint("pass tls_cert=... and tls_key=..., or set UDFLEET_TLS_CERT and UDFLEET_TLS_KEY"),
                );
            }
            _ => return Peer::Anonymous,
        };
        let verified = material.clients.verify_client_cert(leaf, chain, UnixTime::now());
        let identity = verified.map_err(|error| failure::of_client_certificate(&error)).and_then(|_| {
            let summary = CertificateSummary::of(leaf)
                .map_err(|e| Error::new(ErrorCode::Unauthenticated, e.info().message.clone()))?;
            identify(&summary, settings.allow.as_deref())
        });
        identity.map_or_else(Peer::Refused, Peer::Known)
    }
}

/// The configuration of a port.
pub(super) fn server_config(
    key: &Arc<CertifiedKey>,
    clients: &Arc<dyn ClientCertVerifier>,
    auth: ClientAuth,
    protocol: Protocol,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match auth {
        ClientAuth::Off => builder.with_no_client_auth(),
        ClientAuth::Optional | ClientAuth::Required => {
            builder.with_client_cert_verifier(Arc::new(AnyOwned(Arc::clone(clients))))
        }
    };
    let resolver = Arc::new(SingleCertAndKey::from(CertifiedKey::clone(key)));
    let mut config = builder.with_cert_resolver(resolver);
    config.alpn_protocols = match protocol {
        Protocol::Http2 => vec![b"h2".to_vec()],
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
    };
    Ok(Arc::new(config))
}

/// Has clients prove that a certificate is theirs. Whether it is a good one is judged after the handshake.
#[derive(Debug)]
struct AnyOwned(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for AnyOwned {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
