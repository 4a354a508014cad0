//! Limits on the size of plans.

use udfleet_proto::error::Error;
use udfleet_proto::v1::operator::Kind;
use udfleet_proto::v1::{Call, ErrorCode, Expression, Item, Operator, Plan, expression};

/// Most operators of a plan.
pub(super) const OPERATORS: usize = 256;
/// Most expressions of a plan, those inside of others included.
pub(super) const EXPRESSIONS: usize = 5_000;
/// Deepest nesting of expressions.
pub(super) const DEPTH: usize = 40;
/// Most different functions of a plan.
pub(super) const FUNCTIONS: usize = 64;
/// Most columns at any place of a plan.
pub(super) const COLUMNS: usize = 2_000;

/// The error that names a limit.
pub(super) fn exceeded(what: &str, limit: usize) -> Error {
    Error::new(ErrorCode::LimitExceeded, format!("the plan has more than {limit} {what}"))
        .hint("split it: send the result of one plan into the next")
}

/// Checks the sizes that can be counted without knowing any name.
///
/// # Errors
/// [`ErrorCode::LimitExceeded`] naming the limit.
pub(super) fn check(plan: &Plan) -> Result<(), Error> {
    if plan.operators.len() > OPERATORS {
        return Err(exceeded("operators", OPERATORS));
    }
    let mut count = 0;
    plan.operators.iter().try_for_each(|operator| in_operator(operator, &mut count))
}

fn in_operator(operator: &Operator, count: &mut usize) -> Result<(), Error> {
    match &operator.kind {
        None => Ok(()),
        Some(Kind::Project(project)) => in_items(&project.items, count),
        Some(Kind::Filter(filter)) => filter.predicate.iter().try_for_each(|e| visit(e, 1, count)),
        Some(Kind::Correlate(correlate)) => correlate.call.iter().try_for_each(|call| in_call(call, 1, count)),
        Some(Kind::Aggregate(aggregate)) => {
            in_items(&aggregate.keys, count)?;
            in_items(&aggregate.items, count)?;
            aggregate.table.iter().try_for_each(|call| in_call(call, 1, count))
        }
    }
}

fn in_items(items: &[Item], count: &mut usize) -> Result<(), Error> {
    if items.len() > COLUMNS {
        return Err(exceeded("columns", COLUMNS));
    }
    items.iter().filter_map(|item| item.expression.as_ref()).try_for_each(|e| visit(e, 1, count))
}

fn in_call(call: &Call, depth: usize, count: &mut usize) -> Result<(), Error> {
    call.arguments.iter().chain(call.filter.as_deref()).try_for_each(|e| visit(e, depth, count))
}

fn visit(expression: &Expression, depth: usize, count: &mut usize) -> Result<(), Error> {
    *count += 1;
    if *count > EXPRESSIONS {
        return Err(exceeded("expressions", EXPRESSIONS));
    }
    if depth > DEPTH {
        let error = Error::new(ErrorCode::LimitExceeded, format!("expressions are nested deeper than {DEPTH} levels"));
        return Err(super::error::located(error, &expression.text).hint("name parts of it in a select before"));
    }
    expression.bindings.iter().try_for_each(|binding| visit(binding, depth + 1, count))?;
    match &expression.kind {
        Some(expression::Kind::Call(call)) => in_call(call, depth + 1, count),
        Some(expression::Kind::Operation(operation)) => {
            operation.operands.iter().try_for_each(|e| visit(e, depth + 1, count))
        }
        Some(expression::Kind::Column(_) | expression::Kind::Literal(_) | expression::Kind::Bound(_)) | None => Ok(()),
    }
}
