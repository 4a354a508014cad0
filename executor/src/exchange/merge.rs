//! Merges small calls of one function that have to wait for an interpreter into one call.
//!
//! Engines send a few hundred rows at a time, over many connections at once: then the round trip to the interpreter costs
//! more than the rows. Only batches that have to wait anyway are merged, so nothing is delayed by it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
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

use super::client_stream::Begun;
use super::target::Target;
use crate::link::{CallFailure, Caller, Credit, Input, Interpreter, Output};

/// The most rows and bytes of a batch that is merged with others.
const SMALL: Size = Size { rows: 2_048, bytes: 256 << 10 };
/// The most rows and bytes of a merged call.
const MOST: Size = Size { rows: 8_192, bytes: 1 << 20 };
/// A call that runs for so long, nanoseconds, gains nothing by being longer: its round trip is short in comparison, its
/// batches would wait for each other while other interpreters may be free, and all would share one timeout.
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
pub(super) struct MergedShare {
    pub(super) output: Output,
    pub(super) at: Interpreter,
    /// When the call was made.
    pub(super) began: Instant,
    /// The call had other batches too.
    pub(super) shared: bool,
    pub(super) begun: Begun,
}

/// The result of a batch that has waited; none if it has to be run alone.
pub(super) type MergeOutcome = Option<Result<MergedShare, CallFailure>>;

/// Notes that a batch is about to run, unless it was refused meanwhile.
type Begin = Box<dyn FnOnce() -> Result<Begun, Error> + Send>;

/// A batch that waits for an interpreter.
struct WaitingBatch {
    size: Size,
    input: Input,
    begin: Begin,
    reply: oneshot::Sender<MergeOutcome>,
}

/// A batch that goes to an interpreter.
#[derive(Debug)]
struct MergedBatch {
    size: Size,
    input: Input,
    begun: Begun,
    reply: oneshot::Sender<MergeOutcome>,
}

impl fmt::Debug for WaitingBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitingBatch").field("size", &self.size).finish_non_exhaustive()
    }
}

impl WaitingBatch {
    /// None if its caller has gone, or was given the batch back.
    fn begin(self) -> Option<MergedBatch> {
        let Self { size, input, begin, reply } = self;
        if reply.is_closed() {
            return None;
        }
        begin().ok().map(|begun| MergedBatch { size, input, begun, reply })
    }
}

/// What merged batches have in common: their schema and on_error.
type MergeKey = (u64, OnError);

/// The batches of one function that wait. A key has an entry while a task sends its batches.
#[derive(Debug, Default)]
pub(super) struct Merger {
    waiting: Mutex<HashMap<MergeKey, VecDeque<WaitingBatch>>>,
    /// What a row took in the latest call; 0 before the first.
    row_ns: AtomicU64,
}

fn merge_key(input: &Input) -> MergeKey {
    (input.schema_id, input.on_error)
}

impl Merger {
    /// Only for deterministic functions that see single rows: if a merged call fails, its batches are run one by one.
    /// Pandas and arrow functions see a batch as a whole.
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

    /// Queues a batch; true if no task sends the batches of its key yet.
    fn push(&self, batch: WaitingBatch) -> bool {
        let mut waiting = self.waiting.lock();
        let key = merge_key(&batch.input);
        let new = !waiting.contains_key(&key);
        waiting.entry(key).or_default().push_back(batch);
        new
    }

    /// The batches at the front that fit one call; none, once, when the queue is empty.
    fn take(&self, key: MergeKey) -> Vec<MergedBatch> {
        let mut waiting = self.waiting.lock();
        let Some(batches) = waiting.get_mut(&key) else { return Vec::new() };
        let (mut taken, mut size, most) = (Vec::new(), Size { rows: 0, bytes: 0 }, self.most());
        while let Some(batch) = batches.pop_front() {
            if !taken.is_empty() && !size.plus(batch.size).within(most) {
                batches.push_front(batch);
                break;
            }
            let Some(member) = batch.begin() else { continue };
            size = size.plus(member.size);
            taken.push(member);
        }
        if taken.is_empty() {
            waiting.remove(&key);
        }
        taken
    }
}

/// True where a batch may go with others.
pub(super) fn is_small(input: &Input, rows: u64) -> bool {
    let whole = matches!(input.on_error, OnError::Unspecified | OnError::Fail | OnError::Column);
    whole && Size { rows, bytes: input.body.len() }.within(SMALL)
}

