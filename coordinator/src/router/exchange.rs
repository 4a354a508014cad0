//! One client stream: its batches spread over executors, its answers in order.
//!
//! The whole state lives in the response stream, polled by the connection that it answers: no task, no queue of its
//! own. A client that reads slowly stops the polling, and with it everything; one that vanishes drops it all.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use arrow_flight::FlightData;
use futures::StreamExt as _;
use futures::stream::SelectAll;
use prost::Message as _;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Status, Streaming};
use udfleet_proto::config::MAX_ATTEMPTS;
use udfleet_proto::error::Error;
use udfleet_proto::limits::STREAM_WINDOW;
use udfleet_proto::v1::{BatchHeader, BatchResult, ErrorCode};

use super::dictionary::Dictionaries;
use super::failure;
use super::message::{self, Kind};
use super::pending::{Batches, Parts};
use super::reorder::Reorder;
use super::retry::{Avoided, Patience};
use super::service::{ActiveStream, Shared};
use super::upstream::{Answers, Upstream};
use crate::registry::Function;
use crate::routes::Target;

/// Input and early answers that a stream holds before it takes no more in, bytes. One batch may be larger.
const BYTES: usize = 64 << 20;
/// The most batches of one stream that are in flight, however large the fleet.
const MOST_IN_FLIGHT: usize = 256;

/// The answer to one batch.
pub(super) enum Answer {
    Data { client_sequence: u64, parts: Parts },
    Failed { client_sequence: u64, error: Error },
}

/// See the module.
pub(super) struct Exchange {
    pub(super) shared: Arc<Shared>,
    pub(super) function: Arc<Function>,
    pub(super) job: String,
    /// Under a CMD descriptor batches are numbered and errors come in-band.
    numbered: bool,
    client: Option<Streaming<FlightData>>,
    /// The client's side of a stream that has failed.
    rejected: Option<Streaming<FlightData>>,
    pub(super) schema: Option<FlightData>,
    /// Present where the schema has dictionaries: then one executor gets all.
    pub(super) dictionaries: Option<Dictionaries>,
    /// The number of the next batch from the client.
    pub(super) next: u64,
    pub(super) batches: Batches,
    pub(super) reorder: Reorder<Answer>,
    early_bytes: usize,
    pub(super) upstreams: BTreeMap<usize, Upstream>,
    /// The upstream to send to, by executor.
    pub(super) by_executor: HashMap<String, usize>,
    pub(super) answers: SelectAll<Answers>,
    pub(super) opened: usize,
    pub(super) last_used: Option<usize>,
    pub(super) avoided: Avoided,
    pub(super) patience: Patience,
    /// When to look for an executor again, where the next batch found none.
    pub(super) look_again: Option<Instant>,
    pub(super) changes: watch::Receiver<u64>,
    pub(super) max_attempts: u32,
    pub(super) random: SmallRng,
    out: VecDeque<Result<FlightData, Status>>,
    finished: bool,
    _active: ActiveStream,
}

enum Event {
    Client(Result<Option<FlightData>, Status>),
    Upstream(usize, Option<Result<FlightData, Status>>),
    Wake,
}

impl Exchange {
    /// Begins with the client's first message, which carries the descriptor.
    pub fn begin(
        shared: Arc<Shared>,
        target: &Target,
        exchange: Option<String>,
        first: FlightData,
        client: Streaming<FlightData>,
    ) -> Result<Self, Error> {
        let function = Arc::clone(&target.function);
        let schema = message::schema_message(&super::info::result_schema(&function.definition))?;
        let attempts = MAX_ATTEMPTS.integer(&function.definition.config);
        let mut this = Self {
            changes: shared.routes.changes(),
            _active: shared.stats.stream(),
            shared,
            function,
            numbered: exchange.is_some(),
            job: exchange.unwrap_or_default(),
            client: Some(client),
            rejected: None,
            schema: None,
            dictionaries: None,
            next: 0,
            batches: Batches::default(),
            reorder: Reorder::default(),
            early_bytes: 0,
            upstreams: BTreeMap::new(),
            by_executor: HashMap::new(),
            answers: SelectAll::new(),
            opened: 0,
            last_used: None,
            avoided: Avoided::default(),
            patience: Patience::default(),
            look_again: None,
            max_attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            random: SmallRng::from_os_rng(),
            out: VecDeque::from([Ok(schema)]),
            finished: false,
        };
        this.take_in(first)?;
        Ok(this)
    }

    /// The next message for the client.
    pub async fn next(&mut self) -> Option<Result<FlightData, Status>> {
        loop {
            if let Some(message) = self.out.pop_front() {
                return Some(message);
            }
            if self.finished {
                self.drain().await;
                return None;
            }
            self.dispatch();
            self.emit();
            if !self.out.is_empty() {
                continue;
            }
            if self.is_done() {
                self.finished = true;
                continue;
            }
            match self.wait().await {
                Event::Client(Ok(Some(message))) => {
                    if let Err(error) = self.take_in(message) {
                        self.fail(self.next, error);
                    }
                }
                Event::Client(Ok(None)) => self.client = None,
                Event::Client(Err(status)) => self.fail(self.next, failure::of_client(&status)),
                Event::Upstream(id, answer) => self.on_answer(id, answer),
                Event::Wake => {}
            }
        }
    }

    /// A client that still writes must read the in-band error: ending the stream under its write would make gRPC drop
    /// it. So what still comes is read, and thrown away, until the client ends the stream.
    async fn drain(&mut self) {
        let Some(mut client) = self.rejected.take() else { return };
        self.upstreams.clear();
        self.answers.clear();
        while let Ok(Some(_)) = client.message().await {}
    }

