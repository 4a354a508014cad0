//! One stream of ClickHouse's, kept until the fleet has answered it.

use std::collections::VecDeque;

use arrow_schema::Schema;
use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::limits::STREAM_WINDOW;
use udfleet_proto::v1::ErrorCode;

use crate::frame::{Kind, Message};

/// The refusal of a stream.
pub fn malformed(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::InvalidInput, format!("the ArrowStream on stdin is of no use: {what}"))
}

/// What is known of a stream of ClickHouse's.
pub struct Chunk {
    /// Its schema message.
    pub header: Bytes,
    /// Its columns.
    pub schema: Schema,
    /// Batches that are not answered, and all dictionaries, in the order in which they came.
    kept: VecDeque<Message>,
    unanswered: usize,
    rows_in: u64,
    /// Rows answered.
    pub rows_out: u64,
    /// All of it has come.
    pub ended: bool,
    /// The schema of the answer, once it is written.
    pub answered_with: Option<Bytes>,
}

impl Chunk {
    /// A stream of these columns.
    ///
    /// # Errors
    /// `INVALID_INPUT` for a schema that can't be read.
    pub fn new(header: Bytes) -> Result<Self, Error> {
        let schema = arrow_ipc::convert::try_schema_from_flatbuffer_bytes(&header).map_err(malformed)?;
        Ok(Self {
            header,
            schema,
            kept: VecDeque::new(),
            unanswered: 0,
            rows_in: 0,
            rows_out: 0,
            ended: false,
            answered_with: None,
        })
    }

    /// Whether more of it may be taken: a stream holds so many batches that wait for their answers.
    pub fn has_room(&self) -> bool {
        !self.ended && self.unanswered < STREAM_WINDOW
    }

    /// Whether nothing waits for an answer any more.
    pub fn is_answered(&self) -> bool {
        self.ended && self.unanswered == 0
    }

    /// Whether a batch that was sent has no answer.
    pub fn is_waiting(&self) -> bool {
        self.unanswered > 0
    }

    /// What has to be sent when an exchange begins anew.
    pub fn kept(&self) -> impl Iterator<Item = &Message> {
        self.kept.iter()
    }

    /// Keeps a message that is sent.
    ///
    /// # Errors
    /// `INVALID_INPUT` for a second schema.
    pub fn keep(&mut self, message: Message) -> Result<(), Error> {
        match message.kind {
            Kind::Schema => return Err(malformed("it has two schemas")),
            Kind::Dictionary => {}
            Kind::Batch { rows } => {
                self.unanswered += 1;
                self.rows_in += rows;
            }
        }
        self.kept.push_back(message);
        Ok(())
    }

    /// Forgets the oldest batch.
    ///
    /// # Errors
    /// `INTERNAL` for an answer that was not asked for, or of another number of rows.
    pub fn answered(&mut self, rows: u64) -> Result<(), Error> {
        let oldest = self.kept.iter().position(|message| matches!(message.kind, Kind::Batch { .. }));
        match oldest.and_then(|index| self.kept.remove(index)).map(|message| message.kind) {
            Some(Kind::Batch { rows: asked }) if asked == rows => {
                self.unanswered -= 1;
                self.rows_out += rows;
                Ok(())
            }
            Some(Kind::Batch { rows: asked }) => Err(Error::internal(format!("{rows} results came for {asked} rows"))
                .hint("ClickHouse needs a result for every row: don't register with on_error=\"skip\"")),
            _ => Err(Error::internal("results came for a batch that was not sent")),
        }
    }

    pub fn check_rows(&self, announced: Option<u64>) -> Result<(), Error> {
        match announced {
            Some(rows) if rows != self.rows_in => {
                Err(malformed(format_args!("it has {} rows, and {rows} were announced", self.rows_in)))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field};
    use udfleet_proto::ipc::schema_message;

    use super::*;

    fn chunk() -> Chunk {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        Chunk::new(schema_message(&schema).data_header).unwrap()
    }

    fn message(kind: Kind) -> Message {
        Message { kind, header: Bytes::new(), body: Bytes::new() }
    }

    #[test]
    fn what_is_not_answered_and_dictionaries_are_sent_anew() {
        let mut chunk = chunk();
        let kinds = [Kind::Dictionary, Kind::Batch { rows: 2 }, Kind::Batch { rows: 3 }, Kind::Dictionary];
        kinds.into_iter().for_each(|kind| chunk.keep(message(kind)).unwrap());
        chunk.answered(2).unwrap();
        let kept: Vec<_> = chunk.kept().map(|message| message.kind).collect();
        assert_eq!(kept, [Kind::Dictionary, Kind::Batch { rows: 3 }, Kind::Dictionary]);
        chunk.ended = true;
        assert!(!chunk.is_answered());
        chunk.answered(3).unwrap();
        assert!(chunk.is_answered() && chunk.rows_out == 5);
        assert!(chunk.check_rows(Some(5)).is_ok() && chunk.check_rows(None).is_ok());
        assert!(chunk.check_rows(Some(6)).unwrap_err().info().message.contains("5 rows, and 6 were announced"));
    }

    #[test]
    fn rows_that_were_left_out_are_noticed() {
        let mut chunk = chunk();
        assert!(chunk.answered(0).is_err());
        chunk.keep(message(Kind::Batch { rows: 2 })).unwrap();
        assert!(chunk.answered(1).unwrap_err().info().hint.contains("skip"));
    }

    #[test]
    fn few_batches_wait_at_once() {
        let mut chunk = chunk();
        let mut taken = 0;
        while chunk.has_room() {
            chunk.keep(message(Kind::Batch { rows: 1 })).unwrap();
            taken += 1;
        }
        assert_eq!(taken, STREAM_WINDOW);
        chunk.answered(1).unwrap();
        assert!(chunk.has_room());
        assert!(chunk.keep(message(Kind::Schema)).is_err());
    }
}
