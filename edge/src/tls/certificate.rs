//! What a certificate says, for people and for decisions.

use std::path::Path;
use std::time::SystemTime;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use udfleet_proto::error::Error;
use webpki::EndEntityCert;

use super::der;
use crate::config::invalid;

/// The readable part of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSummary {
    /// Its distinguished name.
    pub subject: String,
    /// That of whoever signed it.
    pub issuer: String,
    /// Names and addresses of hosts.
    pub hosts: Vec<String>,
    /// URIs; those of a fleet's nodes name them.
    pub uris: Vec<String>,
    /// From when on it is valid.
    pub not_before: SystemTime,
    /// Until when it is.
    pub not_after: SystemTime,
    /// It may sign others.
    pub is_ca: bool,
}

impl Default for CertificateSummary {
    fn default() -> Self {
        Self {
            subject: String::new(),
            issuer: String::new(),
            hosts: Vec::new(),
            uris: Vec::new(),
            not_before: SystemTime::UNIX_EPOCH,
            not_after: SystemTime::UNIX_EPOCH,
            is_ca: false,
        }
    }
}

impl CertificateSummary {
    /// Reads a certificate.
    ///
    /// # Errors
    /// `INVALID_CONFIG` where it is none.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        // The library that verifies certificates reads the names that decide who somebody is.
        let parsed = EndEntityCert::try_from(certificate).map_err(|e| invalid(format!("it is no certificate: {e}")))?;
        let uris = parsed.valid_uri_names().map(str::to_owned).collect();
        let read = der::read(certificate).ok_or_else(|| invalid("it is no certificate: its fields can't be read"))?;
        Ok(Self { uris, ..read })
    }

    /// The certificates of a file, in order; at least one.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming the file, where it can't be read or holds none.
    pub fn of_file(file: &Path) -> Result<Vec<Self>, Error> {
        let named = |what: &str| invalid(format!("{}: {what}", file.display()));
        let pem = std::fs::read(file).map_err(|e| named(&e.to_string()))?;
        let certificates = certificates(&pem).map_err(|what| named(&what))?;
        certificates.iter().map(|one| Self::of(one).map_err(|e| named(&e.info().message))).collect()
    }

    /// All names that stand for its owner.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.uris.iter().chain(&self.hosts).map(String::as_str)
    }

    /// When it ends, in seconds since 1970.
    #[must_use]
    pub fn not_after_seconds(&self) -> u64 {
        self.not_after.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// Those of a text in PEM format, in order; at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err("it holds no certificate in PEM format".to_owned()),
        Ok(found) => Ok(found),
        Err(e) => Err(format!("it is no PEM: {e}")),
    }
}
