use udfleet_proto::types::simple;
use udfleet_proto::v1::operation::Operator::{And, Divide, Equal, Greater, IsNotNull, LessOrEqual, Plus};
use udfleet_proto::v1::{Aggregate, Call, Correlate, ErrorCode, Expression, OnError, TypeRoot, expression, step};

use super::fixture::{Shelf, call, cast, col, item, lit, op, outputs, plan, steps, text};
use super::{compile, limits};

#[test]
fn functions_of_one_environment_are_one_stage() {
    let compiled = plan()
        .filter(op(LessOrEqual, vec![call("add", vec![col("a"), col("b")]), lit(3)]))
        .select(vec![
            item(col("a"), ""),
            item(call("f", vec![call("g", vec![col("a")])]), "x"),
            item(op(Plus, vec![col("i"), lit(1)]), ""),
        ])
        .compiled();
    assert_eq!(compiled.stages.len(), 1);
    assert_eq!(
        steps(&compiled, 0),
        ["call add", "literal", "compute", "filter", "call g", "call f", "literal", "compute"]
    );
    assert_eq!(outputs(&compiled), ["a BIGINT", "x BIGINT", "_c2 INT"]);
    assert_eq!(compiled.stages[0].functions, ["add@1", "g@1", "f@1"]);
    let explained = compiled.explain();
    assert!(explained.contains("Stage 1 of 1: add@1, g@1, f@1 in one interpreter call"), "{explained}");
    assert!(explained.contains("filter    (add(a, b) <= 3)"), "{explained}");
}

#[test]
fn equal_deterministic_calls_run_once() {
    let f = || call("f", vec![col("a")]);
    let twice = plan().select(vec![item(f(), "x"), item(f(), "y"), item(op(Plus, vec![f(), f()]), "z")]).select(vec![
        item(col("x"), ""),
        item(col("y"), ""),
        item(op(Plus, vec![col("z"), f_of("a")]), ""),
    ]);
    // Behind a select that has dropped `a` it can't be written again.
    assert!(twice.refused().to_string().contains("no column \"a\""));
    let compiled = plan().select(vec![item(f(), "x"), item(f(), "y"), item(op(Plus, vec![f(), f()]), "z")]).compiled();
    assert_eq!(steps(&compiled, 0), ["call f", "compute"]);
    let rand = || call("rand", vec![]);
    let compiled = plan().select(vec![item(rand(), "x"), item(rand(), "y")]).compiled();
    assert_eq!(steps(&compiled, 0), ["call rand", "call rand"]);
    // One written call is one call, however often its column is used.
    let compiled =
        plan().select(vec![item(rand(), "x")]).select(vec![item(col("x"), ""), item(col("x"), "y")]).compiled();
    assert_eq!(steps(&compiled, 0), ["call rand"]);
}

#[test]
fn what_is_bound_is_evaluated_once() {
    let bound = |position| Expression { kind: Some(expression::Kind::Bound(position)), ..Expression::default() };
    let within = |bindings, expression| Expression { bindings, ..expression };
    let rand = || call("rand", vec![]);
    let sum = |n: u32| op(Plus, vec![bound(n), bound(n)]);
    let compiled = plan().select(vec![item(within(vec![rand()], sum(0)), "x")]).compiled();
    assert_eq!(steps(&compiled, 0), ["call rand", "compute"]);
    // A binding may name those before it, and positions go on where bindings lie within each other.
    let nested = within(vec![rand(), sum(0)], op(Plus, vec![within(vec![rand()], sum(2)), sum(1)]));
    let compiled = plan().select(vec![item(nested, "x")]).compiled();
    assert_eq!(steps(&compiled, 0).iter().filter(|step| *step == "call rand").count(), 2);
    // The same expression at two places is evaluated at each; and in a condition its parts are no filters of their own.
    let once = || {
        within(
            vec![rand()],
            op(And, vec![op(Greater, vec![bound(0), lit(1)]), op(LessOrEqual, vec![bound(0), lit(3)])]),
        )
    };
    let compiled = plan().filter(once()).filter(once()).select(vec![item(col("a"), "")]).compiled();
    assert_eq!(steps(&compiled, 0).iter().filter(|step| *step == "call rand").count(), 2);
    assert_eq!(steps(&compiled, 0).iter().filter(|step| *step == "filter").count(), 2);
    let outside = plan().select(vec![item(within(vec![rand()], sum(0)), "x"), item(bound(0), "y")]).refused();
    assert_eq!(outside.code(), ErrorCode::InvalidPlan);
}

