//! Rows that fail without failing their stream.

use std::sync::Arc;

use parking_lot::Mutex;
use udfleet_executor::link::Observer;
use udfleet_proto::types::simple;
use udfleet_proto::v1::{DataType, ErrorCode, FunctionRowErrors, OnError, TypeRoot, UserMetric};

use crate::support::{
    Plan, Runner, bigint, decode, field, input, ints, longs, scalar, schema, some, string, table, texts,
};

const MODULE: &str = r#"
from udfleet import ScalarFunction

def odd(a):
    if a == 6:
        return "six"
    if a % 2 == 0:
        raise ValueError(f"{a} is even")
    return a

def steps(n):
    yield n
    if n == 2:
        raise ValueError("two")
    yield "x" if n == 3 else -n

class Counting(ScalarFunction):
    def open(self, context):
        group = context.get_metric_group().add_group("kind", "tests")
        self.counter = group.counter("calls")
        self.sizes = context.get_metric_group().histogram("sizes")
    def eval(self, a):
        self.counter.inc()
        self.sizes.update(a)
        return a
"#;

#[derive(Clone, Default)]
struct ObservedErrors {
    errors: Arc<Mutex<Vec<FunctionRowErrors>>>,
    metrics: Arc<Mutex<Vec<Vec<UserMetric>>>>,
}

impl Observer for ObservedErrors {
    fn user_metrics(&self, _: &str, metrics: Vec<UserMetric>) {
        self.metrics.lock().push(metrics);
    }

