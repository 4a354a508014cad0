//! Properties: random plans and their stages give the same results. Both are run here, row by row, with functions in
//! place of Python.

use proptest::prelude::*;
use udfleet_proto::v1::aggregation::Phase;
use udfleet_proto::v1::operation::Operator as Op;
use udfleet_proto::v1::{Call, Expression, Invocation, Plan, Stage, expression, literal, operator, step};

use super::fixture::{PlanBuilder, call, col, item, lit, op, plan};

type Value = Option<i64>;
type Row = Vec<Value>;

fn scalar(name: &str, arguments: &[Value]) -> Value {
    let all: Option<Vec<i64>> = arguments.iter().copied().collect();
    let all = all?;
    Some(match (name, &all[..]) {
        ("f", [x]) => x.wrapping_mul(3).wrapping_add(1),
        ("g", [x]) => x ^ 5,
        ("h", [x]) => x.wrapping_sub(7),
        ("k", [x]) => -x.wrapping_add(2),
        ("add", [x, y]) => x.wrapping_add(*y),
        _ => panic!("{name} of {all:?}"),
    })
}

fn table(name: &str, argument: Value) -> Vec<Value> {
    let count = argument.unwrap_or(0).rem_euclid(if name == "tb" { 2 } else { 3 });
    (0..count).map(|i| Some(i + argument.unwrap_or(0))).collect()
}

fn operation(operator: Op, operands: &[Value]) -> Value {
    let truth = |holds: bool| Some(i64::from(holds));
    match (operator, operands) {
        (Op::IsNull, [x]) => truth(x.is_none()),
        (Op::And, [x, y]) => match (x, y) {
            (Some(0), _) | (_, Some(0)) => Some(0),
            (Some(_), Some(_)) => Some(1),
            _ => None,
        },
        (Op::Plus, [Some(x), Some(y)]) => Some(x.wrapping_add(*y)),
        (Op::Greater, [Some(x), Some(y)]) => truth(x > y),
        (Op::Cast, [x]) => *x,
        _ => None,
    }
}

fn value(expression: &Expression, names: &[String], row: &Row) -> Value {
    match expression.kind.as_ref().unwrap() {
        expression::Kind::Column(name) => row[names.iter().position(|n| n == name).unwrap()],
        expression::Kind::Literal(literal) => match literal.value {
            Some(literal::Value::Integer(value)) => Some(value),
            _ => None,
        },
        expression::Kind::Call(call) => {
            let arguments: Vec<Value> = call.arguments.iter().map(|e| value(e, names, row)).collect();
            scalar(&call.function, &arguments)
        }
        expression::Kind::Operation(o) => {
            let operands: Vec<Value> = o.operands.iter().map(|e| value(e, names, row)).collect();
            operation(o.operator(), &operands)
        }
        expression::Kind::Bound(_) => panic!("no random plan binds anything"),
    }
}

/// One operator after the other, as written.
fn as_written(plan: &Plan, mut rows: Vec<Row>) -> Vec<Row> {
    let mut names: Vec<String> = plan.source.iter().map(|field| field.name.clone()).collect();
    for operator in &plan.operators {
        match operator.kind.as_ref().unwrap() {
            operator::Kind::Project(project) => {
                let of = |row: &Row| {
                    project.items.iter().map(|i| value(i.expression.as_ref().unwrap(), &names, row)).collect()
                };
                rows = rows.iter().map(of).collect();
                names = project.items.iter().map(|item| item.name.clone()).collect();
            }
            operator::Kind::Filter(filter) => {
                rows.retain(|row| value(filter.predicate.as_ref().unwrap(), &names, row) == Some(1));
            }
            operator::Kind::Correlate(correlate) => {
                let call = correlate.call.as_ref().unwrap();
                let one = |row: &Row| {
                    let results = table(&call.function, value(&call.arguments[0], &names, row));
                    results.into_iter().map(|x| row.iter().copied().chain([x]).collect()).collect::<Vec<Row>>()
                };
                rows = rows.iter().flat_map(one).collect();
                names.extend(correlate.names.iter().cloned());
            }
            operator::Kind::Aggregate(aggregate) => {
                let key = aggregate.keys[0].expression.as_ref().unwrap();
                let argument = |call: &Call, row: &Row| value(&call.arguments[0], &names, row);
                let Some(expression::Kind::Call(total)) = &aggregate.items[1].expression.as_ref().unwrap().kind else {
                    panic!("no aggregate");
                };
                let pairs = rows.iter().map(|row| (value(key, &names, row), argument(total, row)));
                rows = grouped(pairs.collect());
                names = aggregate.items.iter().map(|item| item.name.clone()).collect();
            }
        }
    }
    rows
}

