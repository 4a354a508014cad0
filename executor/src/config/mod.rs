//! Settings of an executor: flags > environment variables > file > defaults.

mod layer;
mod resolve;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use serde::{Serialize, Serializer};
use udfleet_edge::secret::Secret;
use udfleet_proto::error::Error;

pub use layer::Layer;

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "udfleet-executor", version, about = "Runs Python functions for a udfleet coordinator")]
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

impl Arguments {
    /// Reads a command line, the program's name first, with the environment below it.
    ///
    /// # Errors
    /// When either can't be used; clap's error says why, and also carries `--help` and `--version`.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(arguments)?;
        let mut read = Self::from_arg_matches(&matches)?;
        // The token comes in two forms: a flag of either overrides the variable of the other.
        match (matches.value_source("token"), matches.value_source("token_file")) {
            (Some(ValueSource::CommandLine), Some(ValueSource::EnvVariable)) => read.layer.token_file = None,
            (Some(ValueSource::EnvVariable), Some(ValueSource::CommandLine)) => read.layer.token = None,
            _ => {}
        }
        Ok(read)
    }
}

/// The settings in force.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// host:port of the coordinator.
    pub coordinator: String,
    /// Where Flight and the node service listen.
    pub listen: SocketAddr,
    /// Where /metrics and /healthz listen.
    pub http_listen: SocketAddr,
    /// Where engines are served without a token; none: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_listen: Option<SocketAddr>,
    /// host:port that clients are told; none: the address that `listen` got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
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
    /// Memory budget of all interpreters, bytes.
    #[serde(serialize_with = "text")]
    pub memory: u64,
    /// Further Pythons to offer.
    pub python: Vec<PathBuf>,
    /// The `uv` to build environments with; none: the one on PATH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uv: Option<PathBuf>,
    /// Shared secret of the fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Allows other addresses than loopback although nothing is encrypted.
    pub insecure_non_loopback: bool,
    /// How long an unused environment stays on disk.
    #[serde(serialize_with = "seconds")]
    pub environment_ttl: Duration,
    /// Labels that tell executors apart in listings.
    pub labels: BTreeMap<String, String>,
}

impl Settings {
    /// Reads the file, lays the arguments over it and fills in the defaults.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming the setting and what is allowed.
    pub fn load(arguments: &Arguments) -> Result<Self, Error> {
        let file = match &arguments.config {
            Some(path) => Layer::read(path)?,
            None => Layer::default(),
        };
        resolve::resolve(arguments.layer.clone().over(file))
    }

    /// The settings as TOML, secrets redacted.
    ///
    /// # Errors
    /// `INTERNAL` when they can't be written as TOML.
    pub fn dump(&self) -> Result<String, Error> {
        toml::to_string(self).map_err(|e| Error::internal(format!("can't write the settings as TOML: {e}")))
    }
}

fn text<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&bytes.to_string())
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{}s", duration.as_secs()))
}