    fn row_errors(&self, _: &str, errors: FunctionRowErrors) {
        self.errors.lock().push(errors);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn null_and_skip_spare_the_good_rows() {
    let runner = Runner::start(MODULE).await;
    let seen = ObservedErrors::default();
    runner.interpreter.observe(Box::new(seen.clone()));
    runner.load(1, scalar("odd", &[bigint()], bigint())).await;
    let result = schema(&[field("result", &bigint())]);
    let batch = |on_error| {
        let mut batch = input(1, &[&some(1..=8)]);
        batch.on_error = on_error;
        batch
    };
    let nulls = decode(&runner.call(batch(OnError::Null)).await.unwrap(), &result);
    assert_eq!(longs(&nulls, 0), [Some(1), None, Some(3), None, Some(5), None, Some(7), None]);
    let skipped = decode(&runner.call(batch(OnError::Skip)).await.unwrap(), &result);
    assert_eq!(longs(&skipped, 0), some([1, 3, 5, 7]));
    let failed = runner.call(batch(OnError::Fail)).await.unwrap_err();
    assert_eq!(failed.error.info().row, Some(1));
    let errors = seen.errors.lock();
    assert_eq!(errors.len(), 2);
    let of = &errors[0];
    assert_eq!((of.function, of.count, of.first.len()), (1, 4, 4));
    let codes: Vec<_> = of.first.iter().map(|info| (info.code(), info.row)).collect();
    let (raised, misfit) = (ErrorCode::UserCode, ErrorCode::ResultType);
    assert_eq!(codes, [(raised, Some(1)), (raised, Some(3)), (misfit, Some(5)), (raised, Some(7))]);
    assert_eq!(of.first[0].function, "odd@1");
    assert_eq!(of.first[0].exception.as_ref().unwrap().message, "2 is even");
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_get_a_message_for_each_row_that_failed() {
    let runner = Runner::start(MODULE).await;
    // Nulls, whatever was declared.
    let never_null = DataType { not_null: true, ..bigint() };
    runner.load_spec(1, scalar("odd", &[bigint()], never_null), 3).await;
    let batch = |values| {
        let mut batch = input(1, &[&some(values)]);
        batch.on_error = OnError::Column;
        batch
    };
    let good = runner.call(batch(vec![1, 3])).await.unwrap();
    assert!(!good.done.errors_column);
    assert_eq!(longs(&decode(&good, &schema(&[field("result", &bigint())])), 0), some([1, 3]));
    let failed = runner.call(batch((1..=8).collect())).await.unwrap();
    assert!(failed.done.errors_column);
    let failed = decode(&failed, &schema(&[field("result", &bigint()), field("error", &string())]));
    assert_eq!(longs(&failed, 0), [Some(1), None, Some(3), None, Some(5), None, Some(7), None]);
    let told = texts(&failed, 1);
    for (row, expected) in [(1, "2 is even"), (3, "4 is even"), (5, "six"), (7, "8 is even")] {
        assert!(told[row].as_ref().unwrap().contains(expected), "{told:?}");
        assert_eq!(told[row - 1], None);
    }
    let nullable = DataType { not_null: false, ..bigint() };
    let mut silent = scalar("odd", &[bigint()], nullable);
    silent.on_error = OnError::Null as i32;
    runner.load(2, silent).await;
    let mut batch = input(2, &[&some([1, 2])]);
    batch.on_error = OnError::Column;
    assert!(!runner.call(batch).await.unwrap().done.errors_column, "null was asked for when it was registered");
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn skipped_rows_leave_all_registers() {
    let runner = Runner::start(MODULE).await;
    let mut definition = scalar("odd", &[bigint()], bigint());
    definition.on_error = OnError::Skip as i32;
    runner.load(1, definition).await;
    let mut plan = Plan::new(100, &[bigint(), bigint()], &[1]);
    let odd = plan.invoke("odd(c0)", 0, &[0]);
    let schema = plan.results(&[(1, bigint()), (odd, bigint())]);
    let batch = decode(&runner.call(plan.input(&[&some(1..=4), &some(11..=14)])).await.unwrap(), &schema);
    assert_eq!((longs(&batch, 0), longs(&batch, 1)), (some([11, 13]), some([1, 3])));
    let mut strict = plan.input(&[&some(1..=4), &some(11..=14)]);
    strict.on_error = OnError::Fail;
    assert_eq!(runner.call(strict).await.unwrap_err().error.info().row, Some(1));
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn null_needs_a_result_that_may_be_null() {
    let runner = Runner::start(MODULE).await;
    let never_null = DataType { not_null: true, ..bigint() };
    runner.load(1, scalar("odd", &[bigint()], never_null)).await;
    let mut batch = input(1, &[&some([1])]);
    batch.on_error = OnError::Null;
    assert_eq!(runner.call(batch).await.unwrap_err().error.code(), ErrorCode::InvalidInput);
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn table_functions_lose_the_whole_row() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, table("steps", &[bigint()], bigint())).await;
    let int = DataType { not_null: true, ..simple(TypeRoot::Int) };
    let result = schema(&[field("row", &int), field("result", &bigint())]);
    for (on_error, rows, values) in [
        (OnError::Skip, vec![0, 0, 3, 3], vec![Some(1), Some(-1), Some(4), Some(-4)]),
        (OnError::Null, vec![0, 0, 1, 2, 3, 3], vec![Some(1), Some(-1), None, None, Some(4), Some(-4)]),
    ] {
        let mut batch = input(1, &[&some([1, 2, 3, 4])]);
        batch.on_error = on_error;
        let parts = runner.parts(batch, &result).await.unwrap();
        assert_eq!(ints(&parts[0], 0), rows.into_iter().map(Some).collect::<Vec<_>>());
        assert_eq!(longs(&parts[0], 1), values);
    }
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_that_changed_come_with_the_answer() {
    let runner = Runner::start(MODULE).await;
    let seen = ObservedErrors::default();
    runner.interpreter.observe(Box::new(seen.clone()));
    runner.load(1, scalar("Counting", &[bigint()], bigint())).await;
    runner.call(input(1, &[&some([3, 4])])).await.unwrap();
    runner.call(input(1, &[&some([5])])).await.unwrap();
    let metrics = seen.metrics.lock();
    assert_eq!(metrics.len(), 2);
    let newest = &metrics[1];
    let counter = newest.iter().find(|metric| metric.name == "calls").unwrap();
    assert_eq!((counter.count, counter.groups[0].name.as_str()), (3, "kind"));
    assert_eq!(counter.groups[0].value, "tests");
    let sizes = newest.iter().find(|metric| metric.name == "sizes").unwrap();
    assert_eq!((sizes.count, sizes.sum, sizes.max), (3, 12.0, 5.0));
    assert_eq!(sizes.positive_count.iter().sum::<u64>(), 3);
    runner.interpreter.kill();
}