/// Queues a batch. The receiver gets its share of a call's result, or none: then it has to be run alone. `begin` is called
/// when its call is made.
pub(super) fn join(
    target: &Arc<Target>,
    input: &Input,
    rows: u64,
    begin: impl FnOnce() -> Result<Begun, Error> + Send + 'static,
) -> oneshot::Receiver<MergeOutcome> {
    let (reply, share) = oneshot::channel();
    if let Some(merger) = &target.merger {
        let size = Size { rows, bytes: input.body.len() };
        if merger.push(WaitingBatch { size, input: input.clone(), begin: Box::new(begin), reply }) {
            // A task of its own: the first caller may leave before the others.
            tokio::spawn(send_merged(Arc::clone(target), merge_key(input)));
        }
    }
    share
}

/// Sends the batches of a key as interpreters become free, until none is left.
async fn send_merged(target: Arc<Target>, key: MergeKey) {
    loop {
        let credit = target.pool.acquire(&target.demand).await;
        let Some(members) = target.merger.as_ref().map(|merger| merger.take(key)).filter(|m| !m.is_empty()) else {
            return;
        };
        match credit {
            Ok(credit) => drop(tokio::spawn(call(Arc::clone(&target), credit, members))),
            // Each gets the error when it is run alone.
            Err(_) => members.into_iter().for_each(|member| drop(member.reply.send(None))),
        }
    }
}

async fn call(target: Arc<Target>, mut credit: Credit, mut members: Vec<MergedBatch>) {
    let (began, shared) = (Instant::now(), members.len() > 1);
    let called = match merged(&members) {
        Ok(input) => {
            // It is cancelled only when all of its callers have gone.
            let gone = join_all(members.iter_mut().map(|member| member.reply.closed())).map(drop);
            credit.invoke(&input, Caller { gone, holds: 0 }).await
        }
        Err(error) => Err(CallFailure::answered(error)),
    };
    let outputs = match called {
        Ok(output) => split(&target.results, output, &members),
        // A failure of a single batch is its own.
        Err(failure) if !shared => {
            if let Some(member) = members.into_iter().next() {
                let _ = member.reply.send(Some(Err(failure)));
            }
            return;
        }
        Err(_) => None,
    };
    let at = || credit.interpreter().clone();
    let mut outputs = outputs.into_iter().flatten();
    for MergedBatch { begun, reply, .. } in members {
        let share = outputs.next().map(|output| Ok(MergedShare { output, at: at(), began, shared, begun }));
        // A caller that has gone needs none.
        let _ = reply.send(share);
    }
}

/// The rows of all batches, in their order, as one call. It fails with any of its rows: these are reported, each with its
/// position in its own batch, when the batches are run one by one.
fn merged(members: &[MergedBatch]) -> Result<Input, Error> {
    let first = match members {
        [one] => return Ok(one.input.clone()),
        [first, ..] => &first.input,
        [] => return Ok(Input::default()),
    };
    // A malformed batch gets its error from the interpreter, when it is run alone.
    let message = guarded(|| {
        let schema = Arc::new(try_schema_from_flatbuffer_bytes(&first.schema)?);
        let read = |member: &MergedBatch| ipc::decode(&schema, &member.input.header, member.input.body.clone());
        let batches = members.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        ipc::encode(&concat_batches(&schema, &batches)?)
    })?;
    let (header, body) = (message.data_header, message.data_body);
    Ok(Input { header, body, on_error: OnError::Fail, ..first.clone() })
}

/// Each batch's share of the result; `None` if it can't be split.
fn split(results: &SchemaRef, output: Output, members: &[MergedBatch]) -> Option<Vec<Output>> {
    if let [_] = members {
        return Some(vec![output]);
    }
    let total: u64 = members.iter().map(|member| member.size.rows).sum();
    if output.rest.is_some() || output.done.rows != total {
        return None;
    }
    let batch = ipc::decode(results, &output.header, output.body).ok()?;
    let mut start = 0;
    let part = |member: &MergedBatch| {
        let rows = member.size.rows;
        let message = ipc::encode(&batch.slice(start, rows as usize)).ok()?;
        start += rows as usize;
        let (header, body) = (message.data_header, message.data_body);
        Some(Output { header, body, done: share(&output.done, rows, total), rest: None })
    };
    members.iter().map(part).collect()
}

