//! The type of each operator's result, or the operand types that it accepts.

use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{DataType, Literal, TypeRoot, literal};

use super::{arithmetic, builtin, cast, compare, of};

/// What an operator is applied to.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Operand<'a> {
    pub data_type: &'a DataType,
    pub literal: Option<&'a Literal>,
}

impl Operand<'_> {
    /// The value of an integer literal.
    pub(super) fn integer(&self) -> Option<i64> {
        match self.literal?.value {
            Some(literal::Value::Integer(value)) => Some(value),
            _ => None,
        }
    }
}

/// The type of `operator(operands)`, of all operators but GET; else what the operator takes, for a message.
pub(in super::super) fn result_type(
    operator: Operator,
    operands: &[Operand<'_>],
    target: Option<&DataType>,
) -> Result<DataType, &'static str> {
    let nullable = operands.iter().any(|operand| !operand.data_type.not_null);
    let boolean = |operand: &Operand<'_>| matches!(operand.data_type.root(), TypeRoot::Boolean | TypeRoot::Null);
    match (operator, operands) {
        (Operator::Plus | Operator::Minus, [left, right]) => arithmetic::result(operator, left, right)
            .ok_or("takes two numbers, a date or timestamp and an interval, or two of these"),
        (Operator::Times | Operator::Divide, [left, right]) => {
            arithmetic::result(operator, left, right).ok_or("takes two numbers, or an interval of days and an integer")
        }
        (Operator::Modulo, [left, right]) => arithmetic::result(operator, left, right).ok_or("takes two numbers"),
        (Operator::Negate, [operand]) => arithmetic::negated(operand).ok_or("takes a number"),
        (Operator::Equal | Operator::NotEqual, [left, right]) => {
            let good = compare::comparable(left.data_type, right.data_type, false);
            good.then(|| of(TypeRoot::Boolean, nullable)).ok_or("compares values of one kind")
        }
        (Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual, [left, right]) => {
            let good = compare::comparable(left.data_type, right.data_type, true);
            good.then(|| of(TypeRoot::Boolean, nullable)).ok_or("compares numbers, texts, bytes or times of one kind")
        }
        (Operator::And | Operator::Or, [left, right]) => {
            (boolean(left) && boolean(right)).then(|| of(TypeRoot::Boolean, nullable)).ok_or("takes two BOOLEANs")
        }
        (Operator::Not, [operand]) => {
            boolean(operand).then(|| of(TypeRoot::Boolean, nullable)).ok_or("takes a BOOLEAN")
        }
        (Operator::IsNull | Operator::IsNotNull, [_]) => Ok(of(TypeRoot::Boolean, false)),
        (Operator::Cast | Operator::TryCast, [operand]) => {
            let target = target.ok_or("needs a target type")?;
            let nullable = nullable || operator == Operator::TryCast;
            let good = cast::exists(operand.data_type, target);
            good.then(|| super::with_nulls(target, nullable)).ok_or("does not exist between these types")
        }
        (Operator::If, [condition, then, otherwise]) if boolean(condition) => {
            compare::common(then.data_type, otherwise.data_type).ok_or("needs one type for both of its results")
        }
        (Operator::If, [_, _, _]) => Err("takes a BOOLEAN condition"),
        (Operator::Unspecified, _) => Err("is not named"),
        _ => builtin::result_type(operator, operands),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use udfleet_proto::types::{simple, sql};

    use super::*;

    fn typed(operator: Operator, types: &[DataType]) -> Result<String, &'static str> {
        let operands: Vec<_> = types.iter().map(|data_type| Operand { data_type, literal: None }).collect();
        result_type(operator, &operands, None).map(|result| sql(&result))
    }

    fn binary(operator: Operator, a: TypeRoot, b: TypeRoot) -> Result<String, &'static str> {
        typed(operator, &[simple(a), simple(b)])
    }

    #[test]
    fn numbers() {
        use TypeRoot::{Bigint, Date, Double, Float, Int, Smallint, Tinyint, Varchar};
        let plus = |a, b| binary(Operator::Plus, a, b);
        assert_eq!(plus(Tinyint, Smallint).unwrap(), "SMALLINT");
        assert_eq!(plus(Int, Bigint).unwrap(), "BIGINT");
        assert_eq!(binary(Operator::Divide, Int, Int).unwrap(), "INT");
        assert_eq!(plus(Float, Smallint).unwrap(), "FLOAT");
        assert_eq!(plus(Float, Int).unwrap(), "DOUBLE");
        assert_eq!(plus(Double, Bigint).unwrap(), "DOUBLE");
        assert!(plus(Int, Varchar).is_err() && plus(Date, Int).is_err() && plus(Date, Date).is_err());
        let decimal = DataType { precision: 10, scale: 2, ..simple(TypeRoot::Decimal) };
        assert_eq!(typed(Operator::Times, &[decimal.clone(), simple(Int)]).unwrap(), "DECIMAL(21, 2)");
        assert_eq!(typed(Operator::Plus, &[decimal, simple(Float)]).unwrap(), "DOUBLE");
    }

    #[test]
    fn literals_do_not_widen() {
        let number =
            |value| Literal { r#type: Some(simple(TypeRoot::Bigint)), value: Some(literal::Value::Integer(value)) };
        let plus = |root: TypeRoot, value: i64| {
            let (column, literal) = (simple(root), number(value));
            let operands = [
                Operand { data_type: &column, literal: None },
                Operand { data_type: literal.r#type.as_ref().unwrap(), literal: Some(&literal) },
            ];
            sql(&result_type(Operator::Plus, &operands, None).unwrap())
        };
        assert_eq!(plus(TypeRoot::Int, 1), "INT");
        assert_eq!(plus(TypeRoot::Tinyint, 1), "INT");
        assert_eq!(plus(TypeRoot::Int, 1 << 40), "BIGINT");
        assert_eq!(plus(TypeRoot::Float, 1), "FLOAT");
        assert_eq!(plus(TypeRoot::Float, (1 << 24) + 1), "DOUBLE");
    }

    #[test]
    fn times_and_intervals() {
        use TypeRoot::{Date, Int, IntervalDayTime, IntervalYearMonth, Timestamp, TimestampLtz};
        assert_eq!(binary(Operator::Plus, Date, IntervalYearMonth).unwrap(), "DATE");
        assert_eq!(binary(Operator::Plus, IntervalDayTime, Date).unwrap(), "TIMESTAMP(6)");
        assert_eq!(binary(Operator::Minus, Timestamp, Timestamp).unwrap(), "INTERVAL DAY TO SECOND");
        assert_eq!(binary(Operator::Times, IntervalDayTime, Int).unwrap(), "INTERVAL DAY TO SECOND");
        assert!(binary(Operator::Minus, Timestamp, TimestampLtz).is_err());
        assert!(binary(Operator::Less, Timestamp, TimestampLtz).is_err());
        assert_eq!(binary(Operator::Less, Date, Timestamp).unwrap(), "BOOLEAN");
    }

    #[test]
    fn truth_and_nulls() {
        use TypeRoot::{Boolean, Double, Int, Null, Varchar};
        let not_null = |root| DataType { not_null: true, ..simple(root) };
        assert_eq!(typed(Operator::And, &[not_null(Boolean), not_null(Boolean)]).unwrap(), "BOOLEAN NOT NULL");
        assert_eq!(binary(Operator::And, Boolean, Null).unwrap(), "BOOLEAN");
        assert_eq!(typed(Operator::IsNull, &[simple(Int)]).unwrap(), "BOOLEAN NOT NULL");
        assert!(binary(Operator::Less, Boolean, Boolean).is_err() && binary(Operator::Equal, Int, Varchar).is_err());
        assert_eq!(typed(Operator::If, &[simple(Boolean), not_null(Int), simple(Null)]).unwrap(), "INT");
        assert_eq!(typed(Operator::If, &[simple(Boolean), simple(Int), simple(Double)]).unwrap(), "DOUBLE");
        assert!(typed(Operator::If, &[simple(Int), simple(Int), simple(Int)]).is_err());
        assert!(typed(Operator::Plus, &[simple(Int)]).is_err());
    }

    fn any_type() -> impl Strategy<Value = DataType> {
        (1i32..=23, 1u32..=38, 0u32..=38, any::<bool>()).prop_map(|(root, precision, scale, not_null)| {
            let scalar = TypeRoot::try_from(root).unwrap();
            let precision = if scalar == TypeRoot::Decimal { precision } else { precision % 10 };
            let not_null = not_null && scalar != TypeRoot::Null;
            DataType { root, precision, scale: scale.min(precision), length: 5, not_null, ..DataType::default() }
        })
    }

    proptest! {
        #[test]
        fn commutative_operators_have_one_type_either_way(a in any_type(), b in any_type()) {
            for operator in [Operator::Plus, Operator::Times, Operator::Equal, Operator::And, Operator::Less] {
                prop_assert_eq!(typed(operator, &[a.clone(), b.clone()]).ok(), typed(operator, &[b.clone(), a.clone()]).ok());
            }
        }

        #[test]
        fn results_of_non_null_operands_are_never_null(a in any_type(), b in any_type()) {
            for operator in [Operator::Plus, Operator::Divide, Operator::Less, Operator::Or] {
                let operands: Vec<_> = [&a, &b].map(|data_type| Operand { data_type, literal: None }).to_vec();
                if let Ok(result) = result_type(operator, &operands, None) {
                    prop_assert_eq!(result.not_null, a.not_null && b.not_null, "{:?}", operator);
                }
            }
        }
    }
}
