//! One attempt to have a stream answered, from where the last attempt ended.

use arrow_flight::FlightData;
use bytes::Bytes;
use prost::Message as _;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use udfleet_proto::error::Error;
use udfleet_proto::ipc::schema_message;
use udfleet_proto::v1::BatchHeader;

use crate::Stop;
use crate::answer::{self, AnswerMessage};
use crate::carry::{Results, relabelled, renamed};
use crate::channel::RemoteFunction;
use crate::chunk::Chunk;
use crate::frame::{Kind, Message};
use crate::input::{Event, Input};
use crate::output::Output;
use crate::retry::Failure;

/// Why a try ended early.
pub enum Interrupted {
    /// No other would help.
    Stopped(Stop),
    /// Another may help.
    Failed(Failure),
}

impl From<Failure> for Interrupted {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Stop> for Interrupted {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

impl From<Error> for Interrupted {
    fn from(error: Error) -> Self {
        Self::Stopped(error.into())
    }
}

/// Sends what is kept of the stream and what comes of it, and writes the answers. `number`: of this attempt, for the fleet.
///
/// # Errors
/// Why it ended early; the chunk knows what has been answered by then.
pub async fn attempt(
    fleet: &mut RemoteFunction,
    chunk: &mut Chunk,
    input: &mut Input,
    output: &mut Output,
    number: u32,
) -> Result<(), Interrupted> {
    let declared = fleet.inputs().await?;
    let header = match relabelled(&chunk.schema, &declared) {
        Some(schema) => schema_message(&schema).data_header,
        None => chunk.header.clone(),
    };
    // Never holds more than the batches that a chunk keeps.
    let (sender, messages) = unbounded_channel();
    let mut sending = Sending { sender: Some(sender), next: 0, attempt: number };
    sending.push(FlightData::new().with_descriptor(fleet.descriptor()).with_data_header(header));
    chunk.kept().for_each(|message| sending.send(message));
    sending.close_if(chunk.ended);
    let mut answers = fleet.exchange(messages).await?;
    let mut results = None;
    loop {
        tokio::select! {
            event = input.next(), if chunk.has_room() => match event? {
                Some(Event::Message(message)) => {
                    sending.send(&message);
                    chunk.keep(message)?;
                }
                _ => {
                    chunk.ended = true;
                    sending.close_if(true);
                }
            },
            answer = answers.next() => match answer? {
                Some(data) => take(data, chunk, output, &mut results)?,
                None if chunk.is_answered() && results.is_some() => return Ok(()),
                None => return Err(Failure::Lost("the coordinator ended the exchange early".to_owned()).into()),
            },
        }
    }
}

fn take(
    data: FlightData,
    chunk: &mut Chunk,
    output: &mut Output,
    results: &mut Option<Results>,
) -> Result<(), Interrupted> {
    // A row of the batch is one of the chunk's: batches are answered in order.
    let place = |error: Error, chunk: &Chunk| error.with(|info| info.row = info.row.map(|row| row + chunk.rows_out));
    match answer::read(data).map_err(|error| Failure::Told(place(error, chunk)))? {
        AnswerMessage::Schema(header) => *results = Some(begin(&header, chunk, output)?),
        AnswerMessage::Batch { header, body, rows, last } => {
            let Some(results) = results else {
                return Err(Error::internal("results came before their schema").into());
            };
            if !last {
                return Err(Error::internal("results of a scalar function came in parts").into());
            }
            results.check(&header, &body).map_err(|error| place(error, chunk))?;
            chunk.answered(rows)?;
            output.message(&header, &body)?;
        }
    }
    Ok(())
}

/// Writes the schema of the answer, unless an earlier try has.
fn begin(header: &Bytes, chunk: &mut Chunk, output: &mut Output) -> Result<Results, Interrupted> {
    let schema = arrow_ipc::convert::try_schema_from_flatbuffer_bytes(header)
        .map_err(|e| Error::internal(format!("reading the result's schema: {e}")))?;
    match &chunk.answered_with {
        Some(earlier) if earlier != header => {
            return Err(Error::internal("the type of the result changed while results were on their way").into());
        }
        Some(_) => {}
        None => {
            let named = renamed(&schema, output.return_name()).map(|schema| schema_message(&schema).data_header);
            output.schema(named.as_ref().unwrap_or(header))?;
            chunk.answered_with = Some(header.clone());
        }
    }
    Ok(Results::new(&schema))
}

/// The client's side of an exchange.
struct Sending {
    sender: Option<UnboundedSender<FlightData>>,
    next: u64,
    attempt: u32,
}

impl Sending {
    fn push(&self, data: FlightData) {
        if let Some(sender) = &self.sender {
            // An exchange that has ended shows when its answers are read.
            let _ = sender.send(data);
        }
    }

    fn send(&mut self, message: &Message) {
        let data = FlightData::new().with_data_header(message.header.clone()).with_data_body(message.body.clone());
        if let Kind::Batch { .. } = message.kind {
            let header = BatchHeader { sequence: self.next, attempt: self.attempt };
            self.next += 1;
            self.push(data.with_app_metadata(header.encode_to_vec()));
        } else {
            self.push(data);
        }
    }

    fn close_if(&mut self, ended: bool) {
        if ended {
            self.sender = None;
        }
    }
}
