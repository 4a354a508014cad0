//! The command line, as in `<command>` of ClickHouse's configuration.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory as _, FromArgMatches as _};
use udfleet_edge::address::Addresses;
use udfleet_edge::config::{TOKEN_ELSEWHERE, TOKEN_IN_ARGUMENTS};
use udfleet_edge::secret::Secret;
use udfleet_edge::tls::{Connector, Credentials, TlsFiles};
use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;
use udfleet_proto::v1::OnError;

/// Answers an ArrowStream on stdin with a function of a udfleet fleet: a command for ClickHouse's executable functions.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "udfleet-clickhouse", version)]
pub struct Flags {
    /// Function to call: NAME, or NAME@VERSION
    #[arg(long, value_name = "NAME", value_parser = function)]
    pub function: FunctionRef,
    /// Address of the coordinator; of several with commas between them, one that answers is asked
    #[arg(long, env = "UDFLEET_ADDRESS", default_value = "127.0.0.1:8815", value_name = "HOST:PORT,...")]
    pub address: Addresses,
    /// The fleet's token; refused on the command line, which every user of the machine reads
    #[arg(long, env = "UDFLEET_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<Secret>,
    /// File that holds the token; a relative path starts where this program lies
    #[arg(long, env = "UDFLEET_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File with the fleet's CA (PEM): turns TLS on; relative paths as above
    #[arg(long, env = "UDFLEET_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// File with a certificate (PEM) to show
    #[arg(long, env = "UDFLEET_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// File with the key (PEM) of that certificate
    #[arg(long, env = "UDFLEET_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Go on for ever: a row count and an ArrowStream after another (executable_pool with send_chunk_header)
    #[arg(long)]
    pub chunk_header: bool,
    /// Name of the result's column: `return_name` of the function
    #[arg(long, default_value = "result", value_name = "NAME")]
    pub return_name: String,
    /// What becomes of rows that the function raises for [default: as it was registered]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub on_error: Option<RowErrors>,
    /// Seconds for which to try again while the fleet can't be reached or has no room
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub retry_seconds: u64,
}

/// What becomes of a row that fails. Leaving it out is no choice: ClickHouse needs a result for every row.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum RowErrors {
    /// The query fails.
    Fail,
    /// Its result is null.
    Null,
}

impl From<RowErrors> for OnError {
    fn from(choice: RowErrors) -> Self {
        match choice {
            RowErrors::Fail => Self::Fail,
            RowErrors::Null => Self::Null,
        }
    }
}

fn function(text: &str) -> Result<FunctionRef, String> {
    FunctionRef::parse(text).map_err(|error| error.to_string())
}

impl Flags {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    /// clap's, which may also be a request for help.
    pub fn read() -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches()?;
        if matches.value_source("token") == Some(ValueSource::CommandLine) {
            let text = format!("{TOKEN_IN_ARGUMENTS}: {TOKEN_ELSEWHERE}");
            return Err(Self::command().error(ErrorKind::ValueValidation, text));
        }
        Self::from_arg_matches(&matches)
    }

    /// How the fleet is connected to.
    ///
    /// # Errors
    /// `INVALID_CONFIG` naming the file that is missing or does not hold what it should.
    pub fn connector(&self) -> Result<Connector, Error> {
        let [ca, cert, key] =
            [&self.tls_ca, &self.tls_cert, &self.tls_key].map(|file| file.as_deref().map(beside_program));
        let files = TlsFiles::of_client(ca.as_deref(), cert.as_deref(), key.as_deref())?;
        let credentials = files.map(Credentials::of_client).transpose();
        Ok(Connector::new(credentials.map_err(|e| e.hint("ClickHouse's user must be able to read the files"))?))
    }

    /// The fleet's token. A token file takes precedence over a token in the environment.
    ///
    /// # Errors
    /// `INVALID_CONFIG` where the file can't be read or the token is none.
    pub fn token(&self) -> Result<Option<Secret>, Error> {
        match (&self.token_file, &self.token) {
            (Some(file), _) => Secret::token_file(&beside_program(file))
                .map_err(|e| e.hint("ClickHouse's user must be able to read it"))
                .map(Some),
            (None, Some(token)) => Secret::token(token.expose()).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// ClickHouse starts commands in its own working folder, which is unknown.
fn beside_program(file: &Path) -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.parent().unwrap_or(Path::new("")).join(file)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use udfleet_proto::v1::ErrorCode;

    use super::*;

    fn flags(arguments: &[&str]) -> Flags {
        let command = ["udfleet-clickhouse", "--function=f"].iter().chain(arguments);
        Flags::try_parse_from(command).unwrap()
    }

    #[test]
    fn the_token_comes_from_a_file_beside_the_program_or_anywhere() {
        let program = std::env::current_exe().unwrap();
        let file = program.with_file_name(format!("token-{}", std::process::id()));
        std::fs::write(&file, "s3cret\n").unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        for given in [name, file.to_str().unwrap()] {
            let token = flags(&["--token=other", "--token-file", given]).token().unwrap().unwrap();
            assert_eq!(token.expose(), "s3cret", "{given}");
        }
        std::fs::write(&file, " \n").unwrap();
        let error = flags(&["--token-file", name]).token().unwrap_err();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(error.code(), ErrorCode::InvalidConfig);
        let error = flags(&["--token-file", name]).token().unwrap_err();
        assert!(error.info().message.contains(name), "{error}");
    }
}
