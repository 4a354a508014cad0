//! Built-in functions in plans.

use udfleet_proto::v1::aggregate_call::Builtin as Aggregate;
use udfleet_proto::v1::operation::Operator::{Divide, If, IsNotNull, NotEqual, Plus};
use udfleet_proto::v1::{ErrorCode, FunctionKind, OnError, TypeRoot, step};

use super::super::compile;
use super::super::fixture::{Shelf, call, col, definition, item, lit, op, outputs, plan, steps, text, text_type};

#[test]
fn names_mean_operators_where_nobody_has_registered_them() {
    let compiled = plan().select(vec![item(call("UPPER", vec![col("s")]), "u")]).compiled();
    assert_eq!((steps(&compiled, 0), outputs(&compiled)), (vec!["compute".to_owned()], vec!["u STRING".to_owned()]));
    let unknown = plan().select(vec![item(call("uper", vec![col("s")]), "u")]).refused();
    assert_eq!(unknown.code(), ErrorCode::FunctionNotFound);
    let version = plan().select(vec![item(call("upper@1", vec![col("s")]), "u")]).refused();
    assert_eq!(version.code(), ErrorCode::FunctionNotFound);
}

#[test]
fn a_registered_function_goes_before_a_built_in_one() {
    let shelf = Shelf::standard().with(definition(FunctionKind::Scalar, "upper", &[TypeRoot::Varchar], text_type()));
    let plan = plan().select(vec![item(call("upper", vec![col("s")]), "u")]).0;
    let compiled = compile(&plan, OnError::Unspecified, &shelf).unwrap();
    assert_eq!(steps(&compiled, 0), ["call upper"]);
}

#[test]
fn arguments_of_other_types_and_numbers_are_refused() {
    for (name, arguments) in [
        ("upper", vec![col("a")]),
        ("upper", vec![]),
        ("substring", vec![col("s")]),
        ("sqrt", vec![col("s")]),
        ("year", vec![col("a")]),
        ("nullif", vec![col("a")]),
        ("coalesce", vec![]),
        ("greatest", vec![col("a"), col("s")]),
    ] {
        let refused = plan().select(vec![item(call(name, arguments), "x")]).refused();
        assert_eq!(refused.code(), ErrorCode::InvalidPlan, "{name}: {refused}");
    }
}

#[test]
fn coalesce_is_null_where_all_are_and_greatest_where_any_is() {
    let coalesced = call("coalesce", vec![col("a"), lit(0)]);
    let compiled = plan().select(vec![item(coalesced, "x")]).compiled();
    assert_eq!(outputs(&compiled), ["x BIGINT"]);
    let many = (0..30).map(|value| op(Plus, vec![col("a"), lit(value)])).collect();
    let compiled = plan().select(vec![item(call("greatest", many), "x")]).compiled();
    assert!(steps(&compiled, 0).len() < 250, "each value is computed once");
}

#[test]
fn operators_that_refuse_values_see_those_of_their_branch_only() {
    let safe = op(If, vec![op(NotEqual, vec![col("b"), lit(0)]), op(Divide, vec![col("a"), col("b")]), lit(-1)]);
    let compiled = plan().select(vec![item(safe, "x")]).compiled();
    let operators: Vec<i32> = compiled.stages[0]
        .steps
        .iter()
        .filter_map(|step| match &step.kind {
            Some(step::Kind::Compute(compute)) => Some(compute.operator),
            _ => None,
        })
        .collect();
    let divide = operators.iter().position(|operator| *operator == Divide as i32).unwrap();
    assert!(operators[..divide].contains(&(If as i32)), "the divisor is null where b is 0: {operators:?}");
    let plain = op(If, vec![op(IsNotNull, vec![col("a")]), col("a"), col("b")]);
    assert_eq!(steps(&plan().select(vec![item(plain, "x")]).compiled(), 0).len(), 2, "nothing to guard");
}

#[test]
fn aggregates_without_functions_go_in_parts() {
    let items = vec![
        item(col("s"), ""),
        item(call("count", vec![col("a")]), "n"),
        item(call("sum", vec![col("i")]), "total"),
        item(call("avg", vec![col("a")]), "mean"),
        item(call("max", vec![col("s")]), "last"),
    ];
    let compiled = plan().group(vec![item(col("s"), "")], items).compiled();
    assert_eq!(compiled.stages.len(), 2);
    assert_eq!((compiled.stages[0].pipeline_breaker, compiled.stages[1].pipeline_breaker), (false, true));
    let expected = ["s STRING", "n BIGINT NOT NULL", "total BIGINT", "mean DOUBLE", "last STRING"];
    assert_eq!(outputs(&compiled), expected);
    let Some(step::Kind::Aggregation(merge)) = &compiled.stages[1].steps[0].kind else { panic!("no merge") };
    let builtins: Vec<Aggregate> = merge.aggregates.iter().map(udfleet_proto::v1::AggregateCall::builtin).collect();
    assert_eq!(builtins, [Aggregate::Count, Aggregate::Sum, Aggregate::Avg, Aggregate::Max]);
}

#[test]
fn aggregates_stand_in_groupings_only_and_take_what_they_can() {
    let refused = plan().select(vec![item(call("count", vec![col("a")]), "n")]).refused();
    assert_eq!(refused.code(), ErrorCode::InvalidPlan);
    for (name, argument) in [("sum", col("s")), ("avg", text("x")), ("count", op(Plus, vec![col("s"), lit(1)]))] {
        let refused = plan().group(vec![], vec![item(call(name, vec![argument]), "x")]).refused();
        assert_eq!(refused.code(), ErrorCode::InvalidPlan, "{name}: {refused}");
    }
    let two = plan().group(vec![], vec![item(call("sum", vec![col("a"), col("b")]), "x")]).refused();
    assert_eq!(two.code(), ErrorCode::InvalidPlan);
}

#[test]
fn an_aggregate_written_twice_is_computed_once() {
    let sum = || call("sum", vec![col("a")]);
    let items = vec![item(sum(), "x"), item(op(Plus, vec![sum(), lit(1)]), "y")];
    let compiled = plan().group(vec![], items).compiled();
    let Some(step::Kind::Aggregation(aggregation)) = &compiled.stages[0].steps[0].kind else {
        panic!("no aggregation")
    };
    assert_eq!(aggregation.aggregates.len(), 1);
}
