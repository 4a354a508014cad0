//! Answers one stream of ClickHouse's; lost batches are retried.

use std::time::Instant;

use crate::Stop;
use crate::channel::RemoteFunction;
use crate::chunk::{Chunk, malformed};
use crate::exchange::{Interrupted, attempt};
use crate::frame::Kind;
use crate::input::{Event, Input};
use crate::output::Output;
use crate::retry::{Attempts, Retry};

/// Answers a stream, `rows` of it announced; tries again what is lost on the way.
///
/// # Errors
/// What failed, once the rest of the stream may be thrown away.
pub async fn answer(
    fleet: &mut RemoteFunction,
    rows: Option<u64>,
    input: &mut Input,
    output: &mut Output,
) -> Result<(), Stop> {
    if rows == Some(0) {
        // ClickHouse reads no answer, and would take one for that of the next chunk.
        input.drain().await;
        return Ok(());
    }
    let schema = match input.next().await? {
        Some(Event::Message(message)) if message.kind == Kind::Schema => message.header,
        _ => return Err(malformed("it has no schema").into()),
    };
    let mut chunk = Chunk::new(schema)?;
    let mut retry = Retry::new(fleet.patience, fleet.coordinators());
    let mut attempts: Option<Attempts> = None;
    loop {
        let before = chunk.rows_out;
        let failure = match attempt(fleet, &mut chunk, input, output, attempts.map_or(1, Attempts::number)).await {
            Ok(()) => break,
            Err(Interrupted::Stopped(stop)) => return Err(stop),
            Err(Interrupted::Failed(failure)) => failure,
        };
        if chunk.rows_out > before {
            retry.progress();
        }
        if failure.may_have_run() && chunk.is_waiting() {
            attempts.get_or_insert_with(|| Attempts::new(fleet.max_attempts())).failed(&failure)?;
        }
        let pause = retry.after(failure, Instant::now()).map_err(Stop::Failed)?;
        fleet.pass_on();
        tokio::time::sleep(pause).await;
    }
    chunk.check_rows(rows)?;
    output.end(rows.is_some())
}
