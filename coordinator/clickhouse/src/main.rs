//! The program that ClickHouse starts to call a function of the fleet: as the command of an `executable` function it
//! answers one ArrowStream and exits; as that of an `executable_pool` function it answers one after another.
//!
//! Bodies of batches are passed through; only schemas are decoded, and rewritten where ClickHouse and the fleet use
//! different Arrow types for the same bytes.

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
mod stream;

use std::io::Write as _;
use std::process::ExitCode;

use udfleet_proto::error::Error;
use udfleet_proto::name::FunctionRef;

use crate::channel::RemoteFunction;
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

impl Stop {
    /// Names the function, unless the fleet has.
    fn about(self, function: &FunctionRef) -> Self {
        match self {
            Self::Failed(Failure::Told(error)) => error.function(function.to_string()).into(),
            other => other,
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

fn main() -> ExitCode {
    udfleet_edge::tls::install_provider();
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
    let outcome = outcome.map_err(|stop| stop.about(&flags.function));
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
            none => none.insert(RemoteFunction::new(flags)?),
        };
        stream::answer(fleet, rows, input, output).await?;
    }
    Ok(())
}

/// The error on one line, then the traceback where there is one.
fn report(failure: &Failure) {
    let mut text = failure.to_string();
    if let Failure::Told(error) = failure {
        let info = error.info();
        if !info.value.is_empty() && !info.message.contains(&info.value) {
            text.push_str(&format!(" (value: {})", info.value));
        }
        if let Some(exception) = info.exception.as_ref().filter(|exception| !exception.text.is_empty()) {
            text.push('\n');
            text.push_str(exception.text.trim_end());
        }
    }
    // Whoever closed stderr does not want to know.
    let _ = writeln!(std::io::stderr(), "{text}");
}
