//! `+ - * / %` and the sign.

use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{DataType, TypeRoot};

use super::operation::Operand;
use super::{INTEGERS, decimal, integer_rank, is_exact, is_floating, is_integer, is_numeric, of};

/// Integers up to this size are FLOATs without loss.
const FLOAT_EXACT: u64 = 1 << 24;

/// The type of `left operator right`; `None` where there is none.
pub(super) fn result(operator: Operator, left: &Operand<'_>, right: &Operand<'_>) -> Option<DataType> {
    let nullable = !(left.data_type.not_null && right.data_type.not_null);
    let (a, b) = (left.data_type.root(), right.data_type.root());
    match (a, b) {
        (TypeRoot::Null, TypeRoot::Null) => Some(of(TypeRoot::Int, true)),
        (TypeRoot::Null, other) if is_numeric(other) => Some(super::with_nulls(right.data_type, true)),
        (other, TypeRoot::Null) if is_numeric(other) => Some(super::with_nulls(left.data_type, true)),
        _ if is_numeric(a) && is_numeric(b) => Some(number(operator, left, right, nullable)),
        _ => temporal(operator, left.data_type, right.data_type).map(|result| super::with_nulls(&result, nullable)),
    }
}

fn number(operator: Operator, left: &Operand<'_>, right: &Operand<'_>, nullable: bool) -> DataType {
    let (a, b) = (left.data_type.root(), right.data_type.root());
    if is_floating(a) || is_floating(b) {
        return of(if fits_float(left) && fits_float(right) { TypeRoot::Float } else { TypeRoot::Double }, nullable);
    }
    if is_integer(a) && is_integer(b) {
        return of(INTEGERS[width(left).max(width(right))], nullable);
    }
    let digits = |operand: &Operand<'_>| decimal::digits(operand.data_type).unwrap_or((38, 0));
    let (precision, scale) = decimal::arithmetic(operator, digits(left), digits(right));
    DataType { precision, scale, ..of(TypeRoot::Decimal, nullable) }
}

/// A literal is as wide as its value needs, from INT on.
fn width(operand: &Operand<'_>) -> usize {
    let declared = integer_rank(operand.data_type.root()).unwrap_or(INTEGERS.len() - 1);
    match operand.integer() {
        Some(value) if i32::try_from(value).is_ok() => declared.min(2),
        _ => declared,
    }
}

/// True where nothing is lost when it becomes a FLOAT.
fn fits_float(operand: &Operand<'_>) -> bool {
    match operand.data_type.root() {
        TypeRoot::Float | TypeRoot::Tinyint | TypeRoot::Smallint => true,
        _ => operand.integer().is_some_and(|value| value.unsigned_abs() <= FLOAT_EXACT),
    }
}

fn temporal(operator: Operator, left: &DataType, right: &DataType) -> Option<DataType> {
    use TypeRoot::{Date, IntervalDayTime, IntervalYearMonth, Timestamp, TimestampLtz};
    let plus_or_minus = matches!(operator, Operator::Plus | Operator::Minus);
    match (left.root(), right.root()) {
        (Date, IntervalYearMonth) if plus_or_minus => Some(left.clone()),
        (Date, IntervalDayTime) if plus_or_minus => Some(DataType { precision: 6, ..of(Timestamp, true) }),
        (Timestamp | TimestampLtz, IntervalYearMonth) if plus_or_minus => Some(left.clone()),
        (Timestamp | TimestampLtz, IntervalDayTime) if plus_or_minus => {
            Some(DataType { precision: left.precision.max(6), ..left.clone() })
        }
        (IntervalYearMonth | IntervalDayTime, Date | Timestamp | TimestampLtz) if operator == Operator::Plus => {
            temporal(operator, right, left)
        }
        (Date | Timestamp, Date | Timestamp) | (TimestampLtz, TimestampLtz) if operator == Operator::Minus => {
            Some(of(IntervalDayTime, true))
        }
        (IntervalDayTime, IntervalDayTime) | (IntervalYearMonth, IntervalYearMonth) if plus_or_minus => {
            Some(left.clone())
        }
        (IntervalDayTime, other) if is_integer(other) && matches!(operator, Operator::Times | Operator::Divide) => {
            Some(left.clone())
        }
        (other, IntervalDayTime) if is_integer(other) && operator == Operator::Times => Some(right.clone()),
        _ => None,
    }
}

/// The type of `-operand`.
pub(super) fn negated(operand: &Operand<'_>) -> Option<DataType> {
    let root = operand.data_type.root();
    (is_exact(root) || is_floating(root)).then(|| operand.data_type.clone())
}
