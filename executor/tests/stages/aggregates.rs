//! Groups: keys, accumulators, DISTINCT and FILTER, partial aggregates, table aggregates.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray};
use udfleet_proto::types::simple;
use udfleet_proto::v1::aggregation::Phase;
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{self, AggregateCall, Aggregation, DataType, ErrorCode, FunctionKind, TypeRoot, step};

use crate::support::{
    Plan, Runner, bigint, bytes, call, definition, field, input, longs, row, schema, some, string, texts,
};

const MODULE: &str = r#"
from udfleet import AggregateFunction, TableAggregateFunction

class Sum(AggregateFunction):
    def create_accumulator(self):
        return [0]
    def accumulate(self, acc, value):
        if value == 13:
            raise ValueError("thirteen")
        if value is not None:
            acc[0] += value
    def merge(self, acc, others):
        for other in others:
            acc[0] += other[0]
    def get_value(self, acc):
        return acc[0]

class Count(Sum):
    def accumulate(self, acc, value):
        acc[0] += 1

class Top2(TableAggregateFunction):
    def create_accumulator(self):
        return []
    def accumulate(self, acc, value):
        acc.append(value)
    def emit_value(self, acc):
        for rank, value in enumerate(sorted(acc, reverse=True)[:2]):
            yield rank, value
"#;

fn aggregate(name: &str, result: DataType) -> v1::FunctionDefinition {
    definition(name, FunctionKind::Aggregate, &[bigint()], result)
}

fn aggregation(keys: &[u32], aggregates: Vec<AggregateCall>, phase: Phase) -> Aggregation {
    Aggregation { keys: keys.to_vec(), aggregates, phase: phase as i32 }
}

fn of(slot: u32, argument: u32) -> AggregateCall {
    AggregateCall { call: Some(call(slot, &[argument])), ..AggregateCall::default() }
}

