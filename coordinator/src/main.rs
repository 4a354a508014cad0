//! `udfleet-coordinator`: parses its configuration, binds its ports, serves until told to stop.

use std::io::Write as _;
use std::process::ExitCode;

use udfleet_coordinator::config::{Config, Flags};
use udfleet_coordinator::process::{self, BoxError};
use udfleet_coordinator::server::Server;

fn main() -> ExitCode {
    let flags = Flags::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Tracing may not be up yet: configuration errors are for a person at a terminal.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<(), BoxError> {
    let config = Config::load(flags)?;
    if flags.dump_config {
        std::io::stdout().write_all(config.dump()?.as_bytes())?;
        return Ok(());
    }
    process::init_logging();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(config, flags.parent_pid))
}

async fn serve(config: Config, parent: Option<u32>) -> Result<(), BoxError> {
    let stop = process::stop_requested(parent)?;
    let server = Server::start(config).await?;
    let mut ready = serde_json::json!({
        "udfleet": "coordinator",
        "grpc": server.grpc_address().to_string(),
        "http": server.http_address().to_string(),
    });
    if let Some(address) = server.engine_address() {
        ready["engine"] = address.to_string().into();
    }
    writeln!(std::io::stdout(), "{ready}")?;
    std::io::stdout().flush()?;
    stop.await;
    tracing::info!("stopping");
    server.stop().await;
    Ok(())
}
