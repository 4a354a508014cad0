//! Input of a stream: batches of the client, or of the stage before.

use arrow_flight::FlightData;
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::ipc::schema_message;
use udfleet_proto::v1::{BatchHeader, BatchResult, ErrorCode};

use super::batches::Label;
use super::dictionary::Dictionaries;
use super::message::{self, Kind};
use super::{ExchangeSpec, Source};

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum InputState {
    #[default]
    Open,
    Ended,
    /// The stream has failed: what still comes is not looked at.
    Rejected,
}

/// What one message of the client is.
pub(super) enum Arrival {
    Nothing,
    Schema {
        dictionaries: bool,
    },
    Batch {
        position: u64,
        label: Label,
        message: FlightData,
    },
    /// The stage before has answered a batch without rows: so does this one.
    WithoutRows {
        position: u64,
        message: FlightData,
    },
    /// The stage before has failed.
    Failure {
        position: u64,
        sequence: u64,
        error: Error,
    },
}

/// See the module.
#[derive(Default)]
pub(super) struct ClientInput {
    state: InputState,
    schema: Option<FlightData>,
    /// Present where the schema has dictionaries.
    dictionaries: Option<Dictionaries>,
    next_position: u64,
    /// What the client would number its next batch.
    end_sequence: u64,
    /// The position of the end of the input, where it is answered as a batch is.
    end_position: Option<u64>,
    /// The sequence under which an aggregation of a stage before gives its results.
    earlier_results: Option<u64>,
}

impl ClientInput {
    /// Takes one message.
    ///
    /// # Errors
    /// When the client's stream is malformed.
    pub fn read(
        &mut self,
        spec: &ExchangeSpec,
        data: FlightData,
        results_sequence: Option<u64>,
    ) -> Result<Arrival, Error> {
        let kind = message::kind(&data)?;
        self.earlier_results = results_sequence.or(self.earlier_results);
        if self.schema.is_none() && matches!(kind, Kind::Batch | Kind::Dictionary { .. }) {
            return Err(invalid(spec, "the stream's first data message is no schema"));
        }
        let FlightData { data_header, data_body, app_metadata, .. } = data;
        let bare = FlightData { data_header, data_body, ..FlightData::default() };
        match kind {
            Kind::Empty => match spec.source {
                Source::Stage if !app_metadata.is_empty() => self.without_rows(spec, &app_metadata),
                Source::Stage | Source::Client => Ok(Arrival::Nothing),
            },
            Kind::Schema { .. } if self.schema.is_some() => Err(invalid(spec, "the stream holds a second schema")),
            Kind::Schema { dictionaries } => {
                self.schema = Some(bare);
                self.dictionaries = dictionaries.then(Dictionaries::default);
                Ok(Arrival::Schema { dictionaries })
            }
            Kind::Dictionary { id, delta } => match &mut self.dictionaries {
                Some(dictionaries) => {
                    dictionaries.record(self.next_position, id, delta, bare).map(|()| Arrival::Nothing)
                }
                None => Err(invalid(spec, "the stream holds a dictionary that its schema does not name")),
            },
            Kind::Batch => {
                let label = self.label(spec, &app_metadata)?;
                self.end_sequence =
                    if spec.after_aggregation { label.sequence } else { label.sequence.saturating_add(1) };
                Ok(Arrival::Batch { position: self.take_position(), label, message: bare })
            }
        }
    }

    /// What a batch is to the client and to executors.
    fn label(&self, spec: &ExchangeSpec, metadata: &[u8]) -> Result<Label, Error> {
        match spec.source {
            Source::Stage => {
                let result = decode(metadata)?;
                // A stage makes any number of batches of one: they are renumbered.
                let identity = BatchHeader { sequence: self.next_position, attempt: 1 };
                Ok(Label { sequence: result.sequence, closes: result.last, identity })
            }
            Source::Client if metadata.is_empty() => {
                let identity = BatchHeader { sequence: self.end_sequence, attempt: 1 };
                Ok(Label { sequence: self.end_sequence, closes: true, identity })
            }
            Source::Client => {
                let header = BatchHeader::decode(metadata)
                    .map_err(|e| invalid(spec, &format!("a batch's app_metadata is no BatchHeader: {e}")))?;
                let identity = BatchHeader { attempt: header.attempt.max(1), ..header };
                Ok(Label { sequence: header.sequence, closes: true, identity })
            }
        }
    }

