//! Which casts exist. Whether a value would change is checked by the kernel.

use udfleet_proto::v1::{DataType, TypeRoot};

use super::{is_bytes, is_integer, is_nested, is_numeric, is_text, same_ignoring_nulls};

/// True where `CAST(from AS to)` can work for some value.
pub(super) fn exists(from: &DataType, to: &DataType) -> bool {
    use TypeRoot::{Boolean, Date, IntervalDayTime, IntervalYearMonth, Null, Time, Timestamp, TimestampLtz};
    let (a, b) = (from.root(), to.root());
    if a == Null || same_ignoring_nulls(from, to) {
        return true;
    }
    if is_nested(a) || is_nested(b) {
        return false;
    }
    let interval = |root| matches!(root, IntervalDayTime | IntervalYearMonth);
    match (a, b) {
        (a, b) if is_text(a) => {
            is_text(b) || is_numeric(b) || matches!(b, Boolean | Date | Time | Timestamp | TimestampLtz)
        }
        (a, b) if is_text(b) => !is_bytes(a) && !interval(a),
        (a, b) if is_numeric(a) && is_numeric(b) || is_bytes(a) && is_bytes(b) => true,
        (Boolean, b) => is_integer(b),
        (a, Boolean) => is_integer(a),
        (Date, Timestamp) | (Timestamp, Date | Time) | (Time, Time) => true,
        (Timestamp | TimestampLtz, Timestamp | TimestampLtz) => true,
        _ => false,
    }
}
