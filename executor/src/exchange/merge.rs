//! Small calls of one function that have to wait for an interpreter go there together, as one call.
//!
//! Engines send a few hundred rows at a time, over many connections at once: then the way to the interpreter and back
//! costs more than the rows. Only what has to wait anyway is merged, so nothing is delayed by it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arrow_ipc::convert::try_schema_from_flatbuffer_bytes;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use futures::FutureExt as _;
use futures::future::join_all;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use udfleet_proto::error::Error;
use udfleet_proto::frame::guarded;
use udfleet_proto::ipc;
use udfleet_proto::v1::{Done, FuncType, FunctionDefinition, FunctionKind, OnError};

use super::target::Target;
use crate::link::{CallFailure, Caller, Credit, Input, Interpreter, Output};

/// The most rows and bytes of a batch that is merged with others.
const SMALL: Size = Size { rows: 2_048, bytes: 256 << 10 };
/// The most rows and bytes of a merged call.
const MOST: Size = Size { rows: 8_192, bytes: 1 << 20 };
/// A call that runs for so long, nanoseconds, wins nothing by being longer: the way there and back is short beside it,
/// its batches would wait for each other where other interpreters may be free, and all would share one timeout.
const LONG_NS: u64 = 10_000_000;

#[derive(Debug, Clone, Copy)]
struct Size {
    rows: u64,
    bytes: usize,
}

impl Size {
    fn within(self, bound: Self) -> bool {
        self.rows <= bound.rows && self.bytes <= bound.bytes
    }

    fn plus(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, bytes: self.bytes + other.bytes }
    }
}

/// A batch's share of a merged call.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) output: Output,
    pub(super) at: Interpreter,
    /// When the call was made.
    pub(super) began: Instant,
    /// It was made for others too.
    pub(super) shared: bool,
}

/// What comes of a batch that has waited; nothing where it has to be run alone.
pub(super) type Outcome = Option<Result<Share, CallFailure>>;

/// A batch that waits, and who waits for it.
#[derive(Debug)]
struct Member {
    size: Size,
    input: Input,
    give: oneshot::Sender<Outcome>,
}

/// What batches that go together agree in: their schema, and how their rows may fail.
type Line = (u64, OnError);

/// The batches of one function that wait. A line has an entry as long as somebody sees to it.
#[derive(Debug, Default)]
pub(super) struct Merger {
    waiting: Mutex<HashMap<Line, VecDeque<Member>>>,
    /// What a row took in the latest call; 0 before the first.
    row_ns: AtomicU64,
}

fn line(input: &Input) -> Line {
    (input.schema_id, input.on_error)
}

impl Merger {
    /// For functions whose rows know nothing of each other, and that may be called again: where a merged call fails,
    /// its batches are run one by one. Pandas and arrow functions see a batch as a whole.
    pub(super) fn of(definition: &FunctionDefinition) -> Option<Self> {
        let whole_rows = definition.kind() == FunctionKind::Scalar && definition.func_type() == FuncType::General;
        let fails = matches!(definition.on_error(), OnError::Unspecified | OnError::Fail);
        (whole_rows && fails && !definition.asynchronous && definition.deterministic).then(Self::default)
    }

    /// Notes how long a call has taken.
    pub(super) fn answered(&self, done: &Done) {
        if let Some(row_ns) = (done.convert_ns + done.run_ns).checked_div(done.rows) {
            self.row_ns.store(row_ns, Ordering::Relaxed);
        }
    }

    fn most(&self) -> Size {
        let rows = LONG_NS / self.row_ns.load(Ordering::Relaxed).max(1);
        Size { rows: MOST.rows.min(rows), ..MOST }
    }

    /// Puts a batch in line; true where nobody sees to its line yet.
    fn push(&self, member: Member) -> bool {
        let mut waiting = self.waiting.lock();
        let line = line(&member.input);
        let new = !waiting.contains_key(&line);
        waiting.entry(line).or_default().push_back(member);
        new
    }

    /// Those from the front of the line that go together; none, once, where the line has ended.
    fn take(&self, line: Line) -> Vec<Member> {
        let mut waiting = self.waiting.lock();
        let Some(members) = waiting.get_mut(&line) else { return Vec::new() };
        let (mut taken, mut size, most) = (Vec::new(), Size { rows: 0, bytes: 0 }, self.most());
        while let Some(member) = members.pop_front() {
            if member.give.is_closed() {
                continue;
            }
            if !taken.is_empty() && !size.plus(member.size).within(most) {
                members.push_front(member);
                break;
            }
            size = size.plus(member.size);
            taken.push(member);
        }
        if taken.is_empty() {
            waiting.remove(&line);
        }
        taken
    }
}