/// Its share of the times of the call.
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

    use udfleet_proto::v1::ExchangeRequest;

    use super::*;
    use crate::exchange::client_stream::ClientStream;

    fn batch(values: std::ops::Range<i64>) -> RecordBatch {
        let fields = vec![Field::new("a", DataType::Int64, true), Field::new("s", DataType::Utf8, true)];
        let texts: StringArray = values.clone().map(|v| (v % 3 != 0).then(|| format!("text {v}"))).collect();
        let columns: Vec<Arc<dyn arrow_array::Array>> = vec![Arc::new(values.collect::<Int64Array>()), Arc::new(texts)];
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }

    fn waiting(values: std::ops::Range<i64>, schema_id: u64) -> (WaitingBatch, oneshot::Receiver<MergeOutcome>) {
        of_stream(&ClientStream::of(&ExchangeRequest::default()), values, schema_id)
    }

    /// The first batch of a stream.
    fn of_stream(
        stream: &Arc<ClientStream>,
        values: std::ops::Range<i64>,
        schema_id: u64,
    ) -> (WaitingBatch, oneshot::Receiver<MergeOutcome>) {
        let (reply, share) = oneshot::channel();
        let stream = Arc::clone(stream);
        let batch = batch(values);
        let message = ipc::encode(&batch).unwrap();
        let (header, body) = (message.data_header, message.data_body);
        let size = Size { rows: batch.num_rows() as u64, bytes: body.len() };
        let schema = ipc::schema_message(&batch.schema()).data_header;
        let input = Input { schema_id, schema, header, body, ..Input::default() };
        (WaitingBatch { size, input, begin: Box::new(move || stream.begin(1)), reply }, share)
    }

    fn member(values: std::ops::Range<i64>) -> MergedBatch {
        let (batch, _share) = waiting(values, 1);
        batch.begin().unwrap()
    }

    #[test]
    fn batches_are_taken_in_order_within_bounds_and_end_once() {
        let (merger, fail) = (Merger::default(), OnError::Unspecified);
        let mut shares = Vec::new();
        let mut push = |values, schema_id| {
            let (batch, share) = waiting(values, schema_id);
            shares.push(share);
            merger.push(batch)
        };
        assert!(push(0..2000, 1) && !push(0..2000, 1) && push(0..5, 2), "each schema has its own queue");
        (0..3).for_each(|_| assert!(!push(0..2000, 1)));
        drop(shares.remove(1));
        assert_eq!(merger.take((1, fail)).len(), 4, "one has gone away, and 8,000 rows are enough");
        assert!(merger.take((1, fail)).is_empty());
        let (batch, _share) = waiting(0..1, 1);
        assert!(merger.push(batch), "the queue has ended: a new task has to send it");
        assert!(merger.take((1, OnError::Column)).is_empty());
        assert_eq!(merger.take((2, fail)).len(), 1);
    }

    #[test]
    fn a_batch_that_was_given_back_is_in_no_call() {
        let merger = Merger::default();
        let streams = [(); 2].map(|()| ClientStream::of(&ExchangeRequest::default()));
        let (batches, mut shares): (Vec<_>, Vec<_>) = streams.iter().map(|stream| of_stream(stream, 0..5, 1)).unzip();
        batches.into_iter().for_each(|batch| _ = merger.push(batch));
        assert!(streams[0].give_back(1));
        let taken = merger.take((1, OnError::Unspecified));
        assert_eq!(taken.len(), 1);
        assert!(shares[0].try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed));
        assert!(!streams[1].give_back(1), "its call is under way");
    }

    #[test]
    fn what_runs_long_is_not_made_longer() {
        let merger = Merger::default();
        let took = |rows, run_ns| merger.answered(&Done { rows, run_ns, ..Done::default() });
        let taken = |rows: i64| {
            let (members, _shares): (Vec<_>, Vec<_>) = (0..10).map(|_| waiting(0..rows, 1)).unzip();
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
            let member = member(0..2);
            MergedBatch { input: Input { on_error: OnError::Column, ..member.input }, ..member }
        };
        let members: Vec<MergedBatch> = (0..2).map(asks).collect();
        assert_eq!(merged(&members[..1]).unwrap().on_error, OnError::Column);
        assert_eq!(merged(&members).unwrap().on_error, OnError::Fail);
    }

    #[test]
    fn what_is_merged_is_split_again() {
        let ranges = [0..10, 10..10, 10..300, 300..301];
        let members: Vec<MergedBatch> = ranges.iter().map(|range| member(range.clone())).collect();
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