fn f_of(column: &str) -> Expression {
    call("f", vec![col(column)])
}

#[test]
fn filters_run_before_the_functions_that_they_spare() {
    let compiled = plan()
        .select(vec![item(f_of("a"), "x"), item(col("b"), ""), item(call("g", vec![col("b")]), "y")])
        .filter(op(Greater, vec![col("b"), lit(1)]))
        .compiled();
    assert_eq!(steps(&compiled, 0), ["literal", "compute", "filter", "call f", "call g"]);
    // Parts of a condition run by themselves, those without functions first.
    let compiled =
        plan().filter(op(And, vec![op(Greater, vec![f_of("a"), lit(1)]), op(IsNotNull, vec![col("s")])])).compiled();
    assert_eq!(steps(&compiled, 0), ["compute", "filter", "call f", "literal", "compute", "filter"]);
    // What may be refused for a row does not overtake the filter that takes the row out.
    let compiled = plan()
        .filter(call("good", vec![col("s")]))
        .filter(op(Greater, vec![cast(col("s"), simple(TypeRoot::Int)), lit(3)]))
        .compiled();
    assert_eq!(steps(&compiled, 0), ["call good", "filter", "compute", "literal", "compute", "filter"]);
}

#[test]
fn what_is_not_needed_does_not_run() {
    let compiled =
        plan().select(vec![item(f_of("a"), "x"), item(col("b"), "")]).select(vec![item(col("b"), "")]).compiled();
    assert_eq!((steps(&compiled, 0), compiled.stages[0].functions.len()), (vec![], 0));
}

#[test]
fn filters_on_the_left_run_before_lateral_joins() {
    let compiled = plan()
        .join("split", vec![col("s")], &["w", "n"])
        .filter(op(Greater, vec![col("a"), lit(1)]))
        .filter(op(Greater, vec![col("n"), lit(1)]))
        .select(vec![item(col("w"), ""), item(f_of("a"), "x")])
        .compiled();
    assert_eq!(steps(&compiled, 0), ["literal", "compute", "filter", "join split", "compute", "filter", "call f"]);
    assert_eq!(outputs(&compiled), ["w STRING", "x BIGINT"]);
}

#[test]
fn what_is_written_before_a_lateral_join_runs_before_it() {
    let compiled = plan()
        .select(vec![item(f_of("a"), "x"), item(call("rand", vec![]), "r"), item(col("s"), "")])
        .join("split", vec![col("s")], &[])
        .join("count_to", vec![col("n")], &["m"])
        .select(vec![item(col("x"), ""), item(col("r"), ""), item(col("w"), ""), item(f_of("m"), "")])
        .compiled();
    assert_eq!(steps(&compiled, 0), ["call f", "call rand", "join split", "compute", "join count_to", "call f"]);
}

#[test]
fn environments_take_turns_as_seldom_as_possible() {
    let compiled = plan()
        .select(vec![
            item(f_of("a"), "x"),
            item(call("h", vec![col("b")]), "y"),
            item(call("g", vec![call("h", vec![col("a")])]), "z"),
        ])
        .compiled();
    // B first: then A once.
    assert_eq!(compiled.stages.len(), 2);
    assert_eq!((steps(&compiled, 0), steps(&compiled, 1)), (calls(&["h", "h"]), calls(&["f", "g"])));
    let carried: Vec<&str> = compiled.stages[1].inputs.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(carried, ["c0", "c1", "c2"], "a and the results of h; not b, i, s");
    assert_eq!(compiled.stages[0].outputs, compiled.stages[1].inputs);
    let compiled = plan()
        .select(vec![item(f_of("a"), "x"), item(call("k", vec![call("h", vec![col("a")])]), "y")])
        .filter(op(Greater, vec![call("h", vec![col("x")]), lit(0)]))
        .compiled();
    let all: Vec<&str> = compiled.stages.iter().flat_map(|s| &s.functions).map(String::as_str).collect();
    assert_eq!(all, ["f@1", "h@1", "k@1"]);
}

