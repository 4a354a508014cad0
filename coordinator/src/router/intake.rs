//! What comes in: batches of the client, or what the stage before has made of them.

use arrow_flight::FlightData;
use prost::Message as _;
use udfleet_proto::error::Error;
use udfleet_proto::v1::{BatchHeader, BatchResult, ErrorCode};

use super::dictionary::Dictionaries;
use super::exchange::Exchange;
use super::input::Input;
use super::message::{self, Kind};
use super::output::Answer;
use super::pending::Tag;

impl Exchange {
    fn invalid(&self, what: &str) -> Error {
        Error::new(ErrorCode::InvalidInput, what.to_owned()).function(self.work.function())
    }

    /// Takes one message.
    ///
    /// # Errors
    /// When the client's stream is malformed.
    pub(super) fn take_in(&mut self, data: FlightData) -> Result<(), Error> {
        let kind = message::kind(&data)?;
        if let Some(Input::Stage(before)) = &self.input {
            self.results_of_before = before.number_of_results();
        }
        if self.schema.is_none() && matches!(kind, Kind::Batch | Kind::Dictionary { .. }) {
            return Err(self.invalid("the stream's first data message is no schema"));
        }
        let FlightData { data_header, data_body, app_metadata, .. } = data;
        let bare = FlightData { data_header, data_body, ..FlightData::default() };
        match kind {
            Kind::Empty if matches!(self.input, Some(Input::Stage(_))) => self.pass_on(&app_metadata),
            Kind::Empty => Ok(()),
            Kind::Schema { .. } if self.schema.is_some() => Err(self.invalid("the stream holds a second schema")),
            Kind::Schema { dictionaries } => {
                self.schema = Some(bare);
                self.dictionaries = dictionaries.then(Dictionaries::default);
                Ok(())
            }
            Kind::Dictionary { id, delta } => match &mut self.dictionaries {
                Some(dictionaries) => dictionaries.record(self.next, id, delta, bare),
                None => Err(self.invalid("the stream holds a dictionary that its schema does not name")),
            },
            Kind::Batch => {
                let tag = self.tag(&app_metadata)?;
                self.client_end = if self.work.behind { tag.sequence } else { tag.sequence + 1 };
                self.batches.accept(self.next, tag, bare);
                self.next += 1;
                self.shared.stats.batch();
                Ok(())
            }
        }
    }

    /// Under which number the results of a gathering, here or in an earlier stage, go to the client.
    fn number_of_results(&self) -> Option<u64> {
        if self.work.gathers { self.tail.map(|_| self.client_end) } else { self.results_of_before }
    }

    /// What a batch is to the client.
    fn tag(&self, metadata: &[u8]) -> Result<Tag, Error> {
        if matches!(self.input, Some(Input::Stage(_))) {
            let result = decode(metadata)?;
            return Ok(Tag { sequence: result.sequence, closes: result.last });
        }
        let sequence = if !metadata.is_empty() {
            let header = BatchHeader::decode(metadata);
            header.map_err(|e| self.invalid(&format!("a batch's app_metadata is no BatchHeader: {e}")))?.sequence
        } else {
            self.next
        };
        Ok(Tag { sequence, closes: true })
    }

    /// The stage before has answered without rows, or has failed: so does this one.
    fn pass_on(&mut self, metadata: &[u8]) -> Result<(), Error> {
        if metadata.is_empty() {
            return Ok(());
        }
        let result = decode(metadata)?;
        let answer = match result.error.clone() {
            Some(info) => {
                self.reject();
                Answer::Failed { sequence: result.sequence, error: info.into() }
            }
            // Groups without results, which are gathered here in turn.
            None if self.work.gathers && self.results_of_before == Some(result.sequence) => {
                self.client_end = result.sequence;
                return Ok(());
            }
            None => {
                if result.last {
                    self.client_end = self.client_end.max(result.sequence + 1);
                }
                Answer::Passed(FlightData::new().with_app_metadata(metadata.to_vec()))
            }
        };
        self.reorder.push(self.next, answer);
        self.next += 1;
        Ok(())
    }
}

fn decode(metadata: &[u8]) -> Result<BatchResult, Error> {
    BatchResult::decode(metadata)
        .map_err(|e| Error::internal(format!("the app_metadata of a stage's answer is no BatchResult: {e}")))
}
