//! One layer of settings, from flags, variables or the file: everything is optional.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use udfleet_edge::address::Addresses;
use udfleet_edge::config::{Advertise, HumanDuration, Size};
use udfleet_edge::objects::ObjectLocation;
use udfleet_edge::secret::Secret;
use udfleet_edge::tls::ClientAuth;

use crate::sandbox::{SandboxPart, UserRange};

/// Whether processes that users have a say in are contained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxSwitch {
    /// As far as the kernel can.
    #[default]
    On,
    /// Not at all.
    Off,
}

/// Settings that one source gives. Field names are the keys of the file.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layer {
    /// host:port of a coordinator, which names the others; several with commas between them [default: 127.0.0.1:8815]
    #[arg(long, value_name = "HOST:PORT,...", env = "UDFLEET_COORDINATOR")]
    pub coordinator: Option<Addresses>,
    /// Address of Flight and the node service [default: 127.0.0.1:0]
    #[arg(long, value_name = "ADDRESS", env = "UDFLEET_EXECUTOR_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Address of /metrics and /healthz [default: 127.0.0.1:0]
    #[arg(long, value_name = "ADDRESS", env = "UDFLEET_EXECUTOR_HTTP_LISTEN")]
    pub http_listen: Option<SocketAddr>,
    /// A name under which the HTTP port may be called, beside addresses, localhost and the one advertised; repeatable; * for
    /// any
    #[arg(long = "http-host", value_name = "NAME", env = "UDFLEET_EXECUTOR_HTTP_HOSTS", value_delimiter = ',')]
    pub http_hosts: Vec<String>,
    /// Address of Flight for engines, which show no token: PATH descriptors only [default: none]
    #[arg(long, value_name = "ADDRESS", env = "UDFLEET_EXECUTOR_ENGINE_LISTEN")]
    pub engine_listen: Option<SocketAddr>,
    /// The address that coordinators and clients are told, where it differs from the one listened on; without a port,
    /// the port listened on
    #[arg(long, value_name = "HOST[:PORT]", env = "UDFLEET_EXECUTOR_ADVERTISE")]
    pub advertise: Option<Advertise>,
    /// Folder for artifacts, temporary files and this executor's identity [default: udfleet/executor in XDG_STATE_HOME or
    /// ~/.local/state]
    #[arg(long, value_name = "DIR", env = "UDFLEET_EXECUTOR_WORK_DIR")]
    pub work_dir: Option<PathBuf>,
    /// Folder of built environments, may be shared on one machine [default: WORK_DIR/environments]
    #[arg(long, value_name = "DIR", env = "UDFLEET_EXECUTOR_ENVIRONMENTS_DIR")]
    pub environments_dir: Option<PathBuf>,
    /// This executor's name in the fleet [default: one kept in WORK_DIR]
    #[arg(long, value_name = "NAME", env = "UDFLEET_EXECUTOR_ID")]
    pub id: Option<String>,
    /// Interpreters for an environment that does not say otherwise [default: number of cores]
    #[arg(long, value_name = "N", env = "UDFLEET_EXECUTOR_INTERPRETERS_PER_ENVIRONMENT")]
    pub interpreters_per_environment: Option<u32>,
    /// The most interpreters at once [default: 64]
    #[arg(long, value_name = "N", env = "UDFLEET_EXECUTOR_MAX_INTERPRETERS")]
    pub max_interpreters: Option<u32>,
    /// To how many interpreters an environment that does not say otherwise may grow while calls wait [default: 4 for each
    /// of interpreters_per_environment]
    #[arg(long, value_name = "N", env = "UDFLEET_EXECUTOR_MAX_INTERPRETERS_PER_ENVIRONMENT")]
    pub max_interpreters_per_environment: Option<u32>,
    /// How long fewer interpreters must have been enough until one of an environment that has grown is stopped, such as 5m
    /// [default: 60s]
    #[arg(long, value_name = "DURATION", env = "UDFLEET_EXECUTOR_INTERPRETER_IDLE")]
    pub interpreter_idle: Option<HumanDuration>,
    /// Memory budget of all interpreters, such as 8GiB [default: 80 % of what the machine or the cgroup has]
    #[arg(long, value_name = "SIZE", env = "UDFLEET_EXECUTOR_MEMORY")]
    pub memory: Option<Size>,
    /// A further Python to offer; repeatable
    #[arg(long, value_name = "PATH", env = "UDFLEET_EXECUTOR_PYTHON", value_delimiter = ',')]
    pub python: Vec<PathBuf>,
    /// A label that functions may ask for; repeatable, a table in the file
    #[arg(
        long = "label",
        value_name = "KEY=VALUE",
        env = "UDFLEET_EXECUTOR_LABELS",
        value_delimiter = ',',
        value_parser = label
    )]
    #[serde(serialize_with = "as_table", deserialize_with = "from_table")]
    pub labels: Vec<(String, String)>,
    /// So many devices of a kind for interpreters, such as gpu=2; repeatable, a table in the file [default: the GPUs found]
    #[arg(
        long = "resource",
        value_name = "KIND=COUNT",
        env = "UDFLEET_EXECUTOR_RESOURCES",
        value_delimiter = ',',
        value_parser = resource
    )]
    #[serde(serialize_with = "as_table", deserialize_with = "from_table")]
    pub resources: Vec<(String, u32)>,
    /// Where keyed state is kept, the same for all executors of the fleet: s3://BUCKET/PREFIX, or a folder where all of them run on
    /// one machine [default: none]
    #[arg(long, value_name = "LOCATION", env = "UDFLEET_EXECUTOR_STATE_STORE")]
    pub state_store: Option<ObjectLocation>,
    /// Where the bucket is, such as https://minio:9000 [default: at Amazon's, or as AWS_ENDPOINT_URL says]
    #[arg(long, value_name = "URL", env = "UDFLEET_EXECUTOR_STATE_STORE_ENDPOINT")]
    pub state_store_endpoint: Option<String>,
    /// The bucket's region [default: as AWS_REGION says, else us-east-1]
    #[arg(long, value_name = "REGION", env = "UDFLEET_EXECUTOR_STATE_STORE_REGION")]
    pub state_store_region: Option<String>,
    /// Allow an endpoint without TLS: http://
    #[arg(long, num_args = 0..=1, default_missing_value = "true", env = "UDFLEET_EXECUTOR_STATE_STORE_ALLOW_HTTP")]
    pub state_store_allow_http: Option<bool>,
    /// Memory for blocks of keyed state that were read before, such as 256MiB [default: 64MiB]
    #[arg(long, value_name = "SIZE", env = "UDFLEET_EXECUTOR_STATE_CACHE")]
    pub state_cache: Option<Size>,
    /// Folder of secrets for functions that ask for them, one file each, named as the secret [default: none]
    #[arg(long, value_name = "DIR", env = "UDFLEET_EXECUTOR_SECRETS_DIR")]
    pub secrets_dir: Option<PathBuf>,
    /// The uv that builds environments [default: uv on PATH]
    #[arg(long, value_name = "PATH", env = "UDFLEET_UV")]
    pub uv: Option<PathBuf>,
    /// The fleet's own token; refused on the command line, which every user of the machine reads
    #[arg(long, env = "UDFLEET_TOKEN", hide_env_values = true)]
    #[serde(serialize_with = "Secret::serialize_exposed")]
    pub token: Option<Secret>,
    /// File that holds the fleet's own token, or a join token for this executor
    #[arg(long, value_name = "FILE", env = "UDFLEET_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// File with this process's certificate (PEM), and those that lead to its CA: turns TLS on
    #[arg(long, env = "UDFLEET_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// File with the key (PEM) of that certificate
    #[arg(long, env = "UDFLEET_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// File with the certificates (PEM) that sign those of other nodes and of clients
    #[arg(long, env = "UDFLEET_TLS_CA", value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Whether callers have to show a certificate [default: optional]
    #[arg(long, env = "UDFLEET_TLS_CLIENT_AUTH", value_name = "WHETHER", value_enum)]
    pub tls_client_auth: Option<ClientAuth>,
    /// A name in certificates that is let in, with at most one *; repeatable [default: udfleet://*]
    #[arg(long, env = "UDFLEET_TLS_ALLOW", value_name = "NAME", value_delimiter = ',')]
    pub tls_allow: Option<Vec<String>>,
    /// Allow addresses other than loopback although nothing is encrypted; needs a token
    #[arg(long, num_args = 0..=1, default_missing_value = "true", env = "UDFLEET_INSECURE_NON_LOOPBACK")]
    pub insecure_non_loopback: Option<bool>,
    /// Whether interpreters, package builds and Pythons of functions are contained: `on` or `off` [default: on]
    #[arg(long, value_name = "on|off", env = "UDFLEET_EXECUTOR_SANDBOX")]
    pub sandbox: Option<SandboxSwitch>,
    /// Refuse to start where the kernel can't give all of the containment
    #[arg(long, num_args = 0..=1, default_missing_value = "true", env = "UDFLEET_EXECUTOR_REQUIRE_SANDBOX")]
    pub require_sandbox: Option<bool>,
    /// A further path that functions may read, with all below it; repeatable
    #[arg(long, value_name = "PATH", env = "UDFLEET_EXECUTOR_SANDBOX_READ", value_delimiter = ',')]
    pub sandbox_read: Vec<PathBuf>,
    /// A further path that functions may read and write, with all below it; repeatable
    #[arg(long, value_name = "PATH", env = "UDFLEET_EXECUTOR_SANDBOX_WRITE", value_delimiter = ',')]
    pub sandbox_write: Vec<PathBuf>,
    /// The most that the functions of one interpreter may keep in their working folder and temporary files, such as 10GiB
    /// [default: half of the room on the disk when it starts, at least 2 GiB]
    #[arg(long, value_name = "SIZE", env = "UDFLEET_EXECUTOR_SANDBOX_DISK")]
    pub sandbox_disk: Option<Size>,
    /// A part of the containment that is turned off: `landlock`, `seccomp` or `users`; repeatable
    #[arg(long, value_name = "PART", env = "UDFLEET_EXECUTOR_SANDBOX_WITHOUT", value_delimiter = ',', value_enum)]
    pub sandbox_without: Vec<SandboxPart>,
    /// Where the executor is root: users by number, the first for builds, the others for functions, one for each environment
    /// [default: 1900000000-1900065535]
    #[arg(long, value_name = "FIRST-LAST", env = "UDFLEET_EXECUTOR_SANDBOX_USERS")]
    pub sandbox_users: Option<UserRange>,
    /// How long an unused environment stays on disk, such as 12h [default: 24h]
    #[arg(long, value_name = "DURATION", env = "UDFLEET_EXECUTOR_ENVIRONMENT_TTL")]
    pub environment_ttl: Option<HumanDuration>,
}

/// `KEY=VALUE`.
fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("label {text:?} is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// `KIND=COUNT`.
fn resource(text: &str) -> Result<(String, u32), String> {
    let (kind, count) = text.split_once('=').ok_or_else(|| format!("resource {text:?} is not KIND=COUNT"))?;
    let count = count.parse().map_err(|_| format!("resource {text:?}: {count:?} is no number of devices"))?;
    Ok((kind.to_owned(), count))
}

fn as_table<T: Serialize, S: Serializer>(labels: &[(String, T)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().map(|(key, value)| (key, value)))
}

fn from_table<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, T)>, D::Error> {
    Ok(BTreeMap::<String, T>::deserialize(deserializer)?.into_iter().collect())
}
