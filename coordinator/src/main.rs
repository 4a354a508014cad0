//! `udfleet-coordinator`: reads its settings, binds its ports, serves until told to stop.

use std::process::ExitCode;

use udfleet_coordinator::config::{Config, Flags};
use udfleet_coordinator::server::Server;
use udfleet_edge::{config, process};
use udfleet_proto::error::Error;

fn main() -> ExitCode {
    let (flags, sources) = config::read::<Flags>(std::env::args_os()).unwrap_or_else(|error| error.exit());
    process::exit(Config::load(&sources).and_then(|config| start(&flags, config)))
}

fn start(flags: &Flags, settings: Config) -> Result<(), Error> {
    if flags.dump_config {
        return config::dump(&settings).map(|text| print!("{text}"));
    }
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
