//! How a connection to one member of etcd is made.

use std::path::Path;
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Identity, KvClient, LeaseClient, TlsOptions, WatchClient};
use udfleet_edge::secret::Secret;

use super::super::StoreError;
use crate::config::EtcdConfig;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// A connection on which nothing comes is tried after this time (etcd refuses pings more often than every 5 s) ...
const PING_AFTER: Duration = Duration::from_secs(10);
/// ... and given up after this.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer, bytes: a page of a listing, or all chunks of a value.
const MAX_ANSWER: usize = 256 << 20;
/// The largest message of a watch, bytes: etcd puts up to 1,000 revisions into one.
const MAX_WATCHED: usize = 1 << 30;

/// What all connections have in common.
pub(super) struct Connector {
    scheme: &'static str,
    options: ConnectOptions,
}

/// The services of one member.
#[derive(Clone)]
pub(super) struct Services {
    pub kv: KvClient,
    pub watch: WatchClient,
    pub lease: LeaseClient,
}

impl Connector {
    /// Reads the files that the settings name.
    pub fn new(config: &EtcdConfig) -> Result<Self, StoreError> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT)
            .with_keep_alive(PING_AFTER, PING_TIMEOUT)
            .with_keep_alive_while_idle(true)
            // A member that has lost its cluster refuses, where it would otherwise keep a watcher waiting.
            .with_require_leader(true);
        if config.url.tls {
            options = options.with_tls(tls(config)?);
        }
        if let Some((user, file)) = &config.user {
            let password = Secret::new(read(file, "meta_store_password_file")?.trim_end_matches(['\r', '\n']));
            options = options.with_user(user, password.expose()).with_auto_token_refresh(true);
        }
        Ok(Self { scheme: if config.url.tls { "https" } else { "http" }, options })
    }

    /// The services of a member (`host:port`). With a user it has to answer; else nothing is sent yet.
    pub async fn connect(&self, endpoint: &str) -> Result<Services, etcd_client::Error> {
        let url = format!("{}://{endpoint}", self.scheme);
        let client = Client::connect([url], Some(self.options.clone())).await?;
        Ok(Services {
            kv: client.kv_client().max_decoding_message_size(MAX_ANSWER),
            watch: client.watch_client().max_decoding_message_size(MAX_WATCHED),
            lease: client.lease_client(),
        })
    }
}

fn tls(config: &EtcdConfig) -> Result<TlsOptions, StoreError> {
    let mut options = TlsOptions::new();
    if let Some(ca) = &config.ca {
        options = options.ca_certificate(Certificate::from_pem(read(ca, "meta_store_ca")?));
    }
    if let Some((certificate, key)) = &config.identity {
        let (certificate, key) = (read(certificate, "meta_store_cert")?, read(key, "meta_store_key")?);
        options = options.identity(Identity::from_pem(certificate, key));
    }
    Ok(options)
}

fn read(file: &Path, setting: &str) -> Result<String, StoreError> {
    std::fs::read_to_string(file).map_err(|e| StoreError::Failed(format!("{setting} {}: {e}", file.display())))
}
