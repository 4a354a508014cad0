//! Which functions a plan calls, without compiling it.

use std::collections::BTreeSet;

use udfleet_proto::v1::{Aggregate, Call, Correlate, Expression, Filter, Item, Plan, Project, expression, operator};

use super::builtin;

/// Names (`add` or `add@3`) of functions that have to be registered: those of built-in ones need not be, and are left out.
#[must_use]
pub fn functions_called(plan: &Plan) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    // No recursion: how deep expressions are is the client's choice.
    let mut waiting: Vec<&Expression> = Vec::new();
    for operator in &plan.operators {
        match &operator.kind {
            Some(operator::Kind::Project(Project { items })) => waiting.extend(expressions(items)),
            Some(operator::Kind::Filter(Filter { predicate })) => waiting.extend(predicate),
            Some(operator::Kind::Correlate(Correlate { call: Some(called), .. })) => {
                call(called, &mut names, &mut waiting);
            }
            Some(operator::Kind::Aggregate(Aggregate { keys, items, table, .. })) => {
                waiting.extend(expressions(keys));
                waiting.extend(expressions(items));
                table.iter().for_each(|called| call(called, &mut names, &mut waiting));
            }
            Some(operator::Kind::Correlate(_)) | None => {}
        }
    }
    while let Some(expression) = waiting.pop() {
        waiting.extend(&expression.bindings);
        match &expression.kind {
            Some(expression::Kind::Call(called)) => call(called, &mut names, &mut waiting),
            Some(expression::Kind::Operation(operation)) => waiting.extend(&operation.operands),
            Some(expression::Kind::Column(_) | expression::Kind::Literal(_) | expression::Kind::Bound(_)) | None => {}
        }
    }
    names
}

fn expressions(items: &[Item]) -> impl Iterator<Item = &Expression> {
    items.iter().filter_map(|item| item.expression.as_ref())
}

fn call<'p>(called: &'p Call, names: &mut BTreeSet<&'p str>, waiting: &mut Vec<&'p Expression>) {
    if builtin::find(&called.function).is_none() {
        names.insert(&called.function);
    }
    waiting.extend(&called.arguments);
    waiting.extend(called.filter.as_deref());
}

#[cfg(test)]
mod tests {
    use udfleet_proto::v1::{Operation, Operator};

    use super::*;

    fn calls(function: &str, arguments: Vec<Expression>) -> Call {
        Call { function: function.to_owned(), arguments, ..Call::default() }
    }

    fn expression(kind: expression::Kind) -> Expression {
        Expression { kind: Some(kind), ..Expression::default() }
    }

    #[test]
    fn every_place_of_a_call_is_looked_at() {
        let called = |name: &str, arguments| expression(expression::Kind::Call(Box::new(calls(name, arguments))));
        let nested = called("outer", vec![called("inner@2", vec![])]);
        let operation = Operation { operands: vec![called("operand", vec![])], ..Operation::default() };
        let item = |expression| Item { expression: Some(expression), ..Item::default() };
        let binding =
            Expression { bindings: vec![called("binding", vec![])], ..expression(expression::Kind::Bound(0)) };
        let filtered = Call { filter: Some(Box::new(called("when", vec![]))), ..calls("sum", vec![]) };
        let kinds = [
            operator::Kind::Project(Project { items: vec![item(nested), item(binding)] }),
            operator::Kind::Filter(Filter { predicate: Some(expression(expression::Kind::Operation(operation))) }),
            operator::Kind::Correlate(Correlate { call: Some(calls("split", vec![])), ..Correlate::default() }),
            operator::Kind::Aggregate(Aggregate {
                keys: vec![item(called("key", vec![]))],
                items: vec![item(expression(expression::Kind::Call(Box::new(filtered))))],
                table: Some(calls("top", vec![])),
                ..Aggregate::default()
            }),
        ];
        let operators = kinds.into_iter().map(|kind| Operator { kind: Some(kind) }).collect();
        let plan = Plan { operators, ..Plan::default() };
        let names: Vec<_> = functions_called(&plan).into_iter().collect();
        assert_eq!(names, ["binding", "inner@2", "key", "operand", "outer", "split", "top", "when"], "sum is built in");
    }
}
