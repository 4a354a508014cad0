//! Which types can be compared, and the common type of two types.

use udfleet_proto::v1::{DataType, TypeRoot};

use super::{
    INTEGERS, decimal, integer_rank, is_bytes, is_floating, is_nested, is_numeric, is_text, of, same_ignoring_nulls,
    with_nulls,
};

/// True where values of both types can be equal; with `ordered` also less or greater.
pub(super) fn comparable(left: &DataType, right: &DataType, ordered: bool) -> bool {
    use TypeRoot::{Boolean, Date, IntervalDayTime, IntervalYearMonth, Null, Time, Timestamp, TimestampLtz};
    match (left.root(), right.root()) {
        (Null, _) | (_, Null) => true,
        (a, b) if is_numeric(a) && is_numeric(b) || is_text(a) && is_text(b) || is_bytes(a) && is_bytes(b) => true,
        (Date | Timestamp, Date | Timestamp)
        | (Time, Time)
        | (TimestampLtz, TimestampLtz)
        | (IntervalDayTime, IntervalDayTime) => true,
        (Boolean, Boolean) | (IntervalYearMonth, IntervalYearMonth) => !ordered,
        (a, _) if is_nested(a) => !ordered && same_ignoring_nulls(left, right),
        _ => false,
    }
}

/// The type that holds values of both, for the branches of a condition.
pub(super) fn common(left: &DataType, right: &DataType) -> Option<DataType> {
    use TypeRoot::{Char, Null, Time, Timestamp, TimestampLtz, Varbinary, Varchar};
    let nullable = !(left.not_null && right.not_null);
    let (a, b) = (left.root(), right.root());
    let result = match (a, b) {
        (Null, _) => right.clone(),
        (_, Null) => left.clone(),
        _ if same_ignoring_nulls(left, right) => left.clone(),
        (a, b) if is_numeric(a) && is_numeric(b) => number(left, right),
        (Char | Varchar, Char | Varchar) => DataType { length: left.length.max(right.length), ..of(Varchar, true) },
        (a, b) if is_bytes(a) && is_bytes(b) => {
            DataType { length: left.length.max(right.length), ..of(Varbinary, true) }
        }
        (Time, Time) | (Timestamp, Timestamp) | (TimestampLtz, TimestampLtz) => {
            DataType { precision: left.precision.max(right.precision), ..left.clone() }
        }
        _ => return None,
    };
    Some(with_nulls(&result, nullable))
}

fn number(left: &DataType, right: &DataType) -> DataType {
    let (a, b) = (left.root(), right.root());
    if is_floating(a) || is_floating(b) {
        let narrow = |root| matches!(root, TypeRoot::Float | TypeRoot::Tinyint | TypeRoot::Smallint);
        return of(if narrow(a) && narrow(b) { TypeRoot::Float } else { TypeRoot::Double }, true);
    }
    match (integer_rank(a), integer_rank(b)) {
        (Some(a), Some(b)) => of(INTEGERS[a.max(b)], true),
        _ => {
            let digits = |data_type| decimal::digits(data_type).unwrap_or((38, 0));
            let (precision, scale) = decimal::common(digits(left), digits(right));
            DataType { precision, scale, ..of(TypeRoot::Decimal, true) }
        }
    }
}