/// Keys in their order, with sums.
fn grouped(pairs: Vec<(Value, Value)>) -> Vec<Row> {
    let mut groups = std::collections::BTreeMap::<Value, i64>::new();
    for (key, x) in pairs {
        let sum = groups.entry(key).or_default();
        *sum = sum.wrapping_add(x.unwrap_or(0));
    }
    groups.into_iter().map(|(key, sum)| vec![key, Some(sum)]).collect()
}

fn run(stage: &Stage, rows: Vec<Row>) -> Vec<Row> {
    // Batches of two rows, unless it is a pipeline breaker; by key where groups are spread.
    let key = |row: &Row| stage.partition_by.iter().map(|column| row[*column as usize].unwrap_or(1)).sum::<i64>();
    let batches: Vec<Vec<Row>> = if !stage.partition_by.is_empty() {
        (0..3).map(|part| rows.iter().filter(|row| key(row).rem_euclid(3) == part).cloned().collect()).collect()
    } else if stage.pipeline_breaker {
        vec![rows]
    } else {
        rows.chunks(2).map(<[Row]>::to_vec).collect()
    };
    batches.into_iter().flat_map(|batch| run_batch(stage, batch)).collect()
}

fn run_batch(stage: &Stage, mut rows: Vec<Row>) -> Vec<Row> {
    let name = |call: &Invocation| stage.functions[call.function as usize].split('@').next().unwrap();
    let arguments = |call: &Invocation, row: &Row| call.arguments.iter().map(|r| row[*r as usize]).collect::<Vec<_>>();
    for step in &stage.steps {
        match step.kind.as_ref().unwrap() {
            step::Kind::Literal(literal) => {
                let value = match literal.value {
                    Some(literal::Value::Integer(value)) => Some(value),
                    _ => None,
                };
                rows.iter_mut().for_each(|row| row.push(value));
            }
            step::Kind::Compute(compute) => {
                for row in &mut rows {
                    let operands: Vec<Value> = compute.operands.iter().map(|r| row[*r as usize]).collect();
                    row.push(operation(compute.operator(), &operands));
                }
            }
            step::Kind::Invoke(call) => {
                for row in &mut rows {
                    row.push(scalar(name(call), &arguments(call, row)));
                }
            }
            step::Kind::Filter(register) => rows.retain(|row| row[*register as usize] == Some(1)),
            step::Kind::Unnest(unnest) => {
                let call = unnest.call.as_ref().unwrap();
                let one = |row: &Row| {
                    let results = table(name(call), arguments(call, row)[0]);
                    results.into_iter().map(|x| row.iter().copied().chain([x]).collect()).collect::<Vec<Row>>()
                };
                rows = rows.iter().flat_map(one).collect();
            }
            step::Kind::Aggregation(aggregation) => {
                assert_eq!(stage.pipeline_breaker, aggregation.phase() != Phase::Partial);
                let call = aggregation.aggregates[0].call.as_ref().unwrap();
                let pairs = rows.iter().map(|row| (row[aggregation.keys[0] as usize], arguments(call, row)[0]));
                rows = grouped(pairs.collect());
            }
            step::Kind::Flatten(_) => panic!("not made by the compiler"),
        }
    }
    rows.iter().map(|row| stage.results.iter().map(|register| row[*register as usize]).collect()).collect()
}

/// What to do next; columns are chosen when it is known which there are.
#[derive(Debug, Clone)]
enum Next {
    Select(Vec<Shape>),
    Filter(Shape, Shape),
    Join(bool, usize),
    Group(usize, usize, bool),
}

/// An expression.
#[derive(Debug, Clone)]
enum Shape {
    Column(usize),
    Literal(i64),
    Call(usize, Box<Shape>),
    Sum(Box<Shape>, Box<Shape>),
    Add(Box<Shape>, Box<Shape>),
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![4 => (0usize..8).prop_map(Shape::Column), 1 => (-3i64..4).prop_map(Shape::Literal)];
    leaf.prop_recursive(4, 12, 2, |inner| {
        prop_oneof![
            3 => (0usize..4, inner.clone()).prop_map(|(f, x)| Shape::Call(f, Box::new(x))),
            1 => (inner.clone(), inner.clone()).prop_map(|(x, y)| Shape::Sum(Box::new(x), Box::new(y))),
            1 => (inner.clone(), inner).prop_map(|(x, y)| Shape::Add(Box::new(x), Box::new(y))),
        ]
    })
}

