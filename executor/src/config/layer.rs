//! One source of settings: the command line with the environment, or a file. Everything is optional in it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use udfleet_proto::error::Error;
use udfleet_proto::v1::ErrorCode;

/// Settings that one source gives. Field names are the keys of the file.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layer {
    /// host:port of the coordinator [default: 127.0.0.1:8815]
    #[arg(long, value_name = "HOST:PORT", env = "UDFLEET_COORDINATOR")]
    pub coordinator: Option<String>,
    /// Address of Flight and the node service [default: 127.0.0.1:0]
    #[arg(long, value_name = "ADDRESS", env = "UDFLEET_EXECUTOR_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Address of /metrics and /healthz [default: 127.0.0.1:0]
    #[arg(long, value_name = "ADDRESS", env = "UDFLEET_EXECUTOR_HTTP_LISTEN")]
    pub http_listen: Option<SocketAddr>,
    /// Address of Flight for engines, which show no token: PATH descriptors only [default: none]
    #[arg(long, value_name = "ADDRESS", env = "UDFLEET_EXECUTOR_ENGINE_LISTEN")]
    pub engine_listen: Option<SocketAddr>,
    /// The address that clients are told, where it differs from the one listened on
    #[arg(long, value_name = "HOST:PORT", env = "UDFLEET_EXECUTOR_ADVERTISE")]
    pub advertise: Option<String>,
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
    /// Memory budget of all interpreters, such as 8GiB [default: 80 % of the machine's]
    #[arg(long, value_name = "SIZE", env = "UDFLEET_EXECUTOR_MEMORY")]
    pub memory: Option<String>,
    /// A further Python to offer; repeatable
    #[arg(long, value_name = "PATH", env = "UDFLEET_EXECUTOR_PYTHON", value_delimiter = ',')]
    pub python: Vec<PathBuf>,
    /// A label that tells executors apart in listings; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", env = "UDFLEET_EXECUTOR_LABELS", value_delimiter = ',')]
    #[serde(skip)]
    pub label: Vec<String>,
    /// Labels, as a table of the file.
    #[arg(skip)]
    pub labels: BTreeMap<String, String>,
    /// The uv that builds environments [default: uv on PATH]
    #[arg(long, value_name = "PATH", env = "UDFLEET_UV")]
    pub uv: Option<PathBuf>,
    /// Shared secret of the fleet
    #[arg(long, env = "UDFLEET_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// File that holds the shared secret
    #[arg(long, value_name = "FILE", env = "UDFLEET_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Allow addresses other than loopback although nothing is encrypted; needs a token
    #[arg(long, num_args = 0..=1, default_missing_value = "true", env = "UDFLEET_INSECURE_NON_LOOPBACK")]
    pub insecure_non_loopback: Option<bool>,
    /// How long an unused environment stays on disk, such as 12h [default: 24h]
    #[arg(long, value_name = "DURATION", env = "UDFLEET_EXECUTOR_ENVIRONMENT_TTL")]
    pub environment_ttl: Option<String>,
}

impl Layer {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming the file and the key at fault.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bad =
            |what: String| Error::new(ErrorCode::InvalidConfig, format!("config file {}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
        toml::from_str(&text).map_err(|e| bad(e.to_string()))
    }

    /// Lays this layer over a lower one.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        let mut labels = lower.labels;
        labels.extend(self.labels);
        let first = |mine: Vec<_>, theirs| if mine.is_empty() { theirs } else { mine };
        // A secret given above replaces the one below, in whichever form either comes.
        let (token, token_file) = if self.token.is_some() || self.token_file.is_some() {
            (self.token, self.token_file)
        } else {
            (lower.token, lower.token_file)
        };
        Self {
            coordinator: self.coordinator.or(lower.coordinator),
            listen: self.listen.or(lower.listen),
            http_listen: self.http_listen.or(lower.http_listen),
            engine_listen: self.engine_listen.or(lower.engine_listen),
            advertise: self.advertise.or(lower.advertise),
            work_dir: self.work_dir.or(lower.work_dir),
            environments_dir: self.environments_dir.or(lower.environments_dir),
            id: self.id.or(lower.id),
            interpreters_per_environment: self.interpreters_per_environment.or(lower.interpreters_per_environment),
            max_interpreters: self.max_interpreters.or(lower.max_interpreters),
            memory: self.memory.or(lower.memory),
            python: first(self.python, lower.python),
            label: self.label,
            labels,
            uv: self.uv.or(lower.uv),
            token,
            token_file,
            insecure_non_loopback: self.insecure_non_loopback.or(lower.insecure_non_loopback),
            environment_ttl: self.environment_ttl.or(lower.environment_ttl),
        }
    }
}
