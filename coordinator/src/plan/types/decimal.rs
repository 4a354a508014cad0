//! Precision and scale of decimal results, by Flink's rules.

use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{DataType, TypeRoot};

/// Most digits of a DECIMAL.
const MOST: u32 = 38;
/// Decimal places that a result keeps when it would need more digits than there are.
const LEAST_SCALE: u32 = 6;

/// Digits and decimal places of an exact number; integers as wide as their type.
pub(super) fn digits(data_type: &DataType) -> Option<(u32, u32)> {
    match data_type.root() {
        TypeRoot::Tinyint => Some((3, 0)),
        TypeRoot::Smallint => Some((5, 0)),
        TypeRoot::Int => Some((10, 0)),
        TypeRoot::Bigint => Some((19, 0)),
        TypeRoot::Decimal => Some((data_type.precision, data_type.scale)),
        _ => None,
    }
}

/// `DECIMAL(p1, s1) operator DECIMAL(p2, s2)`.
pub(super) fn arithmetic(operator: Operator, (p1, s1): (u32, u32), (p2, s2): (u32, u32)) -> (u32, u32) {
    let whole = (p1 - s1, p2 - s2);
    let (precision, scale) = match operator {
        Operator::Times => (p1 + p2 + 1, s1 + s2),
        Operator::Divide => {
            let scale = (s1 + p2 + 1).max(LEAST_SCALE);
            (whole.0 + s2 + scale, scale)
        }
        Operator::Modulo => {
            let scale = s1.max(s2);
            (whole.0.min(whole.1) + scale, scale)
        }
        _ => {
            let scale = s1.max(s2);
            (whole.0.max(whole.1) + scale + 1, scale)
        }
    };
    bounded(precision, scale)
}

/// The narrowest type that holds the values of both.
pub(super) fn common((p1, s1): (u32, u32), (p2, s2): (u32, u32)) -> (u32, u32) {
    let scale = s1.max(s2);
    bounded((p1 - s1).max(p2 - s2) + scale, scale)
}

/// Too many digits: decimal places give way, down to 6 of them.
fn bounded(precision: u32, scale: u32) -> (u32, u32) {
    if precision <= MOST {
        // MODULO of DECIMAL(s, s) by DECIMAL(s, s) has no digit before the point and may have none after it.
        return (precision.max(1), scale);
    }
    let whole = precision - scale;
    (MOST, MOST.saturating_sub(whole).max(scale.min(LEAST_SCALE)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn results_are_flinks() {
        use Operator::{Divide, Minus, Modulo, Plus, Times};
        assert_eq!(arithmetic(Plus, (10, 2), (10, 4)), (13, 4));
        assert_eq!(arithmetic(Minus, (5, 0), (3, 3)), (9, 3));
        assert_eq!(arithmetic(Times, (10, 2), (10, 2)), (21, 4));
        assert_eq!(arithmetic(Divide, (10, 2), (10, 2)), (23, 13));
        assert_eq!(arithmetic(Modulo, (10, 2), (5, 1)), (6, 2));
        assert_eq!(arithmetic(Times, (38, 18), (38, 18)), (38, 6));
        assert_eq!(arithmetic(Plus, (38, 0), (38, 0)), (38, 0));
        assert_eq!(common((10, 2), (19, 0)), (21, 2));
    }

    fn decimal() -> impl Strategy<Value = (u32, u32)> {
        (1u32..=38).prop_flat_map(|precision| (Just(precision), 0..=precision))
    }

    proptest! {
        #[test]
        fn results_are_decimals(a in decimal(), b in decimal(), operator in 1i32..=5) {
            let operator = Operator::try_from(operator).unwrap();
            for (precision, scale) in [arithmetic(operator, a, b), common(a, b)] {
                prop_assert!((1..=MOST).contains(&precision) && scale <= precision, "{precision} {scale}");
            }
        }
    }
}
