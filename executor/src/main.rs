//! `udfleet-executor`: reads its settings, runs until told to stop.

use std::process::ExitCode;

use udfleet_edge::config::Sources;
use udfleet_edge::{config, process, tls};
use udfleet_executor::config::{Arguments, Settings};
use udfleet_executor::environment::unpack;
use udfleet_executor::run;
use udfleet_proto::error::Error;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == unpack::TASK) {
        return unpack::unpack_here(&words.collect::<Vec<_>>());
    }
    tls::install_provider();
    let (arguments, sources) = config::read::<Arguments>(std::env::args_os()).unwrap_or_else(|error| error.exit());
    process::exit(Settings::load(&sources).and_then(|settings| start(&arguments, &sources, settings)))
}

fn start(arguments: &Arguments, sources: &Sources, settings: Settings) -> Result<(), Error> {
    if arguments.dump_config {
        return config::dump(&settings).map(|text| print!("{text}"));
    }
    sources.check_command_line()?;
    process::init_logging();
    // No process of this user reads this one's memory and environment, which hold the fleet's secret.
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        tracing::warn!("other processes of this user can read this one's memory: {error}");
    }
    // Cores are for interpreters; and idle workers that wake each other for nothing cost each call time.
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let runtime = runtime.map_err(|e| Error::internal(format!("no runtime: {e}")))?;
    let outcome = runtime.block_on(async {
        let stop = process::stop_requested(arguments.parent_pid)?;
        run::run(settings, stop, process::announce).await
    });
    // Tasks that still read pipes of ended processes hold nothing that matters.
    runtime.shutdown_background();
    outcome
}
