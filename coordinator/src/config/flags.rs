//! Command line flags and their environment variables.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _};

use udfleet_edge::secret::Secret;

use super::{Config, ConfigError};

/// udfleet's coordinator: registers functions, places them on executors, and routes Arrow Flight streams to them.
#[derive(Debug, clap::Parser)]
#[command(name = "udfleet-coordinator", version)]
pub struct Flags {
    /// TOML file with the settings below (`listen`, `http_listen`, `data_dir`, ...)
    #[arg(long, env = "UDFLEET_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address of gRPC and Flight [default: 127.0.0.1:8815]
    #[arg(long, env = "UDFLEET_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Address of /metrics, /healthz and /readyz [default: 127.0.0.1:8816]
    #[arg(long, env = "UDFLEET_HTTP_LISTEN", value_name = "ADDRESS")]
    pub http_listen: Option<SocketAddr>,
    /// Address of Flight for engines, which show no token: PATH descriptors only [default: none]
    #[arg(long, env = "UDFLEET_ENGINE_LISTEN", value_name = "ADDRESS")]
    pub engine_listen: Option<SocketAddr>,
    /// Where functions and artifacts are kept [default: udfleet-data]
    #[arg(long, env = "UDFLEET_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Token that callers and executors have to show; a file keeps it out of process lists
    #[arg(long, env = "UDFLEET_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// File that holds the token
    #[arg(long, env = "UDFLEET_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Allow addresses other than loopback although traffic is not encrypted; needs a token
    #[arg(long, env = "UDFLEET_INSECURE_NON_LOOPBACK")]
    pub insecure_non_loopback: bool,
    /// Seconds without a report after which an executor counts as lost [default: 10]
    #[arg(long, env = "UDFLEET_EXECUTOR_TIMEOUT_SECONDS", value_name = "SECONDS")]
    pub executor_timeout_seconds: Option<u64>,
    /// Seconds that a registration may take unless the caller says otherwise [default: 600]
    #[arg(long, env = "UDFLEET_REGISTRATION_TIMEOUT_SECONDS", value_name = "SECONDS")]
    pub registration_timeout_seconds: Option<u64>,
    /// Seconds that a file which no function needs is kept [default: 3600]
    #[arg(long, env = "UDFLEET_ARTIFACT_TTL_SECONDS", value_name = "SECONDS")]
    pub artifact_ttl_seconds: Option<u64>,
    /// Stop when this process ends
    #[arg(long, value_name = "PID")]
    pub parent_pid: Option<u32>,
    /// Print the effective configuration as TOML, secrets redacted, and exit
    #[arg(long)]
    pub dump_config: bool,
}

impl Flags {
    /// Reads a command line, the program's name first, with the environment below it.
    ///
    /// # Errors
    /// When either can't be used; clap's error says why, and also carries `--help` and `--version`.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(arguments)?;
        let mut flags = Self::from_arg_matches(&matches)?;
        // The token comes in two forms: a flag of either overrides the variable of the other.
        match (matches.value_source("token"), matches.value_source("token_file")) {
            (Some(ValueSource::CommandLine), Some(ValueSource::EnvVariable)) => flags.token_file = None,
            (Some(ValueSource::EnvVariable), Some(ValueSource::CommandLine)) => flags.token = None,
            (Some(_), Some(_)) => {
                let message = "--token and --token-file (UDFLEET_TOKEN and UDFLEET_TOKEN_FILE) are both set: set one";
                return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
            }
            _ => {}
        }
        Ok(flags)
    }

    /// Lays the flags over the configuration.
    ///
    /// # Errors
    /// When the token file can't be read.
    pub(super) fn apply(&self, config: &mut Config) -> Result<(), ConfigError> {
        set(&mut config.listen, self.listen);
        set(&mut config.http_listen, self.http_listen);
        set(&mut config.engine_listen, self.engine_listen.map(Some));
        set(&mut config.data_dir, self.data_dir.clone());
        set(&mut config.executor_timeout_seconds, self.executor_timeout_seconds);
        set(&mut config.registration_timeout_seconds, self.registration_timeout_seconds);
        set(&mut config.artifact_ttl_seconds, self.artifact_ttl_seconds);
        config.insecure_non_loopback |= self.insecure_non_loopback;
        if let Some(path) = &self.token_file {
            config.token = Some(Secret::new(super::read(path)?.trim()));
        } else if let Some(token) = &self.token {
            config.token = Some(Secret::new(token.as_str()));
        }
        Ok(())
    }
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}