    /// All is answered. A stream without batches waits for its executor: the schema alone may be refused.
    fn is_done(&self) -> bool {
        self.client.is_none() && self.batches.is_empty() && (self.next > 0 || self.upstreams.is_empty())
    }

    async fn wait(&mut self) -> Event {
        let reading = self.has_room();
        let look_again = self.look_again;
        // A new executor takes what waits, and widens the window: nobody else may have news for minutes.
        let held = self.batches.first_unsent().is_some() || (self.client.is_some() && !reading);
        let client = async {
            match &mut self.client {
                Some(client) if reading => client.message().await,
                _ => std::future::pending().await,
            }
        };
        let answers = &mut self.answers;
        let answer = async {
            match answers.next().await {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        };
        let wake = async {
            match look_again {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            (id, answer) = answer => Event::Upstream(id, answer),
            message = client => Event::Client(message),
            _ = self.changes.changed(), if held => Event::Wake,
            () = wake => Event::Wake,
        }
    }

    fn has_room(&self) -> bool {
        let outstanding = usize::try_from(self.next - self.reorder.next()).unwrap_or(usize::MAX);
        let servers = match &self.dictionaries {
            Some(_) => 1,
            None => self.shared.routes.load().exact(&self.function.name).map_or(1, |t| t.servers.len().max(1)),
        };
        let window = (STREAM_WINDOW * servers).min(MOST_IN_FLIGHT);
        outstanding == 0 || (outstanding < window && self.batches.bytes() + self.early_bytes < BYTES)
    }

    /// Takes one message of the client.
    fn take_in(&mut self, data: FlightData) -> Result<(), Error> {
        let invalid =
            |what: &str| Error::new(ErrorCode::InvalidInput, what.to_owned()).function(self.function.name.as_str());
        let kind = message::kind(&data)?;
        if self.schema.is_none() && matches!(kind, Kind::Batch | Kind::Dictionary { .. }) {
            return Err(invalid("the stream's first data message is no schema"));
        }
        let bare = FlightData { data_header: data.data_header, data_body: data.data_body, ..FlightData::default() };
        match kind {
            Kind::Empty => {}
            Kind::Schema { .. } if self.schema.is_some() => return Err(invalid("the stream holds a second schema")),
            Kind::Schema { dictionaries } => {
                self.schema = Some(bare);
                self.dictionaries = dictionaries.then(Dictionaries::default);
            }
            Kind::Dictionary { id, delta } => match &mut self.dictionaries {
                Some(dictionaries) => dictionaries.record(self.next, id, delta, bare)?,
                None => return Err(invalid("the stream holds a dictionary that its schema does not name")),
            },
            Kind::Batch => {
                let client_sequence = if self.numbered && !data.app_metadata.is_empty() {
                    let header = BatchHeader::decode(data.app_metadata);
                    header.map_err(|e| invalid(&format!("a batch's app_metadata is no BatchHeader: {e}")))?.sequence
                } else {
                    self.next
                };
                self.batches.accept(self.next, client_sequence, bare);
                self.next += 1;
                self.shared.stats.batch();
            }
        }
        Ok(())
    }

    /// Keeps a complete answer until its turn.
    pub(super) fn answered(&mut self, sequence: u64) {
        if let Some(pending) = self.batches.take(sequence) {
            self.early_bytes += bytes_of(&pending.parts);
            let answer = Answer::Data { client_sequence: pending.client_sequence, parts: pending.parts };
            self.reorder.push(sequence, answer);
        }
    }

    /// The stream ends with this error, once everything before batch `sequence` has been answered.
    pub(super) fn fail(&mut self, sequence: u64, error: Error) {
        let client_sequence = self.batches.take(sequence).map_or(sequence, |pending| pending.client_sequence);
        self.batches.cut(sequence);
        self.rejected = self.client.take().or(self.rejected.take());
        self.next = self.next.max(sequence + 1);
        let error = error.function(self.function.name.as_str());
        self.reorder.push(sequence, Answer::Failed { client_sequence, error });
    }

    /// No batch will come any more.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_none()
    }

    /// Moves what is due to the client's side.
    fn emit(&mut self) {
        while let Some(answer) = self.reorder.pop() {
            match answer {
                Answer::Data { client_sequence, parts } => {
                    self.early_bytes -= bytes_of(&parts);
                    let messages = parts.into_iter().map(|part| Ok(renumber(part, self.numbered, client_sequence)));
                    self.out.extend(messages);
                }
                Answer::Failed { client_sequence, error } => {
                    self.out.push_back(if self.numbered {
                        Ok(in_band(client_sequence, error))
                    } else {
                        Err(error.into())
                    });
                    self.finished = true;
                    return;
                }
            }
        }
    }
}

fn bytes_of(parts: &Parts) -> usize {
    parts.iter().map(|part| part.data_header.len() + part.data_body.len()).sum()
}

/// As the client numbers it; plain clients get no metadata.
fn renumber(mut part: FlightData, numbered: bool, sequence: u64) -> FlightData {
    part.flight_descriptor = None;
    part.app_metadata = if numbered {
        let result = BatchResult::decode(std::mem::take(&mut part.app_metadata)).unwrap_or_default();
        BatchResult { sequence, ..result }.encode_to_vec().into()
    } else {
        bytes::Bytes::new()
    };
    part
}

fn in_band(sequence: u64, error: Error) -> FlightData {
    let result = BatchResult { sequence, last: true, error: Some(error.into_info()), ..BatchResult::default() };
    FlightData::new().with_app_metadata(result.encode_to_vec())
}
