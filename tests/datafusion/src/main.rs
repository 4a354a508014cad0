//! Functions of a fleet in DataFusion's SQL, from Rust: `fleet` and `fleet_udf` are what a program needs for it.
//!
//! `udfleet-datafusion HOST:PORT CHECK` runs one check on the functions of
//! `python-sdk/tests/engines/flight_functions.py`, with the token in `UDFLEET_TOKEN` if there is one;
//! `udfleet-datafusion list` names the checks, `udfleet-datafusion HOST:PORT page` runs what the page in `docs` shows.

mod checks;
mod data;
mod fleet;
mod fleet_udf;
mod page;

use std::process::ExitCode;

use checks::Failure;
use fleet::Fleet;

async fn run(address: &str, check: &str) -> Result<(), Failure> {
    let fleet = Fleet::connect(address, std::env::var("UDFLEET_TOKEN").ok().as_deref()).await?;
    match check {
        "page" => Ok(page::show(&fleet).await?),
        check => checks::run(&fleet, check).await,
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["list"] => {
            checks::NAMES.iter().for_each(|name| println!("{name}"));
            ExitCode::SUCCESS
        }
        [address, check] => match run(address, check).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("{check}: {failure}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("usage: udfleet-datafusion HOST:PORT CHECK, or udfleet-datafusion list");
            ExitCode::from(2)
        }
    }
}
