//! StopIteration and other exceptions that loops interpret: wherever user code raises one, it is the user's error
//! of that row, and the interpreter goes on.

use udfleet_proto::types::simple;
use udfleet_proto::v1::aggregation::Phase;
use udfleet_proto::v1::{
    AggregateCall, Aggregation, DataType, ErrorCode, FunctionDefinition, FunctionKind, OnError, TypeRoot,
};

use crate::support::{
    Plan, Runner, bigint, bytes, call, decode, definition, field, input, longs, scalar, schema, some, table,
};

const MODULE: &str = r#"
import asyncio
from udfleet import AggregateFunction, ScalarFunction

KINDS = [StopIteration, GeneratorExit, KeyboardInterrupt, SystemExit, StopAsyncIteration, asyncio.CancelledError]

def check(a):
    if a >= 100:
        raise KINDS[a - 100]("no")
    return a

def plain(a):
    return check(a)

async def waits(a):
    await asyncio.sleep(0)
    return check(a)

async def starts_a_task(a):
    await asyncio.gather(asyncio.ensure_future(waits(a)), waits(1))
    return a

def generates(a):
    yield check(a)

def lists(a):
    return [check(a)]

class Aggregate(AggregateFunction):
    def create_accumulator(self):
        return [0]
    def accumulate(self, acc, value):
        acc[0] += check(value)
    def merge(self, acc, others):
        check(103)
    def get_value(self, acc):
        return acc[0]

class Value(Aggregate):
    def accumulate(self, acc, value):
        acc[0] = value
    def get_value(self, acc):
        return check(acc[0])

class Created(Aggregate):
    def create_accumulator(self):
        check(100)

class Gauged(ScalarFunction):
    def open(self, context):
        context.get_metric_group().gauge("g", lambda: check(103))
        context.get_metric_group().counter("c").inc()
    def eval(self, a):
        return a
    def close(self):
        check(103)
"#;

/// One past the last: StopIteration, GeneratorExit, KeyboardInterrupt, SystemExit, StopAsyncIteration, CancelledError.
const KINDS: std::ops::Range<i64> = 100..106;

fn rows_with(kind: i64) -> Vec<Option<i64>> {
    some([1, 2, kind])
}

#[tokio::test(flavor = "multi_thread")]
async fn scalar_functions_fail_with_their_row() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, scalar("plain", &[bigint()], bigint())).await;
    let waits = |name| FunctionDefinition { asynchronous: true, ..scalar(name, &[bigint()], bigint()) };
    runner.load(2, waits("waits")).await;
    let timed = FunctionDefinition {
        config: [("udfleet.async.timeout".to_owned(), "60 s".to_owned())].into(),
        ..waits("waits")
    };
    runner.load(3, timed).await;
    for number in 1..=3 {
        for kind in KINDS {
            for on_error in [OnError::Fail, OnError::Skip, OnError::Null] {
                let mut batch = input(number, &[&rows_with(kind)]);
                batch.on_error = on_error;
                match runner.call(batch).await {
                    Err(failure) => {
                        let row = failure.error.info().row;
                        assert_eq!((failure.error.code(), row), (ErrorCode::UserCode, Some(2)), "{number} {kind}");
                    }
                    Ok(output) => {
                        assert_ne!(on_error, OnError::Fail, "{number} {kind}");
                        let result = decode(&output, &schema(&[field("result", &bigint())]));
                        assert_eq!(longs(&result, 0)[..2], some([1, 2]), "{number} {kind}");
                        assert_eq!(result.num_rows(), if on_error == OnError::Skip { 2 } else { 3 });
                    }
                }
            }
        }
    }
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_in_a_task_leaves_nothing_behind() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, FunctionDefinition { asynchronous: true, ..scalar("starts_a_task", &[bigint()], bigint()) }).await;
    let failure = runner.call(input(1, &[&some([1, 103, 2])])).await.unwrap_err();
    assert_eq!(failure.error.code(), ErrorCode::UserCode);
    let output = runner.call(input(1, &[&some([1, 2])])).await.unwrap();
    assert_eq!(longs(&decode(&output, &schema(&[field("result", &bigint())])), 0), some([1, 2]));
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn table_functions_fail_with_their_row() {
    let runner = Runner::start(MODULE).await;
    let int = DataType { not_null: true, ..simple(TypeRoot::Int) };
    let columns = schema(&[field("row", &int), field("result", &bigint())]);
    for (number, name) in [(1, "generates"), (2, "lists")] {
        runner.load(number, table(name, &[bigint()], bigint())).await;
        for kind in KINDS {
            let failure = runner.parts(input(number, &[&rows_with(kind)]), &columns).await.expect_err(name);
            let row = failure.error.info().row;
            assert_eq!((failure.error.code(), row), (ErrorCode::UserCode, Some(2)), "{name} {kind}");
        }
    }
    runner.interpreter.kill();
}