fn words(values: &[Option<&str>], numbers: &[i64]) -> Vec<ArrayRef> {
    vec![Arc::new(StringArray::from(values.to_vec())), Arc::new(Int64Array::from(numbers.to_vec()))]
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_collect_rows_of_all_batches_until_the_end() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, aggregate("Sum", bigint())).await;
    let mut plan = Plan::new(100, &[string(), bigint()], &[1]);
    plan.aggregation("sum(c1)", aggregation(&[0], vec![of(0, 1)], Phase::Complete), 2);
    let ten = plan.long(10);
    let large = plan.compute("s > 10", Operator::Greater, &[1, ten], simple(TypeRoot::Boolean));
    plan.step("s > 10", step::Kind::Filter(large), 0);
    let schema = plan.results(&[(0, string()), (1, bigint())]);
    let mut first = plan.input_of(words(&[Some("a"), Some("b"), None], &[1, 2, 30]));
    first.session = 5;
    let ack = runner.call(first).await.unwrap();
    assert_eq!((ack.done.rows, ack.header.len(), ack.done.runs[0].rows), (0, 0, 3));
    let mut second = plan.input_of(words(&[Some("a"), None], &[20, 40]));
    second.session = 5;
    runner.call(second).await.unwrap();
    let mut other = plan.input_of(words(&[Some("a")], &[1000]));
    other.session = 6;
    runner.call(other).await.unwrap();
    let parts = runner.parts(plan.end(5), &schema).await.unwrap();
    assert_eq!(texts(&parts[0], 0), [Some("a".to_owned()), None]);
    assert_eq!(longs(&parts[0], 1), some([21, 70]));
    let parts = runner.parts(plan.end(6), &schema).await.unwrap();
    assert_eq!(longs(&parts[0], 1), some([1000]));
    let empty = runner.parts(plan.end(7), &schema).await.unwrap();
    assert_eq!(empty[0].num_rows(), 0);
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_there_is_one_row_even_of_nothing() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, aggregate("Sum", bigint())).await;
    let result = schema(&[field("result", &bigint())]);
    let mut batch = input(1, &[&some([1, 2, 3])]);
    batch.session = 1;
    runner.call(batch).await.unwrap();
    let end = |session| udfleet_executor::link::Input {
        function: 1,
        session,
        end: true,
        timeout_ms: 20_000,
        ..Default::default()
    };
    assert_eq!(longs(&runner.parts(end(1), &result).await.unwrap()[0], 0), some([6]));
    assert_eq!(longs(&runner.parts(end(2), &result).await.unwrap()[0], 0), some([0]));
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn distinct_and_filter_choose_rows_per_aggregate() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, aggregate("Sum", bigint())).await;
    let mut plan = Plan::new(100, &[bigint(), bigint()], &[1]);
    let two = plan.long(2);
    let large = plan.compute("c1 > 2", Operator::Greater, &[1, two], simple(TypeRoot::Boolean));
    let distinct = AggregateCall { distinct: true, ..of(0, 1) };
    let filtered = AggregateCall { filter: large + 1, ..of(0, 1) };
    plan.aggregation("sums", aggregation(&[0], vec![of(0, 1), distinct, filtered], Phase::Complete), 4);
    let schema = plan.results(&[(0, bigint()), (1, bigint()), (2, bigint()), (3, bigint())]);
    for _ in 0..2 {
        let mut batch = plan.input(&[&some([1, 1, 2, 1]), &some([2, 2, 2, 5])]);
        batch.session = 9;
        runner.call(batch).await.unwrap();
    }
    let parts = runner.parts(plan.end(9), &schema).await.unwrap();
    let columns: Vec<_> = (0..4).map(|column| longs(&parts[0], column)).collect();
    assert_eq!(columns, [some([1, 2]), some([18, 4]), some([7, 2]), some([10, 0])]);
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_aggregates_are_merged() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, aggregate("Sum", bigint())).await;
    let mut partial = Plan::new(100, &[bigint(), bigint()], &[1]);
    partial.aggregation("sum(c1)", aggregation(&[0], vec![of(0, 1)], Phase::Partial), 2);
    let accumulators = partial.results(&[(0, bigint()), (1, bytes())]);
    let mut merge = Plan::new(101, &[bigint(), bytes()], &[1]);
    merge.aggregation("sum(c1)", aggregation(&[0], vec![of(0, 1)], Phase::Merge), 2);
    let result = merge.results(&[(0, bigint()), (1, bigint())]);
    for numbers in [[1, 2, 3], [4, 5, 6]] {
        let parts = runner.parts(partial.input(&[&some([7, 8, 7]), &some(numbers)]), &accumulators).await.unwrap();
        assert_eq!(longs(&parts[0], 0), some([7, 8]));
        let mut batch = merge.input_of(parts[0].columns().to_vec());
        batch.session = 3;
        runner.call(batch).await.unwrap();
    }
    let nothing = runner.parts(partial.input(&[&[], &[]]), &accumulators).await.unwrap();
    assert_eq!(nothing[0].num_rows(), 0);
    let parts = runner.parts(merge.end(3), &result).await.unwrap();
    assert_eq!((longs(&parts[0], 0), longs(&parts[0], 1)), (some([7, 8]), some([14, 7])));
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn table_aggregates_emit_rows_in_parts() {
    let runner = Runner::start(MODULE).await;
    let result = row(&[("rank", bigint()), ("value", bigint())]);
    runner.load(1, definition("Top2", FunctionKind::TableAggregate, &[bigint()], result)).await;
    let mut plan = Plan::new(100, &[bigint(), bigint()], &[1]);
    plan.aggregation("top2(c1)", aggregation(&[0], vec![of(0, 1)], Phase::Complete), 3);
    let schema = plan.results(&[(0, bigint()), (1, bigint()), (2, bigint())]);
    let keys = some((0..120).flat_map(|key| [key; 3]));
    let values = some((0..120).flat_map(|_| [5, 9, 7]));
    let mut batch = plan.input(&[&keys, &values]);
    batch.session = 1;
    runner.call(batch).await.unwrap();
    let parts = runner.parts(plan.end(1), &schema).await.unwrap();
    assert!(parts.len() > 1, "100 groups at a time");
    let rows: usize = parts.iter().map(|part| part.num_rows()).sum();
    assert_eq!(rows, 240);
    assert_eq!(longs(&parts[0], 2)[..4], some([9, 7, 9, 7]));
    assert_eq!(longs(parts.last().unwrap(), 0).last(), Some(&Some(119)));
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_name_the_row_and_a_session_can_be_given_up() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, aggregate("Sum", bigint())).await;
    let mut plan = Plan::new(100, &[bigint(), bigint()], &[1]);
    plan.aggregation("sum(c1)", aggregation(&[0], vec![of(0, 1)], Phase::Complete), 2);
    let schema = plan.results(&[(0, bigint()), (1, bigint())]);
    let mut batch = plan.input(&[&some([1, 1, 2]), &some([1, 13, 1])]);
    batch.session = 4;
    let failure = runner.call(batch).await.unwrap_err();
    let info = failure.error.info();
    assert_eq!((failure.error.code(), info.row, info.function.as_str()), (ErrorCode::UserCode, Some(1), "Sum@1"));
    assert_eq!(info.expression, "sum(c1)");
    // Giving a session up is a message of its own, which the end of another may overtake.
    let given_up = |session| {
        let mut batch = plan.input(&[&some([1]), &some([1])]);
        batch.session = session;
        let (runner, plan, schema) = (&runner, &plan, &schema);
        async move {
            runner.call(batch).await.unwrap();
            runner.interpreter.cancel_session(session);
            tokio::task::yield_now().await;
            runner.parts(plan.end(session), schema).await.unwrap()[0].num_rows() == 0
        }
    };
    let mut session = 5;
    while !given_up(session).await {
        session += 1;
        assert!(session < 1000, "nothing may be left of a session that was given up");
    }
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn zeros_and_nans_are_one_group_and_count_once() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, aggregate("Sum", bigint())).await;
    runner.load(2, definition("Count", FunctionKind::Aggregate, &[simple(TypeRoot::Double)], bigint())).await;
    let double = simple(TypeRoot::Double);
    let mut plan = Plan::new(100, &[double.clone(), bigint()], &[1, 2]);
    let distinct = AggregateCall { distinct: true, ..of(1, 0) };
    plan.aggregation("sum(c1), count(distinct c0)", aggregation(&[0], vec![of(0, 1), distinct], Phase::Complete), 3);
    let schema = plan.results(&[(0, double), (1, bigint()), (2, bigint())]);
    let keys = [0.0, -0.0, f64::NAN, -f64::NAN, 1.0];
    let mut batch = plan.input_of(vec![
        Arc::new(arrow_array::Float64Array::from(keys.to_vec())),
        Arc::new(Int64Array::from(vec![1, 2, 4, 8, 16])),
    ]);
    batch.session = 5;
    runner.call(batch).await.unwrap();
    let parts = runner.parts(plan.end(5), &schema).await.unwrap();
    assert_eq!(longs(&parts[0], 1), some([3, 12, 16]));
    assert_eq!(longs(&parts[0], 2), some([1, 1, 1]));
    let keys = parts[0].column(0).as_any().downcast_ref::<arrow_array::Float64Array>().unwrap();
    assert_eq!(keys.value(0).to_bits(), 0.0_f64.to_bits(), "the key is the zero without a sign");
    runner.interpreter.kill();
}
