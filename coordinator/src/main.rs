//! `udfleet-coordinator`: reads its settings, binds its ports, serves until told to stop.

use std::process::ExitCode;

use clap::Parser as _;
use udfleet_coordinator::certs::{self, CertsCommand};
use udfleet_coordinator::config::{Config, Flags};
use udfleet_coordinator::server::Server;
use udfleet_edge::config::Sources;
use udfleet_edge::{config, process, tls};
use udfleet_proto::error::Error;

fn main() -> ExitCode {
    tls::install_provider();
    let mut arguments = std::env::args_os();
    if std::env::args_os().nth(1).is_some_and(|first| first == "certs") {
        arguments.next();
        return process::exit(certs::run(&CertsCommand::parse_from(arguments)));
    }
    let (flags, sources) = config::read::<Flags>(std::env::args_os()).unwrap_or_else(|error| error.exit());
    process::exit(Config::load(&sources).and_then(|config| start(&flags, &sources, config)))
}

fn start(flags: &Flags, sources: &Sources, settings: Config) -> Result<(), Error> {
    if flags.dump_config {
        return config::dump(&settings).map(|text| print!("{text}"));
    }
    sources.check_command_line()?;
    process::init_logging();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::internal(format!("no runtime: {e}")))?;
    runtime.block_on(serve(settings, flags.parent_pid))
}

async fn serve(config: Config, parent: Option<u32>) -> Result<(), Error> {
    let stop = process::stop_requested(parent)?;
    tokio::pin!(stop);
    // It may wait for its metadata store.
    let server = tokio::select! {
        server = Server::start(config) => server?,
        () = &mut stop => return Ok(()),
    };
    let mut ready = serde_json::json!({
        "udfleet": "coordinator",
        "grpc": server.grpc_address().to_string(),
        "http": server.http_address().to_string(),
    });
    if let Some(address) = server.engine_address() {
        ready["engine"] = address.to_string().into();
    }
    process::announce(&ready);
    stop.await;
    tracing::info!("stopping");
    server.stop().await;
    Ok(())
}
