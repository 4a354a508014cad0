//! User code that forks: children end by themselves, and the interpreter goes on as if they were not there.

use std::collections::BTreeMap;
use std::time::Duration;

use udfleet_proto::v1::aggregation::Phase;
use udfleet_proto::v1::{AggregateCall, Aggregation, FuncType, FunctionDefinition, FunctionKind, OnError};

use crate::support::{
    Plan, Runner, bigint, call, decode, definition, field, input, longs, scalar, schema, some, table,
};

const MODULE: &str = r#"
import asyncio, multiprocessing, os, subprocess, sys
from udfleet import AggregateFunction, ScalarFunction

def note():
    with open("calls", "a") as file:
        file.write("x")

def status(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def leaves(a):
    note()
    pid = os.fork()
    if pid == 0:
        sys.exit(a)
    return status(pid)

def returns(a):
    note()
    pid = os.fork()
    return a if pid == 0 else status(pid)

def raises(a):
    note()
    pid = os.fork()
    if pid == 0:
        raise ValueError("in the child")
    return status(pid)

def unwaited(a):
    if os.fork() == 0:
        sys.exit(0)
    return a

async def waits(a):
    note()
    pid = os.fork()
    if pid == 0:
        return a
    await asyncio.sleep(0)
    return status(pid)

def rows(a):
    note()
    pid = os.fork()
    if pid == 0:
        yield a
        return
    yield status(pid)

class Sum(AggregateFunction):
    def create_accumulator(self):
        return [0]
    def accumulate(self, acc, value):
        note()
        pid = os.fork()
        acc[0] += value if pid == 0 else status(pid)
    def get_value(self, acc):
        return acc[0]

def nothing():
    note()
    pid = os.fork()
    return 7 if pid == 0 else status(pid)

def leaves_rows(a):
    note()
    pid = os.fork()
    if pid == 0:
        sys.exit(a)
    yield status(pid)

async def fails_once(a):
    note()
    pid = os.fork()
    if pid == 0:
        raise ValueError("in the child")
    return status(pid)

class Opens(ScalarFunction):
    def open(self, context):
        note()
        pid = os.fork()
        if pid:
            self.status = status(pid)
    def eval(self, a):
        note()
        return self.status
    def close(self):
        note()
        pid = os.fork()
        if pid:
            status(pid)

def square(a):
    return a * a

def pooled(a):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return sum(pool.map(square, range(a)))

def started(a):
    return subprocess.run(["true"], preexec_fn=os.setsid).returncode

def calls(a):
    return len(open("calls").read())

def plain(a):
    return a + 1
"#;

async fn scalar_of(runner: &Runner, number: u32, values: &[i64]) -> Vec<i64> {
    let result = schema(&[field("result", &bigint())]);
    let output = runner.call(input(number, &[&some(values.iter().copied())])).await.unwrap();
    longs(&decode(&output, &result), 0).into_iter().flatten().collect()
}

async fn load(runner: &Runner, number: u32, name: &str) {
    runner.load(number, scalar(name, &[bigint()], bigint())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_end_with_the_status_of_a_script_and_run_no_other_row() {
    let runner = Runner::start(MODULE).await;
    for (number, name, expected) in
        [(1, "leaves", vec![5, 6, 7]), (2, "returns", vec![0; 3]), (3, "raises", vec![1; 3])]
    {
        load(&runner, number, name).await;
        assert_eq!(scalar_of(&runner, number, &[5, 6, 7]).await, expected, "{name}");
    }
    runner.load(4, FunctionDefinition { asynchronous: true, ..scalar("waits", &[bigint()], bigint()) }).await;
    assert_eq!(scalar_of(&runner, 4, &[5, 6]).await, [0, 0]);
    runner.load(5, table("rows", &[bigint()], bigint())).await;
    let int = udfleet_proto::v1::DataType {
        not_null: true,
        ..udfleet_proto::types::simple(udfleet_proto::v1::TypeRoot::Int)
    };
    let columns = schema(&[field("row", &int), field("result", &bigint())]);
    let parts = runner.parts(input(5, &[&some([5, 6])]), &columns).await.unwrap();
    assert_eq!(longs(&parts[0], 1), some([0, 0]));
    runner.load(6, definition("Sum", FunctionKind::Aggregate, &[bigint()], bigint())).await;
    let mut plan = Plan::new(100, &[bigint()], &[6]);
    let sum = AggregateCall { call: Some(call(0, &[0])), ..AggregateCall::default() };
    plan.aggregation("sum(c0)", Aggregation { keys: vec![], aggregates: vec![sum], phase: Phase::Complete as i32 }, 1);
    let sums = plan.results(&[(0, bigint())]);
    let mut batch = plan.input(&[&some([5, 6])]);
    batch.session = 5;
    runner.call(batch).await.unwrap();
    assert_eq!(longs(&runner.parts(plan.end(5), &sums).await.unwrap()[0], 0), some([0]));
    load(&runner, 7, "calls").await;
    assert_eq!(scalar_of(&runner, 7, &[0]).await, [3 + 3 + 3 + 2 + 2 + 2], "each row was called for once");
    runner.interpreter.kill();
}

/// How often user code has run.
async fn calls(runner: &Runner) -> i64 {
    load(runner, 99, "calls").await;
    scalar_of(runner, 99, &[0]).await[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn children_run_no_other_row_where_nothing_counts_the_rows() {
    let runner = Runner::start(MODULE).await;
    for asynchronous in [false, true] {
        let before = if asynchronous { calls(&runner).await } else { 0 };
        let number = 1 + u32::from(asynchronous);
        runner.load(number, FunctionDefinition { asynchronous, ..scalar("nothing", &[], bigint()) }).await;
        let mut plan = Plan::new(100 + number, &[bigint()], &[number]);
        let result = plan.invoke("nothing()", 0, &[]);
        let results = plan.results(&[(result, bigint())]);
        let output = runner.call(plan.input(&[&some([1, 2, 3])])).await.unwrap();
        assert_eq!(longs(&decode(&output, &results), 0), some([0; 3]));
        assert_eq!(calls(&runner).await - before, 3);
    }
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn children_go_on_neither_with_other_pieces_of_a_batch_nor_with_another_try() {
    let runner = Runner::start(MODULE).await;
    for (number, on_error) in [(1, OnError::Unspecified), (2, OnError::Null)] {
        runner.load_spec(number, scalar("returns", &[bigint()], bigint()), 1).await;
        let result = schema(&[field("result", &bigint())]);
        let asked = udfleet_executor::link::Input { on_error, ..input(number, &[&some([5, 6, 7])]) };
        let output = runner.call(asked).await.unwrap();
        assert_eq!(longs(&decode(&output, &result), 0), some([0; 3]));
        assert_eq!(calls(&runner).await, 3 * i64::from(number));
    }
    let config = BTreeMap::from([("udfleet.async.retries".to_owned(), "3".to_owned())]);
    let retried = scalar("fails_once", &[bigint()], bigint());
    runner.load(3, FunctionDefinition { asynchronous: true, config, ..retried }).await;
    assert_eq!(scalar_of(&runner, 3, &[5, 6]).await, [1, 1]);
    assert_eq!(calls(&runner).await, 6 + 2);
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn children_of_generators_exit_as_they_say() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, table("leaves_rows", &[bigint()], bigint())).await;
    let int = udfleet_proto::v1::DataType {
        not_null: true,
        ..udfleet_proto::types::simple(udfleet_proto::v1::TypeRoot::Int)
    };
    let columns = schema(&[field("row", &int), field("result", &bigint())]);
    let parts = runner.parts(input(1, &[&some([5, 6])]), &columns).await.unwrap();
    assert_eq!(longs(&parts[0], 1), some([5, 6]));
    assert_eq!(calls(&runner).await, 2);
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn children_of_open_and_close_do_neither_open_nor_close_anything_else() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, scalar("Opens", &[bigint()], bigint())).await;
    runner.load(2, scalar("Opens", &[bigint()], bigint())).await;
    assert_eq!(scalar_of(&runner, 1, &[5]).await, [0]);
    assert_eq!(calls(&runner).await, 2 + 1);
    let noted = runner.path("calls");
    runner.interpreter.shutdown(Duration::from_secs(20)).await;
    assert_eq!(std::fs::read_to_string(noted).unwrap().len(), 3 + 2, "each was closed once");
}

#[tokio::test(flavor = "multi_thread")]
async fn children_that_nobody_waits_for_leave_the_link_alone() {
    let runner = Runner::start(MODULE).await;
    load(&runner, 1, "unwaited").await;
    load(&runner, 2, "plain").await;
    for _ in 0..20 {
        assert_eq!(scalar_of(&runner, 1, &[1, 2, 3]).await, [1, 2, 3]);
        assert_eq!(scalar_of(&runner, 2, &[1]).await, [2]);
    }
    assert!(runner.interpreter.alive());
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_of_processes_and_programs_work() {
    let runner = Runner::start(MODULE).await;
    load(&runner, 1, "pooled").await;
    load(&runner, 2, "started").await;
    assert_eq!(scalar_of(&runner, 1, &[4, 5]).await, [14, 30]);
    assert_eq!(scalar_of(&runner, 2, &[4, 5]).await, [0, 0]);
    let general = FunctionDefinition { func_type: FuncType::General as i32, ..scalar("plain", &[bigint()], bigint()) };
    runner.load(3, general).await;
    assert_eq!(scalar_of(&runner, 3, &[1]).await, [2]);
    runner.interpreter.kill();
}
