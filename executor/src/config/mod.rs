//! Settings of an executor.

mod layer;
mod memory;
mod resolve;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;
use serde::Serialize;
use udfleet_edge::address::Addresses;
use udfleet_edge::config::{Advertise, CommandLine, HumanDuration, Listeners, Size, Sources};
use udfleet_edge::objects::{BucketSettings, ObjectLocation};
use udfleet_edge::secret::Secret;
use udfleet_edge::tls::{ClientAuth, GivenTls, TlsSettings};
use udfleet_proto::error::Error;

pub use layer::{Layer, SandboxSwitch};

use crate::sandbox::{SandboxPart, UserRange};

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "udfleet-executor", version = udfleet_proto::BUILD, about = "Runs Python functions for a udfleet coordinator")]
pub struct Arguments {
    /// TOML file with settings; unknown keys are refused.
    #[arg(long, value_name = "FILE", env = "UDFLEET_EXECUTOR_CONFIG")]
    pub config: Option<PathBuf>,
    /// Print the settings in force as TOML, secrets redacted, and exit.
    #[arg(long)]
    pub dump_config: bool,
    /// Exit orderly when this process ends.
    #[arg(long, value_name = "PID")]
    pub parent_pid: Option<u32>,
    /// Settings.
    #[command(flatten)]
    pub layer: Layer,
}

impl CommandLine for Arguments {
    type Layer = Layer;

    fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    fn given(&self) -> &Layer {
        &self.layer
    }
}

/// The settings in force.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// host:port of coordinators.
    pub coordinator: Addresses,
    /// Where Flight and the node service listen.
    pub listen: SocketAddr,
    /// Where /metrics and /healthz listen.
    pub http_listen: SocketAddr,
    /// Names under which the HTTP port may be called, beside addresses, `localhost` and `advertise`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_hosts: Vec<String>,
    /// Where engines are served without a token; none: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_listen: Option<SocketAddr>,
    /// What coordinators and clients are told; none: the address that `listen` got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<Advertise>,
    /// Artifacts, temporary files and this executor's identity.
    pub work_dir: PathBuf,
    /// Built environments; executors of one machine may share it.
    pub environments_dir: PathBuf,
    /// This executor's name in the fleet; empty: one kept in the work folder.
    pub id: String,
    /// Interpreters started for an environment that does not say otherwise.
    pub interpreters_per_environment: u32,
    /// The most interpreters at once.
    pub max_interpreters: u32,
    /// To how many interpreters an environment that does not say otherwise may grow.
    pub max_interpreters_per_environment: u32,
    /// How long fewer interpreters must have been enough until one is stopped.
    pub interpreter_idle: HumanDuration,
    /// Memory budget of all interpreters, bytes.
    pub memory: Size,
    /// Further Pythons to offer.
    pub python: Vec<PathBuf>,
    /// The `uv` to build environments with; none: the one on PATH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uv: Option<PathBuf>,
    /// Shared secret of the fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
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
    /// Allows other addresses than loopback although nothing is encrypted.
    pub insecure_non_loopback: bool,
    /// Whether processes that users have a say in are contained.
    pub sandbox: SandboxSwitch,
    /// Refuses to start where that can't be done in full.
    pub require_sandbox: bool,
    /// Further paths that functions may read.
    pub sandbox_read: Vec<PathBuf>,
    /// Further paths that functions may write to.
    pub sandbox_write: Vec<PathBuf>,
    /// The most that functions of one interpreter may keep on the disk, bytes; none: by the room there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox_disk: Option<Size>,
    /// Parts of the containment that are turned off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sandbox_without: Vec<SandboxPart>,
    /// The users that a root executor's builds and functions run as; none: the usual ones, where they can be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox_users: Option<UserRange>,
    /// How long an unused environment stays on disk.
    pub environment_ttl: HumanDuration,
    /// Where keyed state lies, the same for all executors of the fleet; none: functions that keep state are not served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_store: Option<ObjectLocation>,
    /// Of a bucket: another server than Amazon's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_store_endpoint: Option<String>,
    /// Of a bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_store_region: Option<String>,
    /// Of a bucket: without TLS.
    pub state_store_allow_http: bool,
    /// Memory for blocks of keyed state that were read before, bytes.
    pub state_cache: Size,
    /// One file for each secret; none: there are no secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets_dir: Option<PathBuf>,
    /// Labels that functions may ask for.
    pub labels: BTreeMap<String, String>,
    /// Devices by kind; GPUs are looked for where they are not named.
    pub resources: BTreeMap<String, u32>,
}

impl Settings {
    /// How the bucket of keyed state is reached, where it is one.
    #[must_use]
    pub fn state_bucket(&self) -> BucketSettings {
        BucketSettings {
            endpoint: self.state_store_endpoint.clone(),
            region: self.state_store_region.clone(),
            allow_http: self.state_store_allow_http,
        }
    }

    /// Puts the sources together and fills in the defaults.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming the setting and what is allowed.
    pub fn load(sources: &Sources) -> Result<Self, Error> {
        resolve::resolve(sources.load()?)
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
            token: self.token.is_some(),
            tls: tls.is_some(),
            demands_certificates: tls.is_some_and(|tls| tls.demands_certificates()),
            insecure_non_loopback: self.insecure_non_loopback,
        })
    }
}
