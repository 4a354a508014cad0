//! Scalar functions and operators over registers.

use udfleet_proto::types::simple;
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{ErrorCode, Invocation, TypeRoot, step};

use crate::support::{
    Plan, Runner, bigint, decode, field, input, input_of, longs, row, scalar, schema, some, string, texts,
};

const MODULE: &str = r#"
from udfleet import Row

calls = 0

def twice(a):
    global calls
    calls += 1
    return None if a is None else 2 * a

def count(a):
    return calls

def label(a, b):
    return f"{a}-{b}"

def fail_at_seven(a):
    if a == 7:
        raise ValueError("no sevens")
    return a

def whole(r):
    return f"{type(r).__name__}:{r.x}:{r.y}"

def pair(a):
    return Row(a, str(a))

upper = str.upper
number = float

class Module:
    """As torch's: `eval` is something else."""
    def eval(self):
        raise RuntimeError("eval")
    def open(self, context):
        raise RuntimeError("open")
    def __call__(self, a):
        return a + 1

module = Module()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn calls_operators_and_literals_share_registers() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, scalar("twice", &[bigint()], bigint())).await;
    runner.load(2, scalar("label", &[bigint(), bigint()], string())).await;
    let mut plan = Plan::new(100, &[bigint(), bigint()], &[1, 2]);
    let doubled = plan.invoke("twice(c0)", 0, &[0]);
    let ten = plan.long(10);
    let sum = plan.compute("twice(c0) + 10", Operator::Plus, &[doubled, ten], bigint());
    let text = plan.invoke("label(twice(c0) + 10, 10)", 1, &[sum, ten]);
    let schema = plan.results(&[(1, bigint()), (sum, bigint()), (text, string())]);
    let output = runner.call(plan.input(&[&[Some(1), None], &[Some(5), Some(6)]])).await.unwrap();
    let batch = decode(&output, &schema);
    assert_eq!(longs(&batch, 0), [Some(5), Some(6)]);
    assert_eq!(longs(&batch, 1), [Some(12), None]);
    assert_eq!(texts(&batch, 2), [Some("12-10".to_owned()), Some("None-10".to_owned())]);
    let rows: Vec<_> = output.done.runs.iter().map(|run| (run.function, run.rows)).collect();
    assert_eq!(rows, [(1, 2), (2, 2)]);
    assert!(output.done.runs.iter().map(|run| run.run_ns).sum::<u64>() == output.done.run_ns);
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_spare_the_functions_behind_them() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, scalar("twice", &[bigint()], bigint())).await;
    runner.load(2, scalar("count", &[bigint()], bigint())).await;
    let mut plan = Plan::new(100, &[bigint()], &[1, 2]);
    let three = plan.long(3);
    let small = plan.compute("c0 < 3", Operator::Less, &[0, three], simple(TypeRoot::Boolean));
    plan.step("c0 < 3", step::Kind::Filter(small), 0);
    let doubled = plan.invoke("twice(c0)", 0, &[0]);
    let calls = plan.invoke("count(c0)", 1, &[0]);
    let schema = plan.results(&[(doubled, bigint()), (calls, bigint())]);
    let rows: Vec<Option<i64>> = vec![Some(1), Some(5), None, Some(2), Some(9)];
    let batch = decode(&runner.call(plan.input(&[&rows])).await.unwrap(), &schema);
    assert_eq!((longs(&batch, 0), longs(&batch, 1)), (vec![Some(2), Some(4)], vec![Some(2), Some(2)]));
    let nothing = decode(&runner.call(plan.input(&[&[Some(5)]])).await.unwrap(), &schema);
    assert_eq!(nothing.num_rows(), 0);
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_the_row_of_the_input_and_the_expression() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, scalar("fail_at_seven", &[bigint()], bigint())).await;
    let mut plan = Plan::new(100, &[bigint()], &[1]);
    let five = plan.long(5);
    let large = plan.compute("c0 > 5", Operator::Greater, &[0, five], simple(TypeRoot::Boolean));
    plan.step("c0 > 5", step::Kind::Filter(large), 0);
    let same = plan.invoke("fail_at_seven(c0)", 0, &[0]);
    let quotient = plan.compute("fail_at_seven(c0) / (c0 - 8)", Operator::Minus, &[same, five], bigint());
    plan.results(&[(quotient, bigint())]);
    let failure = runner.call(plan.input(&[&some([1, 2, 6, 3, 7])])).await.unwrap_err();
    let info = failure.error.info();
    assert_eq!((failure.error.code(), info.row), (ErrorCode::UserCode, Some(4)));
    assert_eq!((info.function.as_str(), info.expression.as_str()), ("fail_at_seven@1", "fail_at_seven(c0)"));
    let least = [Some(6), Some(i64::MIN + 2)];
    let mut plan = Plan::new(101, &[bigint()], &[1]);
    let five = plan.long(5);
    let less = plan.compute("c0 - 5", Operator::Minus, &[0, five], bigint());
    plan.results(&[(less, bigint())]);
    let failure = runner.call(plan.input(&[&least])).await.unwrap_err();
    let info = failure.error.info();
    assert_eq!((failure.error.code(), info.row), (ErrorCode::InvalidInput, Some(1)));
    assert_eq!(info.expression, "c0 - 5");
    assert!(info.message.contains("out of range of BIGINT"), "{}", info.message);
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_in_and_rows_are_flattened() {
    let runner = Runner::start(MODULE).await;
    let pair = row(&[("n", bigint()), ("s", string())]);
    runner.load(1, scalar("whole", &[bigint(), bigint()], string())).await;
    runner.load(2, scalar("pair", &[bigint()], pair)).await;
    let mut plan = Plan::new(100, &[bigint(), bigint()], &[1, 2]);
    let names = vec!["x".to_owned(), "y".to_owned()];
    let whole = Invocation { function: 0, arguments: vec![0, 1], row: names };
    let whole = plan.step("whole(*)", step::Kind::Invoke(whole), 1);
    let both = plan.invoke("pair(c1)", 1, &[1]);
    let fields = plan.step("pair(c1).*", step::Kind::Flatten(both), 2);
    let schema = plan.results(&[(whole, string()), (fields, bigint()), (fields + 1, string())]);
    let batch = decode(&runner.call(plan.input(&[&[Some(1)], &[Some(2)]])).await.unwrap(), &schema);
    assert_eq!(texts(&batch, 0), [Some("Row:1:2".to_owned())]);
    assert_eq!((longs(&batch, 1), texts(&batch, 2)), (vec![Some(2)], vec![Some("2".to_owned())]));
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn stages_that_do_not_fit_together_are_refused() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, scalar("twice", &[bigint()], bigint())).await;
    let mut plan = Plan::new(100, &[bigint()], &[1]);
    let nowhere = plan.invoke("twice(c7)", 0, &[7]);
    plan.results(&[(nowhere, bigint())]);
    let failure = runner.call(plan.input(&[&[Some(1)]])).await.unwrap_err();
    assert_eq!(failure.error.code(), ErrorCode::InvalidPlan);
    assert_eq!(failure.error.info().expression, "twice(c7)");
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn builtins_types_and_callable_objects_are_called_as_they_are() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, scalar("upper", &[string()], string())).await;
    runner.load(2, scalar("number", &[string()], simple(TypeRoot::Double))).await;
    runner.load(3, scalar("module", &[bigint()], bigint())).await;
    let words =
        || vec![std::sync::Arc::new(arrow_array::StringArray::from(vec!["1e3", "nan"])) as arrow_array::ArrayRef];
    let result = |data_type| schema(&[field("result", &data_type)]);
    let output = runner.call(input_of(1, words())).await.unwrap();
    assert_eq!(texts(&decode(&output, &result(string())), 0)[0].as_deref(), Some("1E3"));
    let output = runner.call(input_of(2, words())).await.unwrap();
    let numbers = decode(&output, &result(simple(TypeRoot::Double)));
    let numbers = numbers.column(0).as_any().downcast_ref::<arrow_array::Float64Array>().unwrap();
    assert_eq!((numbers.value(0), numbers.value(1).is_nan()), (1000.0, true));
    let output = runner.call(input(3, &[&some([1, 2])])).await.unwrap();
    assert_eq!(longs(&decode(&output, &result(bigint())), 0), some([2, 3]));
    runner.interpreter.unload(3).await.unwrap();
    runner.interpreter.kill();
}