/// True where a batch may go with others.
pub(super) fn is_small(input: &Input, rows: u64) -> bool {
    let whole = matches!(input.on_error, OnError::Unspecified | OnError::Fail | OnError::Column);
    whole && Size { rows, bytes: input.body.len() }.within(SMALL)
}

/// Puts a batch in line. What comes is its share of a call's result, or nothing: then it is to be run alone.
pub(super) fn join(target: &Arc<Target>, input: &Input, rows: u64) -> oneshot::Receiver<Outcome> {
    let (give, share) = oneshot::channel();
    if let Some(merger) = &target.merger {
        let size = Size { rows, bytes: input.body.len() };
        if merger.push(Member { size, input: input.clone(), give }) {
            // A task of its own: whoever came first may leave before the others.
            tokio::spawn(see_to(Arc::clone(target), line(input)));
        }
    }
    share
}

/// Sends the batches of a line as interpreters become free, until none is left.
async fn see_to(target: Arc<Target>, line: Line) {
    loop {
        let credit = target.pool.acquire(&target.demand).await;
        let Some(members) = target.merger.as_ref().map(|merger| merger.take(line)).filter(|m| !m.is_empty()) else {
            return;
        };
        match credit {
            Ok(credit) => drop(tokio::spawn(call(Arc::clone(&target), credit, members))),
            // Each hears the reason when it asks by itself.
            Err(_) => members.into_iter().for_each(|member| drop(member.give.send(None))),
        }
    }
}

async fn call(target: Arc<Target>, mut credit: Credit, mut members: Vec<Member>) {
    let (began, shared) = (Instant::now(), members.len() > 1);
    let called = match merged(&members) {
        Ok(input) => {
            // It is ended only where all of them have gone.
            let gone = join_all(members.iter_mut().map(|member| member.give.closed())).map(drop);
            credit.invoke(&input, Caller { gone, holds: 0 }).await
        }
        Err(error) => Err(CallFailure::answered(error)),
    };
    let outputs = match called {
        Ok(output) => split(&target.results, output, &members),
        // Whose failure it is is known.
        Err(failure) if !shared => {
            if let Some(member) = members.into_iter().next() {
                let _ = member.give.send(Some(Err(failure)));
            }
            return;
        }
        Err(_) => None,
    };
    let at = || credit.interpreter().clone();
    let mut outputs = outputs.into_iter().flatten();
    for member in members {
        let share = outputs.next().map(|output| Ok(Share { output, at: at(), began, shared }));
        // One that has gone away needs none.
        let _ = member.give.send(share);
    }
}

/// The rows of all members, in their order, as one call. It fails with any of its rows: they are counted, each with its
/// place in its own batch, when the batches run one by one.
fn merged(members: &[Member]) -> Result<Input, Error> {
    let first = match members {
        [one] => return Ok(one.input.clone()),
        [first, ..] => &first.input,
        [] => return Ok(Input::default()),
    };
    // What the reader trips over gets its error from the interpreter, when its batch is run alone.
    let message = guarded(|| {
        let schema = Arc::new(try_schema_from_flatbuffer_bytes(&first.schema)?);
        let read = |member: &Member| ipc::decode(&schema, &member.input.header, member.input.body.clone());
        let batches = members.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        ipc::encode(&concat_batches(&schema, &batches)?)
    })?;
    let (header, body) = (message.data_header, message.data_body);
    Ok(Input { header, body, on_error: OnError::Fail, ..first.clone() })
}

/// Each member's part of the result; `None` where it can't be told apart.
fn split(results: &SchemaRef, output: Output, members: &[Member]) -> Option<Vec<Output>> {
    if let [_] = members {
        return Some(vec![output]);
    }
    let total: u64 = members.iter().map(|member| member.size.rows).sum();
    if output.rest.is_some() || output.done.rows != total {
        return None;
    }
    let batch = ipc::decode(results, &output.header, output.body).ok()?;
    let mut start = 0;
    let part = |member: &Member| {
        let rows = member.size.rows;
        let message = ipc::encode(&batch.slice(start, rows as usize)).ok()?;
        start += rows as usize;
        let (header, body) = (message.data_header, message.data_body);
        Some(Output { header, body, done: share(&output.done, rows, total), rest: None })
    };
    members.iter().map(part).collect()
}

