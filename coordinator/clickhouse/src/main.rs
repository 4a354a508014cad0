//! What ClickHouse starts to call a function of the fleet: an `executable` function's command, which answers one
//! ArrowStream and ends, or an `executable_pool` function's, which answers one after another.
//!
//! Bodies of batches pass through as they are; only schemas are read, and written anew where ClickHouse and the fleet
//! name the same bytes differently.

mod answer;
mod carry;
mod channel;
mod chunk;
mod exchange;
mod flags;
mod frame;
mod input;
mod output;
mod retry;

use std::io::Write as _;
use std::process::ExitCode;

use udfleet_proto::error::Error;

use crate::channel::Fleet;
use crate::flags::Flags;
use crate::input::{Event, Input};
use crate::output::{Output, reader_gone};
use crate::retry::Failure;

/// Why it ends early.
#[derive(Debug)]
enum Stop {
    /// Something that ClickHouse has to show.
    Failed(Failure),
    /// Nobody reads the answer any more.
    Unread,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

fn main() -> ExitCode {
    let flags = match Flags::read() {
        Ok(flags) => flags,
        Err(error) => {
            // clap's own words; help goes to stdout, and is no failure.
            let _ = error.print();
            if error.use_stderr() {
                Output::stdout("result").abandon();
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(&flags)),
        Err(error) => Err(Error::internal(format!("no runtime: {error}")).into()),
    };
    // The thread that reads stdin ends with the process, wherever it is.
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(flags: &Flags) -> Result<(), Stop> {
    let mut output = Output::stdout(&flags.return_name);
    let mut input = Input::start(std::io::stdin(), flags.chunk_header);
    let outcome = tokio::select! {
        outcome = answer_all(flags, &mut input, &mut output) => outcome,
        () = reader_gone() => Err(Stop::Unread),
    };
    if let Err(Stop::Failed(failure)) = &outcome {
        // ClickHouse shows what stderr says where it could write all that it had to, and where the answer on stdout is
        // whole: otherwise it complains of these.
        input.drain().await;
        report(failure);
        output.abandon();
    }
    outcome
}

async fn answer_all(flags: &Flags, input: &mut Input, output: &mut Output) -> Result<(), Stop> {
    let mut fleet = None;
    while let Some(event) = input.next().await? {
        let Event::Begin(rows) = event else { return Err(Error::internal("a message outside of a stream").into()) };
        let fleet = match &mut fleet {
            Some(fleet) => fleet,
            none => none.insert(Fleet::new(flags)?),
        };
        chunk::answer(fleet, rows, input, output).await?;
    }
    Ok(())
}

/// Everything that is known, the error itself last: some reactions of ClickHouse keep the end of stderr only.
fn report(failure: &Failure) {
    let mut text = String::new();
    if let Failure::Told(error) = failure {
        let traceback = error.info().exception.as_ref().map_or("", |exception| exception.text.trim_end());
        text.extend(traceback.lines().flat_map(|line| [line, "\n"]));
    }
    text.push_str(&failure.to_string());
    if let Failure::Told(error) = failure
        && !error.info().value.is_empty()
        && !error.info().message.contains(&error.info().value)
    {
        text.push_str(&format!(" (value: {})", error.info().value));
    }
    // Whoever closed stderr does not want to know.
    let _ = writeln!(std::io::stderr(), "{text}");
}
