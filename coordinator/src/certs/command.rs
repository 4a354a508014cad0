//! The command line.

use std::io::Write as _;
use std::path::PathBuf;

use udfleet_proto::error::Error;

use super::{create, show};

/// Certificates for the nodes and clients of a fleet.
#[derive(Debug, clap::Parser)]
#[command(name = "udfleet certs")]
pub struct CertsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a CA and certificates; with the CA of the folder, where there is one: so they are renewed
    Create(CreateOptions),
    /// Print whose certificates are, who signed them and when they end
    Show(ShowOptions),
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateOptions {
    /// Names and addresses under which others reach the nodes
    #[arg(long, value_name = "HOST,...", value_delimiter = ',', required = true)]
    pub hosts: Vec<String>,
    /// Where the files go; the CA's key, ca.key, belongs on none of the nodes
    #[arg(long, value_name = "DIR", default_value = "udfleet-certs")]
    pub dir: PathBuf,
    /// Names of coordinators [default: the hosts]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub coordinators: Vec<String>,
    /// Names of executors, which are their ids in the fleet [default: the hosts]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub executors: Vec<String>,
    /// Names of clients
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', default_value = "client")]
    pub clients: Vec<String>,
    /// For how many days the certificates are valid
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowOptions {
    /// Files with certificates
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// Does what the command line says; what it tells goes to stdout.
///
/// # Errors
/// `INVALID_CONFIG` naming the file, host or name at fault.
pub fn run(command: &CertsCommand) -> Result<(), Error> {
    let text = match &command.action {
        Action::Create(options) => create::create(options)?,
        Action::Show(options) => show::show(options)?,
    };
    // Whoever closed the pipe does not want to know.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}
