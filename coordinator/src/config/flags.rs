//! Command line flags and their environment variables.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;
use udfleet_edge::config::{Advertise, CommandLine, HumanDuration};
use udfleet_edge::objects::ObjectLocation;
use udfleet_edge::secret::Secret;
use udfleet_edge::tenant::TenantLimitFlag;
use udfleet_edge::tls::ClientAuth;

/// udfleet's coordinator: registers functions, places them on executors, and routes Arrow Flight streams to them.
#[derive(Debug, clap::Parser)]
#[command(name = "udfleet-coordinator", version = udfleet_proto::BUILD)]
pub struct Flags {
    /// TOML file with the settings below (`listen`, `http_listen`, `data_dir`, ...)
    #[arg(long, env = "UDFLEET_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Settings.
    #[command(flatten)]
    pub given: Layer,
    /// Stop when this process ends
    #[arg(long, value_name = "PID")]
    pub parent_pid: Option<u32>,
    /// Print the settings in force as TOML, secrets redacted, and exit
    #[arg(long)]
    pub dump_config: bool,
}

/// Settings as flags and variables give them; the names are those of the file.
#[derive(Debug, clap::Args, Serialize)]
pub struct Layer {
    /// Address of gRPC and Flight [default: 127.0.0.1:8815]
    #[arg(long, env = "UDFLEET_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Address of /metrics, /healthz and /readyz [default: 127.0.0.1:8816]
    #[arg(long, env = "UDFLEET_HTTP_LISTEN", value_name = "ADDRESS")]
    pub http_listen: Option<SocketAddr>,
    /// A name under which the HTTP port may be called, beside addresses, localhost and the one advertised; repeatable; * for
    /// any
    #[arg(long = "http-host", env = "UDFLEET_HTTP_HOSTS", value_name = "NAME", value_delimiter = ',')]
    pub http_hosts: Vec<String>,
    /// The address that executors and clients are told, where it differs from the one listened on; without a port, the port
    /// listened on
    #[arg(long, env = "UDFLEET_ADVERTISE", value_name = "HOST[:PORT]")]
    pub advertise: Option<Advertise>,
    /// Address of Flight for engines, which show no token: PATH descriptors only [default: none]
    #[arg(long, env = "UDFLEET_ENGINE_LISTEN", value_name = "ADDRESS")]
    pub engine_listen: Option<SocketAddr>,
    /// Where functions are kept, and artifacts unless artifact_store says otherwise [default: udfleet-data]
    #[arg(long, env = "UDFLEET_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where functions are kept: embedded, in DATA_DIR, or etcd://HOST:PORT,HOST:PORT/PREFIX (etcds:// with TLS) [default: embedded]
    #[arg(long, env = "UDFLEET_META_STORE", value_name = "URL")]
    pub meta_store: Option<String>,
    /// File with the certificates (PEM) that sign etcd's
    #[arg(long, env = "UDFLEET_META_STORE_CA", value_name = "FILE")]
    pub meta_store_ca: Option<PathBuf>,
    /// File with the certificate (PEM) to show to etcd
    #[arg(long, env = "UDFLEET_META_STORE_CERT", value_name = "FILE")]
    pub meta_store_cert: Option<PathBuf>,
    /// File with the key (PEM) of that certificate
    #[arg(long, env = "UDFLEET_META_STORE_KEY", value_name = "FILE")]
    pub meta_store_key: Option<PathBuf>,
    /// User of etcd
    #[arg(long, env = "UDFLEET_META_STORE_USER", value_name = "NAME")]
    pub meta_store_user: Option<String>,
    /// File that holds the user's password
    #[arg(long, env = "UDFLEET_META_STORE_PASSWORD_FILE", value_name = "FILE")]
    pub meta_store_password_file: Option<PathBuf>,
    /// Where artifacts are kept: s3://BUCKET/PREFIX or a folder [default: artifacts in data_dir]
    #[arg(long, env = "UDFLEET_ARTIFACT_STORE", value_name = "PLACE")]
    pub artifact_store: Option<ObjectLocation>,
    /// Say that all coordinators have mounted the folder of artifact_store
    #[arg(long, num_args = 0..=1, default_missing_value = "true", env = "UDFLEET_ARTIFACT_STORE_SHARED")]
    pub artifact_store_shared: Option<bool>,
    /// Where the bucket is, such as https://minio:9000 [default: at Amazon's, or as AWS_ENDPOINT_URL says]
    #[arg(long, env = "UDFLEET_ARTIFACT_STORE_ENDPOINT", value_name = "URL")]
    pub artifact_store_endpoint: Option<String>,
    /// The bucket's region [default: as AWS_REGION says, else us-east-1]
    #[arg(long, env = "UDFLEET_ARTIFACT_STORE_REGION", value_name = "NAME")]
    pub artifact_store_region: Option<String>,
    /// Allow an endpoint without TLS: http://
    #[arg(long, num_args = 0..=1, default_missing_value = "true", env = "UDFLEET_ARTIFACT_STORE_ALLOW_HTTP")]
    pub artifact_store_allow_http: Option<bool>,
    /// Token that callers and executors have to show; refused on the command line, which every user of the machine reads
    #[arg(long, env = "UDFLEET_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    #[serde(serialize_with = "Secret::serialize_exposed")]
    pub token: Option<Secret>,
    /// File that holds the token
    #[arg(long, env = "UDFLEET_TOKEN_FILE", value_name = "FILE")]
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
    /// Whether callers have to show a certificate [default: optional; executors need one to attach]
    #[arg(long, env = "UDFLEET_TLS_CLIENT_AUTH", value_name = "WHETHER", value_enum)]
    pub tls_client_auth: Option<ClientAuth>,
    /// A name in certificates that is let in, with at most one *; repeatable [default: udfleet://*]
    #[arg(long, env = "UDFLEET_TLS_ALLOW", value_name = "NAME", value_delimiter = ',')]
    pub tls_allow: Option<Vec<String>>,
    /// How much a tenant may use: functions, artifact_bytes, environments, streams or rows_per_second; * for every tenant;
    /// repeatable, a table in the file [default: any number]
    #[arg(long = "tenant-limit", env = "UDFLEET_TENANT_LIMITS", value_name = "TENANT.LIMIT=N", value_delimiter = ',')]
    #[serde(serialize_with = "TenantLimitFlag::as_table")]
    pub tenants: Vec<TenantLimitFlag>,
    /// Allow addresses other than loopback although traffic is not encrypted; needs a token
    #[arg(long, num_args = 0..=1, default_missing_value = "true", env = "UDFLEET_INSECURE_NON_LOOPBACK")]
    pub insecure_non_loopback: Option<bool>,
    /// How long an executor may be without a report before it counts as lost [default: 10s]
    #[arg(long, env = "UDFLEET_EXECUTOR_TIMEOUT", value_name = "DURATION")]
    pub executor_timeout: Option<HumanDuration>,
    /// How long an executor may say nothing of a stream, while it reports, before its batches go to others; at least 1s [default: 30s]
    #[arg(long, env = "UDFLEET_EXCHANGE_TIMEOUT", value_name = "DURATION")]
    pub exchange_timeout: Option<HumanDuration>,
    /// How long a registration may take unless the caller says otherwise [default: 10m]
    #[arg(long, env = "UDFLEET_REGISTRATION_TIMEOUT", value_name = "DURATION")]
    pub registration_timeout: Option<HumanDuration>,
    /// How long a file is kept that no function needs [default: 1h]
    #[arg(long, env = "UDFLEET_ARTIFACT_TTL", value_name = "DURATION")]
    pub artifact_ttl: Option<HumanDuration>,
}

impl CommandLine for Flags {
    type Layer = Layer;

    fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    fn given(&self) -> &Layer {
        &self.given
    }
}
