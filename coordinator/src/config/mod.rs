//! The coordinator's settings.

mod artifacts;
mod certificates;
mod flags;
mod functions;
mod meta_store;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use udfleet_edge::config::{Advertise, HumanDuration, Listeners, Sources, invalid};
use udfleet_edge::objects::ObjectLocation;
use udfleet_edge::secret::Secret;
use udfleet_edge::tenant::TenantLimitsTable;
use udfleet_edge::tls::{ClientAuth, GivenTls, TlsSettings};
use udfleet_proto::error::Error;

pub use artifacts::ArtifactStoreSettings;
pub use certificates::{CertificateGrant, CertificateGrants};
pub use flags::{Flags, Layer};
pub use functions::fill;
pub use meta_store::{EtcdConfig, EtcdUrl, MetaStoreUrl};

/// Executors are asked for several signs of life in this time, and need some time to give them.
const SHORTEST_EXCHANGE_TIMEOUT: Duration = Duration::from_secs(1);

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address of gRPC and Flight.
    pub listen: SocketAddr,
    /// Address of /metrics, /healthz and /readyz.
    pub http_listen: SocketAddr,
    /// Names under which the HTTP port may be called, beside addresses, `localhost` and `advertise`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_hosts: Vec<String>,
    /// What executors and clients are told; none: the address that `listen` got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<Advertise>,
    /// Where engines are served without a token; none: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_listen: Option<SocketAddr>,
    /// Where functions are kept, and artifacts unless `artifact_store` says otherwise.
    pub data_dir: PathBuf,
    /// Where functions are kept, if not in the data folder.
    pub meta_store: MetaStoreUrl,
    /// Certificates (PEM) that sign etcd's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_store_ca: Option<PathBuf>,
    /// The certificate (PEM) that this coordinator shows to etcd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_store_cert: Option<PathBuf>,
    /// The key (PEM) of that certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_store_key: Option<PathBuf>,
    /// Who this coordinator is to etcd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_store_user: Option<String>,
    /// The file that holds the user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_store_password_file: Option<PathBuf>,
    /// Where artifacts are kept; none: in the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_store: Option<ObjectLocation>,
    /// All coordinators have mounted the folder.
    pub artifact_store_shared: bool,
    /// Where the bucket is, unless at Amazon's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_store_endpoint: Option<String>,
    /// The bucket's region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_store_region: Option<String>,
    /// Allows an endpoint without TLS.
    pub artifact_store_allow_http: bool,
    /// What every caller and executor has to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// The file that holds it; none once it has been read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The file that it has been read from, which may change.
    #[serde(skip)]
    pub token_read_from: Option<PathBuf>,
    /// This process's certificate (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_cert: Option<PathBuf>,
    /// The key (PEM) of that certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// Certificates (PEM) that sign those of other nodes and of clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<PathBuf>,
    /// Whether callers have to show a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth: Option<ClientAuth>,
    /// Names in certificates that are let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_allow: Option<Vec<String>>,
    /// Allows addresses other than loopback although traffic is not encrypted.
    pub insecure_non_loopback: bool,
    /// How long an executor may be without a report before it counts as lost.
    pub executor_timeout: HumanDuration,
    /// How long an executor may say nothing of a stream, while it reports, before its batches go to others.
    pub exchange_timeout: HumanDuration,
    /// How long a registration may take unless the caller says otherwise.
    pub registration_timeout: HumanDuration,
    /// How long a file is kept that no function needs: between its upload and its registration, or after a drop.
    pub artifact_ttl: HumanDuration,
    /// How much each tenant may use.
    #[serde(skip_serializing_if = "TenantLimitsTable::is_empty")]
    pub tenants: TenantLimitsTable,
    /// What callers may do by their certificates alone.
    #[serde(skip_serializing_if = "CertificateGrants::is_empty")]
    pub certificates: CertificateGrants,
    /// Configuration keys for functions that are registered without them.
    #[serde(deserialize_with = "functions::texts", skip_serializing_if = "BTreeMap::is_empty")]
    pub functions: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8815)),
            http_listen: SocketAddr::from(([127, 0, 0, 1], 8816)),
            http_hosts: Vec::new(),
            advertise: None,
            engine_listen: None,
            data_dir: PathBuf::from("udfleet-data"),
            meta_store: MetaStoreUrl::Embedded,
            meta_store_ca: None,
            meta_store_cert: None,
            meta_store_key: None,
            meta_store_user: None,
            meta_store_password_file: None,
            artifact_store: None,
            artifact_store_shared: false,
            artifact_store_endpoint: None,
            artifact_store_region: None,
            artifact_store_allow_http: false,
            token: None,
            token_file: None,
            token_read_from: None,
            tls_cert: None,
            tls_key: None,
            tls_ca: None,
            tls_client_auth: None,
            tls_allow: None,
            insecure_non_loopback: false,
            executor_timeout: HumanDuration(Duration::from_secs(10)),
            exchange_timeout: HumanDuration(Duration::from_secs(30)),
            registration_timeout: HumanDuration(Duration::from_secs(600)),
            artifact_ttl: HumanDuration(Duration::from_secs(3600)),
            tenants: TenantLimitsTable::default(),
            certificates: CertificateGrants::default(),
            functions: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Puts the sources together and checks the result.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming the file, key or address at fault.
    pub fn load(sources: &Sources) -> Result<Self, Error> {
        let mut config: Self = sources.load()?;
        config.token_read_from.clone_from(&config.token_file);
        config.token = Secret::resolve(config.token.take(), config.token_file.take())?;
        config.check()?;
        Ok(config)
    }

    /// Checks rules that span settings.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming the rule.
    pub fn check(&self) -> Result<(), Error> {
        functions::check(&self.functions)?;
        if self.exchange_timeout.0 < SHORTEST_EXCHANGE_TIMEOUT {
            let message =
                format!("exchange_timeout is {}: every executor would count as hanging", self.exchange_timeout);
            return Err(invalid(message).hint("set at least 1s, or leave it out: 30s"));
        }
        self.etcd()?;
        artifacts::check(self)?;
        self.certificates.check()?;
        if !self.certificates.is_empty() && !self.tls()?.is_some_and(|tls| tls.asks_for_certificates()) {
            return Err(invalid("certificates is set, and no port asks for any")
                .hint("set tls_cert, tls_key and tls_ca, and leave tls_client_auth at optional or required"));
        }
        self.listeners()?.check()
    }

    /// How ports and connections are encrypted; `None` for plain text.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming what is missing.
    pub fn tls(&self) -> Result<Option<TlsSettings>, Error> {
        TlsSettings::of(GivenTls {
            cert: self.tls_cert.as_deref(),
            key: self.tls_key.as_deref(),
            ca: self.tls_ca.as_deref(),
            client_auth: self.tls_client_auth,
            allow: self.tls_allow.as_deref(),
        })
    }

    /// The addresses, and who can reach them.
    ///
    /// # Errors
    /// As [`Self::tls`].
    pub fn listeners(&self) -> Result<Listeners, Error> {
        let tls = self.tls()?;
        Ok(Listeners {
            listen: self.listen,
            http_listen: self.http_listen,
            engine_listen: self.engine_listen,
            advertised: self.advertise.is_some(),
            token: self.token.is_some() || !self.certificates.is_empty(),
            tls: tls.is_some(),
            demands_certificates: tls.is_some_and(|tls| tls.demands_certificates()),
            insecure_non_loopback: self.insecure_non_loopback,
        })
    }
}

