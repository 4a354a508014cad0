//! The process's configuration: flags over `UDFLEET_*` variables over a TOML file over defaults.

mod flags;
mod functions;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use udfleet_edge::secret::Secret;

pub use flags::Flags;
pub use functions::fill;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("config file {path}: {source}")]
    Read {
        /// As given.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file has an unknown key or a bad value; the source names line and key.
    #[error("config file {path}: {message}")]
    Parse {
        /// As given.
        path: PathBuf,
        /// Line, key and reason.
        message: String,
    },
    /// Listening on other interfaces than loopback has to be asked for by name.
    #[error(
        "{what} {address} is not a loopback address, and traffic is not encrypted yet: listen on 127.0.0.1, or set insecure_non_loopback = true together with a token"
    )]
    NotLoopback {
        /// Which setting.
        what: &'static str,
        /// Its value.
        address: SocketAddr,
    },
    /// Whoever reaches a port that isn't loopback has to show a token.
    #[error("{what} {address} is not a loopback address: set a token (--token-file) too")]
    NoToken {
        /// Which setting.
        what: &'static str,
        /// Its value.
        address: SocketAddr,
    },
    /// A token has to travel in a header.
    #[error("the token must be non-empty visible ASCII text")]
    BadToken,
    /// A key or value that functions don't take.
    #[error("functions: {0}")]
    Functions(udfleet_proto::error::Error),
    /// The effective configuration could not be printed.
    #[error("can't print the configuration: {0}")]
    Dump(#[from] toml::ser::Error),
}

/// The effective configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address of gRPC and Flight.
    pub listen: SocketAddr,
    /// Address of /metrics, /healthz and /readyz.
    pub http_listen: SocketAddr,
    /// Where engines are served without a token; none: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_listen: Option<SocketAddr>,
    /// Where functions and artifacts are kept.
    pub data_dir: PathBuf,
    /// What every caller and executor has to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Allows addresses other than loopback although traffic is not encrypted.
    pub insecure_non_loopback: bool,
    /// Seconds without a report after which an executor counts as lost.
    pub executor_timeout_seconds: u64,
    /// Seconds that a registration may take unless the caller says otherwise.
    pub registration_timeout_seconds: u64,
    /// Seconds that a file which no function needs is kept: between its upload and its registration, or after a drop.
    pub artifact_ttl_seconds: u64,
    /// Configuration keys for functions that are registered without them.
    #[serde(deserialize_with = "functions::texts", skip_serializing_if = "BTreeMap::is_empty")]
    pub functions: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8815)),
            http_listen: SocketAddr::from(([127, 0, 0, 1], 8816)),
            engine_listen: None,
            data_dir: PathBuf::from("udfleet-data"),
            token: None,
            insecure_non_loopback: false,
            executor_timeout_seconds: 10,
            registration_timeout_seconds: 600,
            artifact_ttl_seconds: 3600,
            functions: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Puts the layers together and checks the result.
    ///
    /// # Errors
    /// Names the file, key or address at fault.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let mut config = match &flags.config {
            Some(path) => parse(path, &read(path)?)?,
            None => Self::default(),
        };
        flags.apply(&mut config)?;
        config.check()?;
        Ok(config)
    }

    /// Checks rules that span settings.
    ///
    /// # Errors
    /// Names the rule.
    pub fn check(&self) -> Result<(), ConfigError> {
        functions::check(&self.functions).map_err(ConfigError::Functions)?;
        if let Some(token) = &self.token
            && (token.expose().is_empty() || !token.expose().bytes().all(|b| b.is_ascii_graphic()))
        {
            return Err(ConfigError::BadToken);
        }
        if !self.listen.ip().is_loopback() {
            let (what, address) = ("listen", self.listen);
            if !self.insecure_non_loopback {
                return Err(ConfigError::NotLoopback { what, address });
            }
            if self.token.is_none() {
                return Err(ConfigError::NoToken { what, address });
            }
        }
        let others = self.engine_listen.map(|address| ("engine_listen", address));
        for (what, address) in others.into_iter().chain([("http_listen", self.http_listen)]) {
            if !address.ip().is_loopback() && !self.insecure_non_loopback {
                return Err(ConfigError::NotLoopback { what, address });
            }
        }
        Ok(())
    }

    /// As TOML, secrets redacted.
    ///
    /// # Errors
    /// When a value has no TOML form.
    pub fn dump(&self) -> Result<String, ConfigError> {
        Ok(toml::to_string(self)?)
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
    toml::from_str(text)
        .map_err(|e| ConfigError::Parse { path: path.to_owned(), message: e.to_string().trim_end().to_owned() })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn load(arguments: &[&str]) -> Result<Config, ConfigError> {
        Config::load(&Flags::parse_from(std::iter::once(&"udfleet-coordinator").chain(arguments)))
    }

    #[test]
    fn flags_override_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "listen = \"127.0.0.1:1\"\ndata_dir = \"/from/file\"\n").unwrap();
        let config = load(&["--config", file.path().to_str().unwrap(), "--listen", "127.0.0.1:2"]).unwrap();
        assert_eq!((config.listen.port(), config.data_dir.to_str()), (2, Some("/from/file")));
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "lisen = \"127.0.0.1:1\"\n").unwrap();
        let error = load(&["--config", file.path().to_str().unwrap()]).unwrap_err().to_string();
        assert!(error.contains("lisen") && error.contains("listen"), "{error}");
    }

    #[test]
    fn other_interfaces_need_a_named_override_and_a_token() {
        assert!(matches!(load(&["--listen", "0.0.0.0:1"]), Err(ConfigError::NotLoopback { .. })));
        assert!(matches!(
            load(&["--listen", "0.0.0.0:1", "--insecure-non-loopback"]),
            Err(ConfigError::NoToken { .. })
        ));
        assert!(load(&["--listen", "0.0.0.0:1", "--insecure-non-loopback", "--token", "t"]).is_ok());
        let open = ["--engine-listen", "0.0.0.0:1"];
        assert!(matches!(load(&open), Err(ConfigError::NotLoopback { what: "engine_listen", .. })));
        assert!(load(&[&open[..], &["--insecure-non-loopback"]].concat()).is_ok(), "engines have no token");
        assert!(matches!(load(&["--token", "two words"]), Err(ConfigError::BadToken)));
    }

    #[test]
    fn the_dump_hides_the_token_and_parses_otherwise() {
        let dump = load(&["--token", "hunter2"]).unwrap().dump().unwrap();
        assert!(!dump.contains("hunter2") && dump.contains("redacted"), "{dump}");
        let plain = load(&[]).unwrap();
        assert_eq!(toml::from_str::<Config>(&plain.dump().unwrap()).unwrap(), plain);
    }
}
