//! What the settings of a process say about TLS.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use udfleet_proto::error::Error;

use super::verify::NamePattern;
use crate::config::invalid;

/// Whether callers have to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// None is asked for.
    Off,
    /// One that is shown has to be valid. Executors need one to attach.
    Optional,
    /// No call without one.
    Required,
}

/// Files in PEM format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates that sign those of peers.
    pub ca: PathBuf,
    /// The certificate to show, with those that lead to its CA, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// TLS of a node of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// What is read.
    pub files: TlsFiles,
    /// What callers have to show.
    pub client_auth: ClientAuth,
    /// Names in certificates that are let in; `None`: those with a `udfleet://` URI.
    pub(super) allow: Option<Vec<NamePattern>>,
}

/// The settings as they are given, under their names in the file.
#[derive(Debug, Clone, Copy)]
pub struct GivenTls<'a> {
    /// `tls_cert`
    pub cert: Option<&'a Path>,
    /// `tls_key`
    pub key: Option<&'a Path>,
    /// `tls_ca`
    pub ca: Option<&'a Path>,
    /// `tls_client_auth`
    pub client_auth: Option<ClientAuth>,
    /// `tls_allow`
    pub allow: Option<&'a [String]>,
}

impl TlsSettings {
    /// Puts the settings of a node together; `None` where there is no TLS.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming the setting that is missing or says nothing.
    pub fn of(given: GivenTls<'_>) -> Result<Option<Self>, Error> {
        let (Some(cert), Some(key), Some(ca)) = (given.cert, given.key, given.ca) else {
            let files = [("tls_cert", given.cert), ("tls_key", given.key), ("tls_ca", given.ca)];
            if let Some((missing, _)) = files.iter().find(|(_, file)| file.is_none())
                && (files.iter().any(|(_, file)| file.is_some())
                    || given.client_auth.is_some()
                    || given.allow.is_some())
            {
                return Err(invalid(format!("TLS is asked for, and {missing} is not set"))
                    .hint("set tls_cert, tls_key and tls_ca; `udfleet certs create` makes such files"));
            }
            return Ok(None);
        };
        let client_auth = given.client_auth.unwrap_or(ClientAuth::Optional);
        let allow = match given.allow {
            None => None,
            Some([]) => {
                return Err(invalid("tls_allow is empty, which would let nobody in")
                    .hint("name certificates, such as udfleet://executor/*, or leave the setting out"));
            }
            Some(_) if client_auth == ClientAuth::Off => {
                return Err(invalid("tls_allow names certificates, and tls_client_auth is off")
                    .hint("set tls_client_auth to optional or required"));
            }
            Some(patterns) => Some(patterns.iter().map(|text| text.parse()).collect::<Result<_, Error>>()?),
        };
        let files = TlsFiles { ca: ca.to_owned(), identity: Some((cert.to_owned(), key.to_owned())) };
        Ok(Some(Self { files, client_auth, allow }))
    }

    /// Whether nobody without a certificate is served.
    #[must_use]
    pub fn demands_certificates(&self) -> bool {
        self.client_auth == ClientAuth::Required
    }

    /// Whether callers are asked for certificates, which they need not have.
    #[must_use]
    pub fn asks_for_certificates(&self) -> bool {
        self.client_auth != ClientAuth::Off
    }
}

impl TlsFiles {
    /// Those of a client, which may show no certificate; `None` where there is no TLS.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming what is missing.
    pub fn of_client(ca: Option<&Path>, cert: Option<&Path>, key: Option<&Path>) -> Result<Option<Self>, Error> {
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert.to_owned(), key.to_owned())),
            (None, None) => None,
            _ => return Err(invalid("tls_cert and tls_key are a pair: one of them is missing")),
        };
        match (ca, identity) {
            (Some(ca), identity) => Ok(Some(Self { ca: ca.to_owned(), identity })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(invalid("tls_cert is set, and tls_ca is not").hint("name the fleet's CA file")),
        }
    }
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::ErrorCode;

    use super::*;

    const NOTHING: GivenTls<'static> = GivenTls { cert: None, key: None, ca: None, client_auth: None, allow: None };

    fn whole() -> GivenTls<'static> {
        let file = Some(Path::new("/f"));
        GivenTls { cert: file, key: file, ca: file, ..NOTHING }
    }

    fn refused(given: GivenTls<'_>) -> String {
        let error = TlsSettings::of(given).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidConfig);
        error.info().message.clone()
    }

    #[test]
    fn the_three_files_belong_together() {
        assert_eq!(TlsSettings::of(NOTHING).unwrap(), None);
        assert_eq!(TlsSettings::of(whole()).unwrap().unwrap().client_auth, ClientAuth::Optional);
        assert!(refused(GivenTls { key: None, ..whole() }).contains("tls_key"));
        assert!(refused(GivenTls { ca: None, ..whole() }).contains("tls_ca"));
        assert!(refused(GivenTls { client_auth: Some(ClientAuth::Off), ..NOTHING }).contains("tls_cert"));
    }

    #[test]
    fn a_list_that_lets_nobody_in_is_a_mistake() {
        let names = ["udfleet://executor/*".to_owned()];
        let allowing = GivenTls { allow: Some(&names), ..whole() };
        assert!(TlsSettings::of(allowing).unwrap().unwrap().allow.is_some());
        assert!(refused(GivenTls { allow: Some(&[]), ..whole() }).contains("tls_allow"));
        assert!(refused(GivenTls { allow: Some(&[String::new()]), ..whole() }).contains("tls_allow"));
        assert!(refused(GivenTls { client_auth: Some(ClientAuth::Off), ..allowing }).contains("tls_client_auth"));
    }

    #[test]
    fn a_client_may_show_no_certificate() {
        let file = Some(Path::new("/f"));
        assert_eq!(TlsFiles::of_client(None, None, None).unwrap(), None);
        assert_eq!(TlsFiles::of_client(file, None, None).unwrap().unwrap().identity, None);
        assert!(TlsFiles::of_client(file, file, file).unwrap().unwrap().identity.is_some());
        for (ca, cert, key) in [(None, file, file), (file, file, None), (file, None, file)] {
            assert_eq!(TlsFiles::of_client(ca, cert, key).unwrap_err().code(), ErrorCode::InvalidConfig);
        }
    }
}