fn calls(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("call {name}")).collect()
}

#[test]
fn rows_survive_between_stages_without_columns() {
    let compiled = plan()
        .filter(op(Greater, vec![call("h", vec![col("a")]), lit(0)]))
        .select(vec![item(call("rand", vec![]), "x")])
        .compiled();
    assert_eq!((compiled.stages.len(), compiled.stages[1].inputs.len()), (2, 1));
}

#[test]
fn a_plan_without_functions_is_one_stage_of_any_environment() {
    let plan = plan().filter(op(Greater, vec![col("a"), lit(1)])).select(vec![item(lit(7), "seven")]);
    let compiled = plan.compiled();
    assert_eq!((compiled.stages.len(), compiled.stages[0].functions.len()), (1, 0));
    assert!(!compiled.stages[0].environment.is_empty());
    let nobody = compile(&plan.0, OnError::Unspecified, &Shelf::default()).unwrap_err();
    assert_eq!(nobody.code(), ErrorCode::NoCapacity);
}

#[test]
fn arguments_widen_and_literals_adapt() {
    let compiled = plan().select(vec![item(call("add", vec![col("i"), lit(1)]), "x")]).compiled();
    assert_eq!(steps(&compiled, 0), ["compute", "literal", "call add"], "INT to BIGINT by a cast; 1 is a BIGINT");
    let Some(step::Kind::Literal(literal)) = &compiled.stages[0].steps[1].kind else { panic!("no literal") };
    assert_eq!(literal.r#type.as_ref().unwrap().root(), TypeRoot::Bigint);
    let error = plan()
        .select(vec![item(call("f", vec![op(Divide, vec![col("a"), cast(lit(2), simple(TypeRoot::Double))])]), "")])
        .refused();
    assert_eq!(error.code(), ErrorCode::InvalidPlan);
    assert!(error.info().message.contains("of type DOUBLE, which does not go into BIGINT"), "{error}");
    assert!(error.info().hint.starts_with("write CAST("), "{error}");
    assert_eq!(error.info().expression, "f((a / CAST(2 AS DOUBLE)))");
}

#[test]
fn refusals_name_what_is_wrong() {
    let refused = |expression: Expression| plan().select(vec![item(expression, "x")]).refused();
    let error = refused(op(Plus, vec![col("a"), col("s")]));
    assert!(error.info().message.contains("+ takes two numbers") && error.info().message.contains("BIGINT and STRING"));
    assert_eq!(error.info().expression, "(a + s)");
    let error = refused(col("bb"));
    assert!(error.info().message.contains("no column \"bb\""), "{error}");
    let error = refused(f_of("aa"));
    assert_eq!(error.info().expression, "aa");
    let error = refused(call("fff", vec![]));
    assert_eq!((error.code(), error.info().expression.as_str()), (ErrorCode::FunctionNotFound, "fff()"));
    let error = refused(call("add", vec![col("a")]));
    assert!(error.info().message.contains("add@1(BIGINT, BIGINT) takes 2 arguments, given 1"), "{error}");
    let error = refused(call("split", vec![col("s")]));
    assert!(error.info().message.contains("split@1 is a table function"), "{error}");
    let error = refused(call("mean", vec![col("a")]));
    assert!(error.info().hint.contains("group_by"), "{error}");
    let error = plan().filter(col("a")).refused();
    assert!(error.info().message.contains("a condition is needed"), "{error}");
    let error = plan().join("f", vec![col("a")], &[]).refused();
    assert!(error.info().message.contains("a table function is needed"), "{error}");
    let error = plan().join("split", vec![col("s")], &["x"]).refused();
    assert!(error.info().message.contains("2 columns, and 1 names"), "{error}");
    let error = plan().select(vec![item(col("a"), "x"), item(col("b"), "x")]).refused();
    assert!(error.info().message.contains("already there"), "{error}");
}

#[test]
fn rows_are_passed_whole_and_flattened() {
    let any = Expression {
        kind: Some(expression::Kind::Call(Box::new(Call {
            function: "any".to_owned(),
            takes_row: true,
            ..Call::default()
        }))),
        ..Expression::default()
    };
    let compiled = plan().select(vec![item(any, "x")]).compiled();
    let Some(step::Kind::Invoke(invocation)) = &compiled.stages[0].steps[0].kind else { panic!("no call") };
    assert_eq!((invocation.row.join(" "), invocation.arguments.clone()), ("a b i s".to_owned(), vec![0, 1, 2, 3]));
    let mut flat = item(call("pair", vec![col("a")]), "");
    flat.flatten = true;
    assert_eq!(outputs(&plan().select(vec![flat.clone()]).compiled()), ["w STRING", "n INT"]);
    flat.names = vec!["x".to_owned(), "y".to_owned()];
    assert_eq!(outputs(&plan().select(vec![flat]).compiled()), ["x STRING", "y INT"]);
}

#[test]
fn left_joins_give_nulls_and_flat_maps_replace() {
    let split = Some(Call { function: "split".to_owned(), arguments: vec![col("s")], ..Call::default() });
    let outer = Correlate { call: split.clone(), outer: true, ..Correlate::default() };
    assert_eq!(outputs(&plan().correlate(outer).compiled())[4..], ["w STRING", "n INT"]);
    let flat = Correlate { call: split, replaces: true, ..Correlate::default() };
    assert_eq!(outputs(&plan().correlate(flat).compiled()), ["w STRING", "n INT"]);
}

#[test]
fn groups_are_aggregated_in_parts_where_all_aggregates_merge() {
    let group = |aggregates: &[&str]| {
        let items = aggregates.iter().map(|name| item(call(name, vec![col("b")]), name));
        plan().group(vec![item(col("a"), "")], std::iter::once(item(col("a"), "")).chain(items).collect()).compiled()
    };
    let parts = group(&["total"]);
    assert_eq!(parts.stages.len(), 2);
    assert_eq!((steps(&parts, 0), steps(&parts, 1)), (vec!["partial".to_owned()], vec!["merge".to_owned()]));
    assert_eq!(parts.stages.iter().map(|stage| stage.pipeline_breaker).collect::<Vec<_>>(), [false, true]);
    assert_eq!(parts.stages[1].functions, ["total@1"]);
    assert_eq!(outputs(&parts), ["a BIGINT", "total BIGINT"]);
    let whole = group(&["total", "mean"]);
    assert_eq!((whole.stages.len(), steps(&whole, 0)), (1, vec!["complete".to_owned()]));
    assert!(whole.stages[0].pipeline_breaker);
    let mut distinct = call("total", vec![col("b")]);
    if let Some(expression::Kind::Call(call)) = &mut distinct.kind {
        call.distinct = true;
    }
    let distinct = plan().group(vec![], vec![item(distinct, "x")]).compiled();
    assert_eq!(steps(&distinct, 0), ["complete"]);
}

#[test]
fn groups_that_do_not_merge_are_spread_by_key_where_there_are_interpreters() {
    let mean = |argument| vec![item(col("k"), ""), item(call("mean", vec![argument]), "m")];
    let by = |key, argument| plan().group(vec![item(key, "k")], mean(argument));
    let plain = by(col("a"), col("b"));
    let spread = plain.compiled_for(4);
    assert_eq!((spread.stages.len(), &spread.stages[0].partition_by[..]), (1, &[0][..]));
    assert!(spread.explain().contains("by key over 4 interpreters"), "{}", spread.explain());
    assert!(plain.compiled_for(1).stages[0].partition_by.is_empty(), "there is one interpreter");

    // What the keys and arguments are computed from is done before, anywhere.
    let computed = by(call("f", vec![col("a")]), call("g", vec![col("b")])).compiled_for(4);
    assert_eq!(steps(&computed, 0), ["call f", "call g"]);
    assert_eq!(steps(&computed, 1), ["complete"]);
    assert_eq!((computed.stages[0].pipeline_breaker, &computed.stages[1].partition_by[..]), (false, &[0][..]));
    assert_eq!(computed.stages[0].environment, computed.stages[1].environment);

    let constant = by(lit(1), col("b")).compiled_for(4);
    assert!(constant.stages.iter().all(|stage| stage.partition_by.is_empty()), "one group is not spread");
    let whole = plan().group(vec![], vec![item(call("mean", vec![col("b")]), "m")]).compiled_for(4);
    assert!(whole.stages[0].partition_by.is_empty());
    let distinct = plan().group(vec![item(col("s"), "")], vec![item(col("s"), "")]).compiled_for(4);
    assert_eq!((distinct.stages.len(), &distinct.stages[0].partition_by[..]), (1, &[3][..]));
}

#[test]
fn behind_a_grouping_there_are_keys_and_aggregates() {
    let key = op(Plus, vec![col("a"), lit(1)]);
    let mean = || call("mean", vec![col("b")]);
    let compiled = plan()
        .group(
            vec![item(key.clone(), "k")],
            vec![item(key, "x"), item(op(Plus, vec![mean(), mean()]), "y"), item(call("f", vec![col("k")]), "z")],
        )
        .compiled();
    assert_eq!(steps(&compiled, 0), ["literal", "compute", "complete", "call f", "compute"]);
    assert_eq!(outputs(&compiled), ["x BIGINT", "y DOUBLE", "z BIGINT"]);
    let error = plan().group(vec![item(col("a"), "")], vec![item(col("b"), ""), item(mean(), "")]).refused();
    assert!(error.info().message.contains("neither a group key nor inside of an aggregate"), "{error}");
    let mixed = vec![item(mean(), "x"), item(call("mean_b", vec![col("b")]), "y")];
    assert!(plan().group(vec![], mixed).refused().info().message.contains("different environments"));
}

#[test]
fn table_aggregates_and_groups_of_groups() {
    let call_of = |name: &str| Call { function: name.to_owned(), arguments: vec![col("b")], ..Call::default() };
    let top = Aggregate { keys: vec![item(col("a"), "")], table: Some(call_of("top2")), ..Aggregate::default() };
    let compiled = plan().aggregate(top).compiled();
    assert_eq!(
        (compiled.stages.len(), outputs(&compiled)),
        (2, vec!["a BIGINT".to_owned(), "w STRING".to_owned(), "n INT".to_owned()])
    );
    let twice = plan()
        .group(vec![item(col("a"), "")], vec![item(col("a"), ""), item(call("total", vec![col("b")]), "t")])
        .filter(op(Greater, vec![col("t"), lit(0)]))
        .group(vec![], vec![item(call("mean", vec![col("t")]), "m")])
        .compiled();
    let all: Vec<_> = (0..twice.stages.len()).map(|stage| steps(&twice, stage)).collect();
    assert_eq!(all, [vec!["partial"], vec!["merge", "literal", "compute", "filter"], vec!["complete"]]);
}

#[test]
fn null_for_failed_rows_needs_results_that_take_it() {
    let mut strict = super::fixture::definition(
        udfleet_proto::v1::FunctionKind::Scalar,
        "strict",
        &[TypeRoot::Bigint],
        simple(TypeRoot::Bigint),
    );
    strict.result_type.as_mut().unwrap().not_null = true;
    let shelf = Shelf::standard().with(strict);
    let plan = plan().select(vec![item(call("strict", vec![col("a")]), "x")]).0;
    compile(&plan, OnError::Skip, &shelf).unwrap();
    let error = compile(&plan, OnError::Null, &shelf).unwrap_err();
    assert_eq!((error.code(), error.info().function.as_str()), (ErrorCode::InvalidPlan, "strict@1"));
}

#[test]
fn limits_are_named() {
    let mut deep = col("a");
    for _ in 0..limits::DEPTH {
        deep = op(Plus, vec![deep, lit(1)]);
    }
    let error = plan().select(vec![item(deep, "x")]).refused();
    assert!(error.code() == ErrorCode::LimitExceeded && error.info().message.contains("40 levels"), "{error}");
    let many = (0..limits::COLUMNS + 1).map(|i| item(col("a"), &format!("c{i}"))).collect();
    assert!(plan().select(many).refused().info().message.contains("2000 columns"));
    let mut long = plan();
    for _ in 0..limits::OPERATORS + 1 {
        long = long.filter(op(Equal, vec![col("s"), text("x")]));
    }
    assert!(long.refused().info().message.contains("256 operators"));
}