/// Its part of what the call took.
fn share(done: &Done, rows: u64, total: u64) -> Done {
    let part = |ns: u64| (u128::from(ns) * u128::from(rows) / u128::from(total.max(1))) as u64;
    Done {
        rows,
        convert_ns: part(done.convert_ns),
        run_ns: part(done.run_ns),
        cpu_ns: part(done.cpu_ns),
        ..Done::default()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, RecordBatch, StringArray};
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    fn batch(values: std::ops::Range<i64>) -> RecordBatch {
        let fields = vec![Field::new("a", DataType::Int64, true), Field::new("s", DataType::Utf8, true)];
        let texts: StringArray = values.clone().map(|v| (v % 3 != 0).then(|| format!("text {v}"))).collect();
        let columns: Vec<Arc<dyn arrow_array::Array>> = vec![Arc::new(values.collect::<Int64Array>()), Arc::new(texts)];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    fn member(values: std::ops::Range<i64>, schema_id: u64) -> (Member, oneshot::Receiver<Outcome>) {
        let (give, share) = oneshot::channel();
        let batch = batch(values);
        let message = ipc::encode(&batch).unwrap();
        let (header, body) = (message.data_header, message.data_body);
        let size = Size { rows: batch.num_rows() as u64, bytes: body.len() };
        let schema = ipc::schema_message(&batch.schema()).data_header;
        (Member { size, input: Input { schema_id, schema, header, body, ..Input::default() }, give }, share)
    }

    #[test]
    fn lines_are_taken_in_order_within_bounds_and_end_once() {
        let (merger, fail) = (Merger::default(), OnError::Unspecified);
        let mut shares = Vec::new();
        let mut push = |values, schema_id| {
            let (member, share) = member(values, schema_id);
            shares.push(share);
            merger.push(member)
        };
        assert!(push(0..2000, 1) && !push(0..2000, 1) && push(0..5, 2), "each schema is a line");
        (0..3).for_each(|_| assert!(!push(0..2000, 1)));
        drop(shares.remove(1));
        assert_eq!(merger.take((1, fail)).len(), 4, "one has gone away, and 8,000 rows are enough");
        assert!(merger.take((1, fail)).is_empty());
        let (member, _share) = member(0..1, 1);
        assert!(merger.push(member), "the line has ended: somebody has to see to it anew");
        assert!(merger.take((1, OnError::Column)).is_empty());
        assert_eq!(merger.take((2, fail)).len(), 1);
    }

    #[test]
    fn what_runs_long_is_not_made_longer() {
        let merger = Merger::default();
        let took = |rows, run_ns| merger.answered(&Done { rows, run_ns, ..Done::default() });
        let taken = |rows: i64| {
            let (members, _shares): (Vec<_>, Vec<_>) = (0..10).map(|_| member(0..rows, 1)).unzip();
            let began: Vec<_> = members.into_iter().map(|member| merger.push(member)).collect();
            assert_eq!(began.iter().filter(|began| **began).count(), 1);
            std::iter::from_fn(|| Some(merger.take((1, OnError::Unspecified)).len()).filter(|count| *count > 0))
                .collect::<Vec<_>>()
        };
        assert_eq!(taken(256), [10], "nothing is known yet");
        took(256, 256 * 10_000);
        assert_eq!(taken(256), [3, 3, 3, 1], "1,000 rows take 10 ms");
        took(256, 256 * LONG_NS);
        assert_eq!(taken(256), [1; 10]);
        took(0, 5);
        assert_eq!(taken(2), [1; 10], "a call without rows says nothing of them");
        took(8_000, 8_000);
        assert_eq!(taken(256), [10]);
    }

    #[test]
    fn failing_rows_are_told_of_by_their_own_batches() {
        let asks = |_| {
            let member = member(0..2, 1).0;
            Member { input: Input { on_error: OnError::Column, ..member.input }, ..member }
        };
        let members: Vec<Member> = (0..2).map(asks).collect();
        assert_eq!(merged(&members[..1]).unwrap().on_error, OnError::Column);
        assert_eq!(merged(&members).unwrap().on_error, OnError::Fail);
    }

    #[test]
    fn what_is_merged_is_split_again() {
        let ranges = [0..10, 10..10, 10..300, 300..301];
        let members: Vec<Member> = ranges.iter().map(|range| member(range.clone(), 1).0).collect();
        let input = merged(&members).unwrap();
        let schema = batch(0..1).schema();
        assert_eq!(ipc::decode(&schema, &input.header, input.body.clone()).unwrap(), batch(0..301));
        let done = Done { rows: 301, run_ns: 3010, ..Done::default() };
        let output =
            || Output { header: input.header.clone(), body: input.body.clone(), done: done.clone(), rest: None };
        let parts = split(&schema, output(), &members).unwrap();
        for (range, part) in ranges.into_iter().zip(&parts) {
            assert_eq!(ipc::decode(&schema, &part.header, part.body.clone()).unwrap(), batch(range.clone()));
            let rows = (range.end - range.start) as u64;
            assert_eq!((part.done.rows, part.done.run_ns), (rows, 10 * rows));
        }
        let short = Output { done: Done { rows: 300, ..done.clone() }, ..output() };
        assert!(split(&schema, short, &members).is_none());
    }
}
