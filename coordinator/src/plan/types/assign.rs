//! Which types a declared input accepts: its own, and those that convert to it without loss.

use udfleet_proto::types::arrow_type;
use udfleet_proto::v1::{DataType, TypeRoot};

use super::{decimal, integer_rank, same_ignoring_nulls};

/// How a type goes into a declared one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Fit {
    /// As it is.
    Same,
    /// By a cast that loses nothing.
    Widened,
    /// Not without a cast of the user's.
    No,
}

/// Whether values of `given` may be passed for `wanted`. Nulls are looked at when they come.
pub(in super::super) fn fit(given: &DataType, wanted: &DataType) -> Fit {
    if same_ignoring_nulls(given, wanted) {
        Fit::Same
    } else if !widens(given, wanted) {
        Fit::No
    } else if arrow_type(given) == arrow_type(wanted) {
        Fit::Same
    } else {
        Fit::Widened
    }
}

fn widens(given: &DataType, wanted: &DataType) -> bool {
    use TypeRoot::{
        Array, Binary, Char, Decimal, Double, Float, Int, Null, Row, Smallint, Time, Timestamp, TimestampLtz, Tinyint,
        Varbinary, Varchar,
    };
    let digits = |(p1, s1): (u32, u32), (p2, s2): (u32, u32)| s1 <= s2 && p1 - s1 <= p2 - s2;
    match (given.root(), wanted.root()) {
        (Null, _) => !wanted.not_null,
        (a, b) if integer_rank(a).zip(integer_rank(b)).is_some_and(|(a, b)| a <= b) => true,
        (Tinyint | Smallint, Float) | (Tinyint | Smallint | Int | Float, Double) => true,
        (_, Decimal) => decimal::digits(given).is_some_and(|d| digits(d, (wanted.precision, wanted.scale))),
        (Char | Varchar, Varchar) | (Binary | Varbinary, Varbinary) => given.length <= wanted.length,
        (Time, Time) | (Timestamp, Timestamp) | (TimestampLtz, TimestampLtz) => given.precision <= wanted.precision,
        // Inside of nested types only what has the same layout.
        (Array, Array) => given.element.iter().zip(&wanted.element).all(|(a, b)| fit(a, b) == Fit::Same),
        (Row, Row) => {
            given.fields.len() == wanted.fields.len()
                && given.fields.iter().zip(&wanted.fields).all(|(a, b)| match (&a.r#type, &b.r#type) {
                    (Some(a), Some(b)) => fit(a, b) == Fit::Same,
                    _ => false,
                })
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use udfleet_proto::types::{MAX_LENGTH, simple};

    use super::*;

    fn decimal(precision: u32, scale: u32) -> DataType {
        DataType { precision, scale, ..simple(TypeRoot::Decimal) }
    }

    #[test]
    fn only_what_loses_nothing_goes_in() {
        let fits = |a: TypeRoot, b: TypeRoot| fit(&simple(a), &simple(b));
        assert_eq!(fits(TypeRoot::Int, TypeRoot::Bigint), Fit::Widened);
        assert_eq!(fits(TypeRoot::Bigint, TypeRoot::Int), Fit::No);
        assert_eq!(fits(TypeRoot::Bigint, TypeRoot::Double), Fit::No);
        assert_eq!(fits(TypeRoot::Int, TypeRoot::Double), Fit::Widened);
        assert_eq!(fits(TypeRoot::Double, TypeRoot::Float), Fit::No);
        assert_eq!(fits(TypeRoot::Varchar, TypeRoot::Bigint), Fit::No);
        assert_eq!(fits(TypeRoot::Timestamp, TypeRoot::TimestampLtz), Fit::No);
        assert_eq!(fit(&simple(TypeRoot::Int), &decimal(10, 0)), Fit::Widened);
        assert_eq!(fit(&simple(TypeRoot::Int), &decimal(10, 2)), Fit::No);
        assert_eq!(fit(&decimal(10, 2), &decimal(12, 4)), Fit::Widened);
        assert_eq!(fit(&decimal(10, 2), &decimal(12, 1)), Fit::No);
        let text = |length| DataType { length, ..simple(TypeRoot::Varchar) };
        assert_eq!(fit(&text(10), &text(MAX_LENGTH)), Fit::Same);
        assert_eq!(fit(&text(MAX_LENGTH), &text(10)), Fit::No);
    }

    #[test]
    fn nulls_do_not_matter_but_the_literal_null_does() {
        let wanted = DataType { not_null: true, ..simple(TypeRoot::Bigint) };
        assert_eq!(fit(&simple(TypeRoot::Bigint), &wanted), Fit::Same);
        assert_eq!(fit(&simple(TypeRoot::Null), &wanted), Fit::No);
        assert_eq!(fit(&simple(TypeRoot::Null), &simple(TypeRoot::Bigint)), Fit::Widened);
    }
}
