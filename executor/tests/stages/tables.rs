//! Table functions: what is a row, parts of the output, nested calls, generators that are closed early.

use std::time::Duration;

use udfleet_executor::link::Caller;
use udfleet_proto::types::simple;
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{ErrorCode, TypeRoot, step};

use crate::support::{Plan, Runner, bigint, field, input, ints, longs, row, schema, some, string, table, texts};

const MODULE: &str = r#"
from udfleet import Row

def up_to(n):
    for i in range(n):
        yield i

def kinds(n):
    return [None, [1, 2], range(3, 5), (5,), Row(6), {7: 7}, iter([8])][n]

def pairs(n):
    for i in range(n):
        yield i, str(n)

def shapes(n):
    yield Row(n, "row")
    yield [n, "list"]
    yield {"a": n, "b": "dict"}

def endless(n):
    try:
        while True:
            yield n
    finally:
        print("ended", n)

def broken(n):
    yield n
    if n == 3:
        raise KeyError("three")

def bad(n):
    yield n
    if n == 1:
        yield "one"
"#;

fn plain(result: &[(&str, udfleet_proto::v1::DataType)]) -> arrow_schema::SchemaRef {
    let int = udfleet_proto::v1::DataType { not_null: true, ..simple(TypeRoot::Int) };
    let mut fields = vec![field("row", &int)];
    fields.extend(result.iter().map(|(name, given)| field(name, given)));
    schema(&fields)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_call_names_the_row_of_each_result() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, table("up_to", &[bigint()], bigint())).await;
    let parts = runner.parts(input(1, &[&some([2, 0, 3])]), &plain(&[("result", bigint())])).await.unwrap();
    assert_eq!(parts.len(), 1, "what fits in one part comes in one");
    assert_eq!(ints(&parts[0], 0), [Some(0), Some(0), Some(2), Some(2), Some(2)]);
    assert_eq!(longs(&parts[0], 1), some([0, 1, 0, 1, 2]));
    let none = runner.parts(input(1, &[&some([0, 0])]), &plain(&[("result", bigint())])).await.unwrap();
    assert_eq!((none.len(), none[0].num_rows()), (1, 0));
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_result_is_follows_pyflink() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, table("kinds", &[bigint()], bigint())).await;
    let schema = plain(&[("result", bigint())]);
    let parts = runner.parts(input(1, &[&some(0..5)]), &schema).await.unwrap();
    assert_eq!(longs(&parts[0], 1), some(1..=6));
    for (row, class) in [(5, "dict"), (6, "list_iterator")] {
        let failure = runner.parts(input(1, &[&some([row])]), &schema).await.unwrap_err();
        assert_eq!(failure.error.code(), ErrorCode::ResultType);
        assert!(failure.error.info().message.contains(class), "one row with that object: {}", failure.error);
    }
    let pair = row(&[("a", bigint()), ("b", string())]);
    runner.load(2, table("shapes", &[bigint()], pair)).await;
    let parts = runner.parts(input(2, &[&some([4])]), &plain(&[("a", bigint()), ("b", string())])).await.unwrap();
    assert_eq!(longs(&parts[0], 1), some([4, 4, 4]));
    assert_eq!(texts(&parts[0], 2).into_iter().flatten().collect::<Vec<_>>(), ["row", "list", "dict"]);
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_results_come_in_parts_and_leave_the_interpreter_free() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, table("up_to", &[bigint()], bigint())).await;
    let schema = plain(&[("result", bigint())]);
    let first = runner.call(input(1, &[&some([1000, 7])])).await.unwrap();
    assert!(first.done.more);
    assert_eq!(first.done.rows, 100, "as many as the function may see at once");
    let between = runner.parts(input(1, &[&some([2])]), &schema).await.unwrap();
    assert_eq!(longs(&between[0], 1), some([0, 1]));
    let mut rows = crate::support::decode(&first, &schema).num_rows();
    let mut rest = first.rest;
    let mut last = Vec::new();
    while let Some(next) = rest.take() {
        let output = next.next(Caller::patient()).await.unwrap();
        let part = crate::support::decode(&output, &schema);
        assert!(part.num_rows() <= 100);
        rows += part.num_rows();
        last = longs(&part, 1);
        rest = output.rest;
    }
    assert_eq!((rows, last), (1007, some(0..7)));
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_table_functions_stream_and_outer_ones_keep_rows() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, table("up_to", &[bigint()], bigint())).await;
    runner.load(2, table("pairs", &[bigint()], row(&[("i", bigint()), ("n", string())]))).await;
    let mut plan = Plan::new(100, &[bigint()], &[1, 2]);
    let x = plan.unnest("up_to(c0)", 0, &[0], false, 1);
    let m = plan.unnest("pairs(x)", 1, &[x], true, 2);
    let one = plan.long(1);
    let next = plan.compute("m + 1", Operator::Plus, &[m, one], bigint());
    let schema = plan.results(&[(0, bigint()), (x, bigint()), (next, bigint()), (m + 1, string())]);
    let parts = runner.parts(plan.input(&[&some([3, 0, 1])]), &schema).await.unwrap();
    assert_eq!(longs(&parts[0], 0), some([3, 3, 3, 3, 1]));
    assert_eq!(longs(&parts[0], 1), some([0, 1, 2, 2, 0]));
    assert_eq!(longs(&parts[0], 2), [None, Some(1), Some(1), Some(2), None]);
    let names: Vec<_> = texts(&parts[0], 3);
    assert_eq!(names[0], None);
    assert_eq!(names[3].as_deref(), Some("2"));
    // A million rows of one: only as many exist as are asked for.
    let output = runner.call(plan.input(&[&some([1_000_000])])).await.unwrap();
    assert!(output.done.more && output.done.rows == 100);
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_ends_its_generator() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, table("endless", &[bigint()], bigint())).await;
    let output = runner.call(input(1, &[&some([9])])).await.unwrap();
    assert!(output.done.more);
    drop(output);
    let printed = || runner.logs.after(0, usize::MAX, usize::MAX);
    let ended = async {
        while printed().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("the generator's finally block ran");
    assert_eq!(printed()[0].text, "ended 9");
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_midway_name_the_row_of_the_input() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, table("up_to", &[bigint()], bigint())).await;
    runner.load(2, table("broken", &[bigint()], bigint())).await;
    runner.load(3, table("bad", &[bigint()], bigint())).await;
    let schema = plain(&[("result", bigint())]);
    let failure = runner.parts(input(2, &[&some([1, 2, 3])]), &schema).await.unwrap_err();
    let info = failure.error.info();
    assert_eq!((failure.error.code(), info.row, info.function.as_str()), (ErrorCode::UserCode, Some(2), "broken@1"));
    let failure = runner.parts(input(3, &[&some([0, 1])]), &schema).await.unwrap_err();
    assert_eq!((failure.error.code(), failure.error.info().row), (ErrorCode::ResultType, Some(1)));
    assert_eq!(failure.error.info().value, "'one'");
    let mut plan = Plan::new(100, &[bigint()], &[1, 2]);
    let five = plan.long(5);
    let small = plan.compute("c0 < 5", Operator::Less, &[0, five], simple(TypeRoot::Boolean));
    plan.step("c0 < 5", step::Kind::Filter(small), 0);
    let x = plan.unnest("up_to(c0)", 0, &[0], false, 1);
    let y = plan.unnest("broken(x)", 1, &[x], false, 1);
    let schema = plan.results(&[(y, bigint())]);
    let failure = runner.parts(plan.input(&[&some([2, 8, 4])]), &schema).await.unwrap_err();
    let info = failure.error.info();
    assert_eq!((info.row, info.expression.as_str()), (Some(2), "broken(x)"));
    runner.interpreter.kill();
}
