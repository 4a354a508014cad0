//! Certificates of a fleet, as `udfleet certs create` makes them, and connections by tonic's own TLS.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::process::run;

/// All nodes are reached by this name.
const HOST: &str = "localhost";

/// A CA with what it has signed: `coordinator-c`, an `executor-NAME` for each executor, `client`.
pub struct Certificates(PathBuf);

impl Certificates {
    /// Makes them in a new folder.
    ///
    /// # Panics
    /// When the program fails.
    #[must_use]
    pub fn create(folder: &Path, executors: &str) -> Self {
        let dir = folder.to_str().expect("UTF-8");
        let arguments =
            ["certs", "create", "--hosts", HOST, "--coordinators", "c", "--executors", executors, "--dir", dir];
        let (success, _, err) = run("udfleet-coordinator", &arguments, &[]);
        assert!(success, "{err}");
        Self(folder.to_owned())
    }

    /// The options of a program that shows this certificate.
    #[must_use]
    pub fn options(&self, name: &str) -> [OsString; 6] {
        let path = |file: &str| self.0.join(file).into_os_string();
        let (certificate, key) = (path(&format!("{name}.crt")), path(&format!("{name}.key")));
        ["--tls-ca".into(), path("ca.crt"), "--tls-cert".into(), certificate, "--tls-key".into(), key]
    }

    /// A client that trusts the CA, and shows this certificate if any.
    ///
    /// # Panics
    /// When there is no such certificate.
    #[must_use]
    pub fn client(&self, shown: Option<&str>) -> ClientTlsConfig {
        let read = |file: String| std::fs::read(self.0.join(file)).expect("a file");
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("ca.crt".to_owned())));
        let config = config.domain_name(HOST);
        match shown {
            Some(name) => config.identity(Identity::from_pem(read(format!("{name}.crt")), read(format!("{name}.key")))),
            None => config,
        }
    }
}

/// A connection that tonic encrypts.
///
/// # Errors
/// When there is none: what the server shows is not trusted, or it speaks no TLS.
///
/// # Panics
/// For an address that is none.
pub async fn connect_encrypted(address: &str, tls: &ClientTlsConfig) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(format!("https://{address}")).expect("an address").tls_config(tls.clone())?.connect().await
}