fn sum(number: u32, phase: Phase, inputs: &[DataType]) -> Plan {
    let mut plan = Plan::new(100 + number + 10 * phase as u32, inputs, &[number]);
    let aggregate = AggregateCall { call: Some(call(0, &[0])), ..AggregateCall::default() };
    plan.aggregation("sum(c0)", Aggregation { keys: vec![], aggregates: vec![aggregate], phase: phase as i32 }, 1);
    plan
}

#[tokio::test(flavor = "multi_thread")]
async fn aggregates_fail_with_their_row() {
    let runner = Runner::start(MODULE).await;
    for (number, name) in [(1, "Aggregate"), (2, "Value"), (3, "Created")] {
        runner.load(number, definition(name, FunctionKind::Aggregate, &[bigint()], bigint())).await;
    }
    let mut plan = sum(1, Phase::Complete, &[bigint()]);
    let sums = plan.results(&[(0, bigint())]);
    for (session, kind) in (1..).zip(KINDS) {
        let mut batch = plan.input(&[&rows_with(kind)]);
        batch.session = session;
        let failure = runner.call(batch).await.unwrap_err();
        assert_eq!((failure.error.code(), failure.error.info().row), (ErrorCode::UserCode, Some(2)), "{kind}");
    }
    // The last row is left out, not the group.
    let mut batch = plan.input(&[&some([1, 100, 2, 100])]);
    (batch.session, batch.on_error) = (90, OnError::Skip);
    let output = runner.call(batch).await.unwrap();
    assert!(output.done.row_errors.is_some());
    assert_eq!(longs(&runner.parts(plan.end(90), &sums).await.unwrap()[0], 0), some([3]));
    let mut plan = sum(2, Phase::Complete, &[bigint()]);
    let values = plan.results(&[(0, bigint())]);
    let mut batch = plan.input(&[&some([100])]);
    batch.session = 91;
    runner.call(batch).await.unwrap();
    let failure = runner.parts(plan.end(91), &values).await.unwrap_err();
    assert_eq!(failure.error.code(), ErrorCode::UserCode, "get_value: {}", failure.error);
    let mut plan = sum(3, Phase::Complete, &[bigint()]);
    plan.results(&[(0, bigint())]);
    let mut batch = plan.input(&[&some([1])]);
    batch.session = 92;
    let failure = runner.call(batch).await.unwrap_err();
    assert_eq!(failure.error.code(), ErrorCode::UserCode, "create_accumulator: {}", failure.error);
    let mut plan = sum(1, Phase::Merge, &[bytes()]);
    plan.results(&[(0, bigint())]);
    let pickled = arrow_array::BinaryArray::from_vec(vec![b"]q\x00K\x01a."]);
    let mut batch = plan.input_of(vec![std::sync::Arc::new(pickled)]);
    batch.session = 93;
    let failure = runner.call(batch).await.unwrap_err();
    assert_eq!(failure.error.code(), ErrorCode::UserCode, "merge: {}", failure.error);
    assert!(runner.interpreter.alive());
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn gauges_and_close_fail_no_call_and_end_nothing() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, scalar("Gauged", &[bigint()], bigint())).await;
    runner.load(2, scalar("plain", &[bigint()], bigint())).await;
    let output = runner.call(input(1, &[&some([1])])).await.unwrap();
    assert!(output.done.metrics.is_some(), "the counter is told all the same");
    runner.interpreter.unload(1).await.unwrap();
    runner.call(input(2, &[&some([1])])).await.unwrap();
    let told = async {
        while !runner.logs.after(0, usize::MAX, usize::MAX).iter().any(|line| line.text.starts_with("SystemExit")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), told)
        .await
        .expect("the traceback of close() is in the log");
    runner.interpreter.kill();
}
