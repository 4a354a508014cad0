//! Types of SQL's built-in aggregates.

use udfleet_proto::v1::aggregate_call::Builtin;
use udfleet_proto::v1::{DataType, TypeRoot};

use super::compare::comparable;
use super::{is_floating, is_integer, is_numeric, of, with_nulls};

/// The type of an aggregate of a column, or of all rows; else what it takes. Groups without values give null.
pub(in super::super) fn aggregate_type(
    builtin: Builtin,
    given: &[&DataType],
    all_rows: bool,
) -> Result<DataType, &'static str> {
    let number = |result: fn(&DataType) -> DataType| match given {
        [one] if is_numeric(one.root()) => Ok(result(one)),
        _ => Err("takes one number"),
    };
    match (builtin, given) {
        (Builtin::Count, []) if all_rows => Ok(of(TypeRoot::Bigint, false)),
        (Builtin::Count, [_]) => Ok(of(TypeRoot::Bigint, false)),
        (Builtin::Count, _) => Err("takes one column, or *"),
        (Builtin::Sum, _) => number(sum),
        (Builtin::Avg, _) => number(avg),
        (Builtin::Min | Builtin::Max, [one]) if comparable(one, one, true) && one.root() != TypeRoot::Null => {
            Ok(with_nulls(one, true))
        }
        (Builtin::Min | Builtin::Max, _) => Err("takes one column of numbers, texts, bytes or times"),
        (Builtin::StddevPop | Builtin::StddevSamp | Builtin::VarPop | Builtin::VarSamp, _) => {
            number(|_| of(TypeRoot::Double, true))
        }
        (Builtin::Unspecified, _) => Err("is of a newer udfleet"),
    }
}

fn sum(given: &DataType) -> DataType {
    match given.root() {
        root if is_integer(root) => of(TypeRoot::Bigint, true),
        root if is_floating(root) => of(TypeRoot::Double, true),
        _ => DataType { precision: 38, ..with_nulls(given, true) },
    }
}

/// Nothing is cut off: integers have an average that is none.
fn avg(given: &DataType) -> DataType {
    match given.root() {
        TypeRoot::Decimal => DataType { precision: 38, scale: given.scale.max(6), ..with_nulls(given, true) },
        _ => of(TypeRoot::Double, true),
    }
}