    fn without_rows(&mut self, spec: &ExchangeSpec, metadata: &[u8]) -> Result<Arrival, Error> {
        let result = decode(metadata)?;
        match result.error.clone() {
            Some(info) => {
                Ok(Arrival::Failure { position: self.take_position(), sequence: result.sequence, error: info.into() })
            }
            // Groups without results, which are aggregated here in turn.
            None if spec.aggregates && self.earlier_results == Some(result.sequence) => {
                self.end_sequence = result.sequence;
                Ok(Arrival::Nothing)
            }
            None => {
                if result.last {
                    self.end_sequence = self.end_sequence.max(result.sequence.saturating_add(1));
                }
                let message = FlightData::new().with_app_metadata(metadata.to_vec());
                Ok(Arrival::WithoutRows { position: self.take_position(), message })
            }
        }
    }

    fn take_position(&mut self) -> u64 {
        self.next_position += 1;
        self.next_position - 1
    }

    /// What has been aggregated comes once the input ends: that is asked for, and answered, as a batch is. Its position,
    /// where it is due now, and what it is to the client.
    pub fn end_marker(&mut self, spec: &ExchangeSpec) -> Option<(u64, Label)> {
        if !spec.aggregates || self.state != InputState::Ended || self.end_position.is_some() {
            return None;
        }
        if self.schema.is_none() {
            let schema = spec.inputs.clone().unwrap_or_else(arrow_schema::Schema::empty);
            self.schema = Some(schema_message(&schema));
        }
        let position = self.take_position();
        self.end_position = Some(position);
        let identity = BatchHeader { sequence: self.end_sequence, attempt: 1 };
        Some((position, Label { sequence: self.end_sequence, closes: true, identity }))
    }

    /// True for the end of the input, or one of them: nothing comes behind it.
    pub fn is_end(&self, position: u64) -> bool {
        self.end_position.is_some_and(|end| position >= end)
    }

    /// Under which sequence the results of an aggregation, here or in an earlier stage, go to the client.
    pub fn results_sequence(&self, spec: &ExchangeSpec) -> Option<u64> {
        if spec.aggregates { self.end_position.map(|_| self.end_sequence) } else { self.earlier_results }
    }

    /// The position of the next batch.
    pub fn next_position(&self) -> u64 {
        self.next_position
    }

    /// What the client would number its next batch.
    pub fn end_sequence(&self) -> u64 {
        self.end_sequence
    }

    /// Positions below are taken.
    pub fn reach(&mut self, position: u64) {
        self.next_position = self.next_position.max(position);
    }

    pub fn end(&mut self) {
        if self.state == InputState::Open {
            self.state = InputState::Ended;
        }
    }

    /// Nothing that still comes in is looked at.
    pub fn reject(&mut self) {
        self.state = InputState::Rejected;
    }

    pub fn is_open(&self) -> bool {
        self.state == InputState::Open
    }

    pub fn is_rejected(&self) -> bool {
        self.state == InputState::Rejected
    }

    pub fn schema(&self) -> Option<&FlightData> {
        self.schema.as_ref()
    }

    pub fn dictionaries(&self) -> Option<&Dictionaries> {
        self.dictionaries.as_ref()
    }

    /// Everything before `position` has been answered.
    pub fn answered_before(&mut self, position: u64) {
        if let Some(dictionaries) = &mut self.dictionaries {
            dictionaries.settle(position);
        }
    }
}

fn invalid(spec: &ExchangeSpec, what: &str) -> Error {
    Error::new(ErrorCode::InvalidInput, what.to_owned()).function(spec.function.as_str())
}

fn decode(metadata: &[u8]) -> Result<BatchResult, Error> {
    BatchResult::decode(metadata)
        .map_err(|e| Error::internal(format!("the app_metadata of a stage's answer is no BatchResult: {e}")))
}
