//! What the files hold, read and checked as a whole.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use udfleet_proto::error::Error;

use super::accept::{Protocol, server_config};
use super::certificate::{CertificateSummary, certificates};
use super::{ClientAuth, TlsFiles, provider};
use crate::config::invalid;

/// The bytes of the files: what changes when they do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileContents {
    ca: Vec<u8>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl FileContents {
    /// Reads all files.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming the one that can't be read.
    pub fn read(files: &TlsFiles) -> Result<Self, Error> {
        let read = |setting: &str, path: &Path| {
            std::fs::read(path).map_err(|e| invalid(format!("{setting} {}: {e}", path.display())))
        };
        let identity = match &files.identity {
            Some((cert, key)) => Some((read("tls_cert", cert)?, read("tls_key", key)?)),
            None => None,
        };
        Ok(Self { ca: read("tls_ca", &files.ca)?, identity })
    }
}

/// Certificates and keys that fit each other.
#[derive(Debug)]
pub(super) struct Material {
    /// Who vouches for servers.
    pub servers: Arc<WebPkiServerVerifier>,
    /// Who vouches for clients.
    pub clients: Arc<dyn ClientCertVerifier>,
    /// What is shown.
    pub own: Option<Own>,
    /// For ports of gRPC and of pages, where this process has such.
    ports: Option<[Arc<ServerConfig>; 2]>,
}

/// A process's own certificate.
#[derive(Debug)]
pub(super) struct Own {
    pub key: Arc<CertifiedKey>,
    pub summary: CertificateSummary,
}

impl Material {
    /// Makes sense of the files.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming the file that does not hold what it should.
    pub fn of(contents: &FileContents, files: &TlsFiles, auth: Option<ClientAuth>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        let named = |what: String| invalid(format!("tls_ca {}: {what}", files.ca.display()));
        for certificate in certificates(&contents.ca).map_err(&named)? {
            roots.add(certificate).map_err(|e| named(format!("a certificate can't sign others: {e}")))?;
        }
        let roots = Arc::new(roots);
        let servers = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider()).build();
        let clients = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
        let own = match (&contents.identity, &files.identity) {
            (Some((cert, key)), Some((cert_file, key_file))) => Some(Own::of(cert, cert_file, key, key_file)?),
            _ => None,
        };
        let clients = clients.map_err(|e| named(e.to_string()))?;
        let ports = match (&own, auth) {
            (Some(own), Some(auth)) => {
                let port = |protocol| {
                    let config = server_config(&own.key, &clients, auth, protocol);
                    config.map_err(|e| Error::internal(format!("TLS can't be set up: {e}")))
                };
                Some([port(Protocol::Http2)?, port(Protocol::Http1)?])
            }
            _ => None,
        };
        Ok(Self { servers: servers.map_err(|e| named(e.to_string()))?, clients, own, ports })
    }

    /// How a port takes connections.
    pub fn server(&self, protocol: Protocol) -> Option<Arc<ServerConfig>> {
        let [http2, http1] = self.ports.as_ref()?;
        Some(Arc::clone(match protocol {
            Protocol::Http2 => http2,
            Protocol::Http1 => http1,
        }))
    }
}

impl Own {
    fn of(cert: &[u8], cert_file: &Path, key: &[u8], key_file: &Path) -> Result<Self, Error> {
        let in_cert = |what: String| invalid(format!("tls_cert {}: {what}", cert_file.display()));
        let in_key = |what: String| invalid(format!("tls_key {}: {what}", key_file.display()));
        let chain = certificates(cert).map_err(in_cert)?;
        let summary = CertificateSummary::of(&chain[0]).map_err(|e| in_cert(e.info().message.clone()))?;
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|e| in_key(format!("it holds no key in PEM format: {e}")))?;
        let key = CertifiedKey::from_der(chain, key, &provider())
            .map_err(|e| in_key(format!("it is not the key of {}: {e}", cert_file.display())))?;
        Ok(Self { key: Arc::new(key), summary })
    }
}
