//! The executor process.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use udfleet_executor::config::{Arguments, Settings};
use udfleet_executor::{parent, run};
use udfleet_proto::error::Error;

fn main() -> ExitCode {
    let arguments = Arguments::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let outcome = Settings::load(&arguments).and_then(|settings| {
        if arguments.dump_config {
            return settings.dump().map(|text| print!("{text}"));
        }
        start(&arguments, settings)
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("udfleet-executor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments, settings: Settings) -> Result<(), Error> {
    let filter = EnvFilter::try_from_env("UDFLEET_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    // Cores are for interpreters; and idle workers that wake each other for nothing cost each call time.
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let runtime = runtime.map_err(|e| Error::internal(format!("no runtime: {e}")))?;
    let outcome = runtime.block_on(run::run(settings, stop(arguments.parent_pid), announce));
    // Tasks that still read pipes of ended processes hold nothing that matters.
    runtime.shutdown_background();
    outcome
}

fn announce(line: &serde_json::Value) {
    let mut stdout = std::io::stdout();
    // Whoever closed the pipe does not want to know.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Resolves when the executor shall stop.
async fn stop(parent_pid: Option<u32>) {
    let parent_ended = async {
        match parent_pid {
            Some(pid) => parent::ended(pid).await,
            None => std::future::pending().await,
        }
    };
    let signalled = async |kind: SignalKind| match signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(error) => {
            tracing::warn!("can't listen for signals: {error}");
            std::future::pending().await
        }
    };
    tokio::select! {
        () = parent_ended => tracing::info!("the parent process has ended"),
        () = signalled(SignalKind::terminate()) => {}
        () = signalled(SignalKind::interrupt()) => {}
    }
}