#[cfg(test)]
mod tests {
    use udfleet_edge::config::{dump, read};
    use udfleet_proto::v1::ErrorCode;

    use super::*;

    fn load(arguments: &[&str]) -> Result<Config, Error> {
        let all = std::iter::once("udfleet-coordinator").chain(arguments.iter().copied());
        let (_, sources) = read::<Flags>(all.map(Into::into)).unwrap();
        Config::load(&sources)
    }

    #[test]
    fn flags_override_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "listen = \"127.0.0.1:1\"\ndata_dir = \"/from/file\"\n").unwrap();
        let config = load(&["--config", file.path().to_str().unwrap(), "--listen", "127.0.0.1:2"]).unwrap();
        assert_eq!((config.listen.port(), config.data_dir.to_str()), (2, Some("/from/file")));
        assert_eq!(load(&["--executor-timeout", "2s"]).unwrap().executor_timeout.0, Duration::from_secs(2));
    }

    #[test]
    fn an_exchange_timeout_that_no_executor_meets_is_refused() {
        for short in ["0s", "999ms"] {
            let refused = load(&["--exchange-timeout", short]).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::InvalidConfig, "{short}");
            assert!(refused.info().hint.contains("1s"), "{refused}");
        }
        assert!(load(&["--exchange-timeout", "1s"]).is_ok());
    }

    #[test]
    fn other_interfaces_need_a_named_override_and_a_token() {
        let open = ["--listen", "0.0.0.0:1"];
        assert_eq!(load(&open).unwrap_err().code(), ErrorCode::InvalidConfig);
        let insecure = [&open[..], &["--insecure-non-loopback"]].concat();
        assert!(load(&insecure).unwrap_err().info().hint.contains("token"));
        let unnamed = [&insecure[..], &["--token", "t"]].concat();
        assert!(load(&unnamed).unwrap_err().info().hint.contains("advertise"));
        assert!(load(&[&unnamed[..], &["--advertise", "node-1"]].concat()).is_ok());
        assert_eq!(load(&["--token", "two words"]).unwrap_err().code(), ErrorCode::InvalidConfig);
    }

    #[test]
    fn the_dump_hides_the_token_and_parses_otherwise() {
        let hidden = dump(&load(&["--token", "hunter2"]).unwrap()).unwrap();
        assert!(!hidden.contains("hunter2") && hidden.contains("redacted"), "{hidden}");
        let flags = <Flags as clap::Parser>::parse_from(["program", "--token", "hunter2"]);
        assert!(!format!("{flags:?}").contains("hunter2"));
        let plain = load(&[]).unwrap();
        assert_eq!(toml::from_str::<Config>(&dump(&plain).unwrap()).unwrap(), plain);
    }
}
