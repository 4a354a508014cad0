//! Results of several parts: fetched no faster than the client reads.

use arrow_schema::{ArrowError, SchemaRef};
use bytes::Bytes;
use udfleet_proto::error::Error;
use udfleet_proto::ipc;

use super::batch::{Came, Part, Run};
use super::queue::{Reader, Writer, queue};
use crate::link::{CallFailure, Interpreter, Rest};

/// Parts of a batch that wait for the client to read them. With the parts' usual 4 MiB and the 8 batches of a stream this
/// bounds what a slow reader holds.
const AHEAD: usize = 2;

/// The parts of a result, each as it comes.
pub(super) type Parts = Reader<Result<Part, Error>>;

/// Fetches a result of which the first part has come.
pub(super) fn fetch(run: Run, first: Part, rest: Rest, at: Interpreter) -> Parts {
    let rows = Rows { come: first.rows, given: first.rows };
    let (writer, parts) = queue(Ok(first), AHEAD);
    tokio::spawn(Fetch { run, rows, parts: writer }.work(rest, at));
    parts
}

/// Rows of the result.
#[derive(Debug, Clone, Copy)]
struct Rows {
    /// That this run has brought.
    come: u64,
    /// That have been given to the client.
    given: u64,
}

/// What of a part is new to the client.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// Nothing: another run has brought it before.
    None,
    /// All but the first rows.
    Behind(u64),
}

impl Rows {
    fn take(&mut self, rows: u64, last: bool) -> News {
        let start = self.come;
        self.come += rows;
        if self.come <= self.given && !last {
            return News::None;
        }
        let known = (self.given - start.min(self.given)).min(rows);
        self.given = self.given.max(self.come);
        News::Behind(known)
    }
}

struct Fetch {
    run: Run,
    rows: Rows,
    parts: Writer<Result<Part, Error>>,
}

impl Fetch {
    async fn work(mut self, rest: Rest, at: Interpreter) {
        let mut left = Some((rest, at));
        while let Some((rest, at)) = left.take() {
            // No room: the client reads slowly, and no interpreter is held. Nobody there: dropping the rest gives it up.
            if !self.parts.room().await {
                return;
            }
            let came = match self.run.next(rest, &at).await {
                Ok(came) => Ok(came),
                Err(failure) => self.start_over(failure).await,
            };
            let given = came.and_then(|mut came| {
                left = came.output.rest.take().map(|rest| (rest, came.at.clone()));
                self.part(came, left.is_none())
            });
            match given {
                Ok(None) => {}
                Ok(Some(part)) => self.parts.push(Ok(part)),
                // Nobody hears it.
                Err(_) if self.run.ended.is_cancelled() => return,
                Err(error) => return self.parts.push(Err(self.run.failed(error))),
            }
        }
        self.run.done();
    }

    /// The interpreter that had the rest is gone. Rows that the client has been given must come again, or it is the end.
    async fn start_over(&mut self, failure: CallFailure) -> Result<Came, Error> {
        if self.run.input.session != 0 {
            return Err(failure.error);
        }
        let again = self.run.call.target.deterministic || failure.retryable() && self.parts.take_back();
        if !again {
            return Err(failure.error);
        }
        if !self.run.call.target.deterministic {
            self.rows.given = 0;
        }
        self.run.may_retry(failure)?;
        self.rows.come = 0;
        self.run.begin().await
    }

    /// What of it the client has not been given.
    fn part(&mut self, came: Came, last: bool) -> Result<Option<Part>, Error> {
        let (header, body, rows) = (came.output.header, came.output.body, came.output.done.rows);
        let known = match self.rows.take(rows, last) {
            News::None => return Ok(None),
            News::Behind(known) => known,
        };
        let timing = came.timing;
        let part = |(header, body)| Part { header, body, rows: rows - known, timing, last, errors_column: false };
        if known == 0 {
            return Ok(Some(part((header, body))));
        }
        behind(&self.run.call.target.results, &header, body, known).map(|bytes| Some(part(bytes)))
    }
}

/// A batch without its first rows.
fn behind(schema: &SchemaRef, header: &Bytes, body: Bytes, rows: u64) -> Result<(Bytes, Bytes), Error> {
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
        let mut rows = Rows { come: 0, given: 0 };
        let mut given = Vec::new();
        for (run, parts) in runs.iter().enumerate() {
            rows.come = 0;
            for (index, part) in parts.iter().enumerate() {
                let last = run + 1 == runs.len() && index + 1 == parts.len();
                if let News::Behind(known) = rows.take(*part, last) {
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
            let (header, body) = behind(&schema, &message.data_header, message.data_body.clone(), rows).unwrap();
            let cut = ipc::decode(&schema, &header, body).unwrap();
            assert_eq!(cut, batch.slice(rows as usize, 4 - rows as usize));
        }
    }
}
