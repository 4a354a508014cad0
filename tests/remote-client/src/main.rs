//! Calls a server of remote functions as RisingWave does: with the client of `arrow-udf-runtime`, unmodified.
//!
//! `udfleet-remote-client HOST:PORT CHECK` runs one check on the functions of
//! `python-sdk/tests/engines/remote_functions.py`; `udfleet-remote-client list` names the checks.

mod checks;
mod columns;

use std::process::ExitCode;

use arrow_udf_runtime::remote::Client;

/// Why a check failed.
type Failure = Box<dyn std::error::Error>;

async fn run(address: &str, check: &str) -> Result<(), Failure> {
    let client = Client::connect(format!("http://{address}")).await?;
    checks::run(&client, check).await
}

#[tokio::main(flavor = "current_thread")]
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
            eprintln!("usage: udfleet-remote-client HOST:PORT CHECK, or udfleet-remote-client list");
            ExitCode::from(2)
        }
    }
}