fn next() -> impl Strategy<Value = Next> {
    prop_oneof![
        3 => prop::collection::vec(shape(), 1..4).prop_map(Next::Select),
        3 => (shape(), shape()).prop_map(|(x, y)| Next::Filter(x, y)),
        2 => (any::<bool>(), 0usize..8).prop_map(|(b, column)| Next::Join(b, column)),
        1 => (0usize..8, 0usize..8, any::<bool>()).prop_map(|(key, x, merges)| Next::Group(key, x, merges)),
    ]
}

fn written(shape: &Shape, names: &[String]) -> Expression {
    match shape {
        Shape::Column(index) => col(&names[index % names.len()]),
        Shape::Literal(value) => lit(*value),
        Shape::Call(function, x) => call(["f", "g", "h", "k"][*function], vec![written(x, names)]),
        Shape::Sum(x, y) => op(Op::Plus, vec![written(x, names), written(y, names)]),
        Shape::Add(x, y) => call("add", vec![written(x, names), written(y, names)]),
    }
}

fn built(steps: &[Next]) -> PlanBuilder {
    let mut builder = plan().select(vec![item(col("a"), "a"), item(col("b"), "b")]);
    let mut names = vec!["a".to_owned(), "b".to_owned()];
    for (number, step) in steps.iter().enumerate() {
        let column = |index: usize| names[index % names.len()].clone();
        builder = match step {
            Next::Select(shapes) => {
                let named = |(i, shape): (usize, &Shape)| item(written(shape, &names), &format!("c{number}_{i}"));
                let items: Vec<_> = shapes.iter().enumerate().map(named).collect();
                names = items.iter().map(|item| item.name.clone()).collect();
                builder.select(items)
            }
            Next::Filter(x, y) => {
                let greater = op(Op::Greater, vec![written(x, &names), written(y, &names)]);
                builder.filter(op(Op::And, vec![greater, op(Op::Greater, vec![col(&names[0]), lit(-20)])]))
            }
            Next::Join(b, index) => {
                let function = if *b { "tb" } else { "count_to" };
                // BIGINT, whatever the column's type is.
                let argument = call("g", vec![col(&column(*index))]);
                let name = format!("j{number}");
                builder = builder.join(function, vec![argument], &[&name]);
                names.push(name);
                builder
            }
            Next::Group(key, x, merges) => {
                let (key, x) = (column(*key), column(*x));
                let total = call(if *merges { "total" } else { "sum_of" }, vec![col(&x)]);
                names = vec![format!("k{number}"), format!("t{number}")];
                let items = vec![item(col(&key), &names[0]), item(total, &names[1])];
                builder.group(vec![item(col(&key), "")], items)
            }
        };
    }
    builder
}

/// Everything that an executor relies on.
fn well_formed(stages: &[Stage]) {
    for pair in stages.windows(2) {
        assert_eq!(pair[0].outputs, pair[1].inputs);
        assert!(!pair[1].inputs.is_empty() && !pair[0].environment.is_empty());
    }
    for stage in stages {
        assert_eq!(stage.results.len(), stage.outputs.len());
        let aggregations =
            stage.steps.iter().filter(|step| matches!(step.kind, Some(step::Kind::Aggregation(_)))).count();
        assert!(aggregations <= 1, "one grouping per stage");
        let is_column = |column: &u32| (*column as usize) < stage.inputs.len();
        assert!(stage.partition_by.iter().all(|column| stage.pipeline_breaker && is_column(column)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn stages_do_what_the_plan_says(
        steps in prop::collection::vec(next(), 0..7),
        rows in prop::collection::vec((prop::option::of(-9i64..9), -9i64..9), 0..6),
        interpreters in 1u32..3,
    ) {
        let builder = built(&steps);
        // Nested calls may go deeper than is allowed, which is another test's matter.
        let compiled = builder.compiled_for(interpreters);
        well_formed(&compiled.stages);
        let rows: Vec<Row> = rows.into_iter().map(|(a, b)| vec![a, Some(b), Some(0), None]).collect();
        let mut expected = as_written(&builder.0, rows.clone());
        let mut given = compiled.stages.iter().fold(rows, |rows, stage| run(stage, rows));
        if compiled.stages.iter().any(|stage| stage.pipeline_breaker) {
            expected.sort();
            given.sort();
        }
        prop_assert_eq!(given, expected, "{}", compiled.explain());
    }
}
