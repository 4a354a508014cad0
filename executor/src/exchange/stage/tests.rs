use udfleet_proto::v1::{FunctionDefinition, Literal, Unnest};

use super::*;
use crate::link::Pool;

fn bigint() -> DataType {
    simple(TypeRoot::Bigint)
}

fn served(name: &str, kind: FunctionKind, inputs: usize, result: DataType) -> Arc<ServedFunction> {
    let definition = FunctionDefinition {
        name: name.to_owned(),
        version: 1,
        kind: kind as i32,
        input_typed: true,
        input_types: vec![bigint(); inputs],
        result_type: Some(result),
        ..FunctionDefinition::default()
    };
    ServedFunction::new(definition, 1, "env", Pool::new(), Arc::default(), "e".to_owned()).unwrap()
}

/// `add` (scalar), `split` (table, two columns), `mean` (aggregate).
fn functions() -> Vec<Arc<ServedFunction>> {
    let field = |name: &str| Field { name: name.to_owned(), r#type: Some(bigint()) };
    let row = DataType { fields: vec![field("a"), field("b")], ..simple(TypeRoot::Row) };
    vec![
        served("add", FunctionKind::Scalar, 2, bigint()),
        served("split", FunctionKind::Table, 1, row),
        served("mean", FunctionKind::Aggregate, 1, bigint()),
    ]
}

fn stage(kinds: Vec<Kind>, results: Vec<u32>) -> Stage {
    let field = |index: usize| Field { name: format!("c{index}"), r#type: Some(bigint()) };
    let breaks = |kind: &Kind| matches!(kind, Kind::Aggregation(a) if a.phase() != Phase::Partial);
    Stage {
        functions: ["add@1", "split@1", "mean@1"].map(str::to_owned).to_vec(),
        environment: "env".to_owned(),
        inputs: vec![field(0), field(1)],
        pipeline_breaker: kinds.iter().any(breaks),
        steps: kinds.into_iter().map(|kind| Step { text: "the text".to_owned(), kind: Some(kind) }).collect(),
        outputs: (0..results.len()).map(field).collect(),
        results,
        partition_by: Vec::new(),
    }
}

fn call(function: u32, arguments: &[u32]) -> Invocation {
    Invocation { function, arguments: arguments.to_vec(), row: Vec::new() }
}

fn unnest(function: u32, arguments: &[u32]) -> Kind {
    Kind::Unnest(Unnest { call: Some(call(function, arguments)), outer: false })
}

fn aggregation(phase: Phase, keys: &[u32], arguments: &[u32]) -> Kind {
    let aggregate = AggregateCall { call: Some(call(2, arguments)), ..AggregateCall::default() };
    Kind::Aggregation(Aggregation { keys: keys.to_vec(), aggregates: vec![aggregate], phase: phase as i32 })
}

fn run(stage: &Stage) -> Result<(), Error> {
    check(stage, &functions())
}

#[test]
fn registers_grow_by_what_steps_append() {
    let literal = Kind::Literal(Literal { r#type: Some(bigint()), value: None });
    let chain = vec![Kind::Invoke(call(0, &[0, 1])), unnest(1, &[2]), literal, Kind::Filter(5)];
    run(&stage(chain.clone(), vec![0, 1, 2, 3, 4, 5])).unwrap();
    let error = run(&stage(chain, vec![6])).unwrap_err();
    assert!(error.info().message.contains("no register 6"), "{error}");
    run(&stage(vec![aggregation(Phase::Complete, &[0], &[1])], vec![0, 1])).unwrap();
    run(&stage(vec![aggregation(Phase::Merge, &[0], &[1])], vec![0, 1])).unwrap();
    assert!(run(&stage(vec![aggregation(Phase::Partial, &[0], &[1])], vec![2])).is_err(), "registers are replaced");
}

#[test]
fn what_points_nowhere_is_refused_with_its_expression() {
    let compute = |operator: Operator, operands: &[u32]| {
        Kind::Compute(Compute {
            operator: operator as i32,
            operands: operands.to_vec(),
            r#type: Some(bigint()),
            field: 0,
        })
    };
    for (kind, part) in [
        (Kind::Invoke(call(9, &[0, 1])), "no function 9"),
        (Kind::Invoke(call(0, &[0, 7])), "no register 7"),
        (Kind::Invoke(call(0, &[0])), "takes 2 arguments, given 1"),
        (Kind::Invoke(call(1, &[0])), "of kind TABLE can't be called here"),
        (unnest(0, &[0, 1]), "of kind SCALAR can't be called here"),
        (compute(Operator::Plus, &[0]), "PLUS takes 2 operands, given 1"),
        (compute(Operator::Get, &[0]), "no field 0 in 0 fields"),
        (Kind::Flatten(0), "is no ROW"),
        (aggregation(Phase::Unspecified, &[], &[0]), "phase is unknown"),
        (aggregation(Phase::Complete, &[5], &[0]), "no register 5"),
    ] {
        let error = run(&stage(vec![kind], vec![])).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidPlan);
        assert!(error.info().message.contains(part), "{error} lacks {part:?}");
        assert_eq!(error.info().expression, "the text");
    }
}

#[test]
fn stages_that_contradict_themselves_are_refused() {
    let good = stage(vec![Kind::Invoke(call(0, &[0, 1]))], vec![2]);
    run(&good).unwrap();
    assert!(run(&Stage { pipeline_breaker: true, ..good.clone() }).is_err());
    assert!(run(&Stage { partition_by: vec![0], ..good.clone() }).is_err(), "it aggregates nothing");
    assert!(run(&Stage { environment: "other".to_owned(), ..good.clone() }).is_err());
    assert!(run(&Stage { outputs: Vec::new(), ..good.clone() }).is_err());
    let many = vec![functions().remove(0); MAX_STAGE_FUNCTIONS + 1];
    assert_eq!(check(&good, &many).unwrap_err().code(), ErrorCode::LimitExceeded);
}
