//! Results of several parts: fetched no faster than the client reads.

use arrow_schema::{ArrowError, SchemaRef};
use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::ipc;

use super::batch::{BatchRun, InterpreterOutput, ResultPart};
use super::queue::{Reader, Writer, queue};
use crate::link::{CallFailure, Interpreter, Rest};

/// Parts of a batch that are fetched ahead of the reader. With the parts' usual 4 MiB and the 8 batches of a stream this
/// bounds what a slow reader holds.
const AHEAD: usize = 2;

/// The parts of a result, as they are received.
pub(super) type PartReader = Reader<Result<ResultPart, Error>>;

/// Fetches the rest of a result after its first part.
pub(super) fn fetch(run: BatchRun, first: ResultPart, rest: Rest, at: Interpreter) -> PartReader {
    let rows = RowCounts { received: first.rows, delivered: first.rows };
    let (writer, parts) = queue(Ok(first), AHEAD);
    tokio::spawn(PartFetcher { run, rows, parts: writer }.run(rest, at));
    parts
}

/// Counts rows of the result.
#[derive(Debug, Clone, Copy)]
struct RowCounts {
    /// Received in this attempt.
    received: u64,
    /// Delivered to the client.
    delivered: u64,
}

/// The rows of a part that the client does not have yet.
#[derive(Debug, PartialEq, Eq)]
enum NewRows {
    /// None: an earlier attempt delivered them.
    None,
    /// All but the first rows.
    After(u64),
}

impl RowCounts {
    fn take(&mut self, rows: u64, last: bool) -> NewRows {
        let start = self.received;
        self.received += rows;
        if self.received <= self.delivered && !last {
            return NewRows::None;
        }
        let known = (self.delivered - start.min(self.delivered)).min(rows);
        self.delivered = self.delivered.max(self.received);
        NewRows::After(known)
    }
}

struct PartFetcher {
    run: BatchRun,
    rows: RowCounts,
    parts: Writer<Result<ResultPart, Error>>,
}

impl PartFetcher {
    async fn run(mut self, rest: Rest, at: Interpreter) {
        let mut left = Some((rest, at));
        while let Some((rest, at)) = left.take() {
            // No room: the client reads slowly, and no interpreter is held. No reader: dropping the rest cancels it.
            if !self.parts.room().await {
                return;
            }
            let received = match self.run.next(rest, &at).await {
                Ok(received) => Ok(received),
                Err(failure) => self.start_over(failure).await,
            };
            let given = received.and_then(|mut received| {
                left = received.output.rest.take().map(|rest| (rest, received.at.clone()));
                self.part(received, left.is_none())
            });
            match given {
                Ok(None) => {}
                Ok(Some(part)) => self.parts.push(Ok(part)),
                // Nobody receives it.
                Err(_) if self.run.ended.is_cancelled() => return,
                Err(error) => return self.parts.push(Err(self.run.failed(error))),
            }
        }
        self.run.done();
    }

    /// The interpreter that kept the rest is lost. Starts over if rows that were delivered will be the same again.
    async fn start_over(&mut self, failure: CallFailure) -> Result<InterpreterOutput, Error> {
        if self.run.input.session != 0 {
            return Err(failure.error);
        }
        let again = self.run.call.target.deterministic || failure.retryable() && self.parts.take_back();
        if !again {
            return Err(failure.error);
        }
        if !self.run.call.target.deterministic {
            self.rows.delivered = 0;
        }
        self.run.may_retry(failure)?;
        self.rows.received = 0;
        self.run.begin().await
    }

    /// The rows of a part that were not delivered yet.
    fn part(&mut self, received: InterpreterOutput, last: bool) -> Result<Option<ResultPart>, Error> {
        let (header, body, rows) = (received.output.header, received.output.body, received.output.done.rows);
        let known = match self.rows.take(rows, last) {
            NewRows::None => return Ok(None),
            NewRows::After(known) => known,
        };
        let timing = received.timing;
        let part = |(header, body)| ResultPart { header, body, rows: rows - known, timing, last, errors_column: false };
        if known == 0 {
            return Ok(Some(part((header, body))));
        }
        without_first_rows(&self.run.call.target.results, &header, body, known).map(|bytes| Some(part(bytes)))
    }
}

/// A batch without its first rows.
fn without_first_rows(schema: &SchemaRef, header: &Bytes, body: Bytes, rows: u64) -> Result<(Bytes, Bytes), Error> {
    let bad = |error: ArrowError| Error::internal(format!("a part can't be cut: {error}"));
    let batch = ipc::decode(schema, header, body).map_err(bad)?;
    let rows = usize::try_from(rows).unwrap_or(usize::MAX).min(batch.num_rows());
    let rest = ipc::encode(&batch.slice(rows, batch.num_rows() - rows)).map_err(bad)?;
    Ok((rest.data_header, rest.data_body))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Array, Int64Array, RecordBatch, StringArray};
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    /// What the client gets of runs that end after so many parts.
    fn given(runs: &[&[u64]]) -> Vec<(u64, u64)> {
        let mut rows = RowCounts { received: 0, delivered: 0 };
        let mut given = Vec::new();
        for (run, parts) in runs.iter().enumerate() {
            rows.received = 0;
            for (index, part) in parts.iter().enumerate() {
                let last = run + 1 == runs.len() && index + 1 == parts.len();
                if let NewRows::After(known) = rows.take(*part, last) {
                    given.push((known, part - known));
                }
            }
        }
        given
    }

    #[test]
    fn a_run_that_starts_over_gives_each_row_once() {
        assert_eq!(given(&[&[10, 10, 5]]), [(0, 10), (0, 10), (0, 5)]);
        assert_eq!(given(&[&[10, 10], &[10, 10, 5]]), [(0, 10), (0, 10), (0, 5)]);
        assert_eq!(given(&[&[10, 10], &[7, 7, 7, 4]]), [(0, 10), (0, 10), (6, 1), (0, 4)], "cut elsewhere");
        assert_eq!(given(&[&[10, 10], &[10, 10]]), [(0, 10), (0, 10), (10, 0)], "the last part says that it is");
        assert_eq!(given(&[&[3, 0, 0]]), [(0, 3), (0, 0)], "an empty part in between tells nothing");
    }

    #[test]
    fn parts_are_cut_by_rows() {
        let fields = vec![Field::new("row", DataType::Int64, false), Field::new("word", DataType::Utf8, true)];
        let schema = Arc::new(Schema::new(fields));
        let words = StringArray::from(vec![Some("a"), None, Some("c"), Some("d")]);
        let columns: Vec<Arc<dyn Array>> = vec![Arc::new(Int64Array::from(vec![0, 1, 2, 3])), Arc::new(words)];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let message = ipc::encode(&batch).unwrap();
        for rows in 0..=4 {
            let (header, body) =
                without_first_rows(&schema, &message.data_header, message.data_body.clone(), rows).unwrap();
            let cut = ipc::decode(&schema, &header, body).unwrap();
            assert_eq!(cut, batch.slice(rows as usize, 4 - rows as usize));
        }
    }
}
