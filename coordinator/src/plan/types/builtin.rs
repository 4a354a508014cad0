//! Types of SQL's built-in functions.

use udfleet_proto::types::{MAX_LENGTH, simple};
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{DataType, TypeRoot};

use super::operation::Operand;
use super::{is_floating, is_integer, is_numeric, is_text, of, with_nulls};

/// The type of `operator(operands)`, of operators that are built-in functions; else what the function takes.
pub(super) fn result_type(operator: Operator, operands: &[Operand<'_>]) -> Result<DataType, &'static str> {
    use TypeRoot::{Bigint, Boolean, Date, Double, Null, Time, Timestamp, TimestampLtz};
    let nullable = operands.iter().any(|operand| !operand.data_type.not_null);
    let text = |operand: &Operand<'_>| matches!(operand.data_type.root(), Null) || is_text(operand.data_type.root());
    let integer =
        |operand: &Operand<'_>| matches!(operand.data_type.root(), Null) || is_integer(operand.data_type.root());
    let number =
        |operand: &Operand<'_>| matches!(operand.data_type.root(), Null) || is_numeric(operand.data_type.root());
    let texts = |good: bool, nullable: bool, wanted| {
        let result = DataType { length: MAX_LENGTH, ..simple(TypeRoot::Varchar) };
        good.then(|| with_nulls(&result, nullable)).ok_or(wanted)
    };
    match (operator, operands) {
        (Operator::Like, [value, pattern]) => {
            (text(value) && text(pattern)).then(|| of(Boolean, nullable)).ok_or("takes two texts")
        }
        (Operator::StartsWith | Operator::EndsWith, [value, other]) => {
            (text(value) && text(other)).then(|| of(Boolean, nullable)).ok_or("takes two texts")
        }
        (Operator::Upper | Operator::Lower | Operator::Reverse, [value]) => {
            texts(text(value), nullable, "takes a text")
        }
        (Operator::Trim | Operator::Ltrim | Operator::Rtrim, [_] | [_, _]) => {
            texts(operands.iter().all(text), nullable, "takes a text, and the characters to remove")
        }
        (Operator::CharLength, [value]) => text(value).then(|| of(Bigint, nullable)).ok_or("takes a text"),
        (Operator::Position, [_, _]) => {
            operands.iter().all(text).then(|| of(Bigint, nullable)).ok_or("takes what to look for, and a text")
        }
        (Operator::Substring, [value, rest @ ..]) if matches!(rest.len(), 1 | 2) => {
            // A negative length gives null.
            let nullable = nullable || rest.len() == 2;
            texts(text(value) && rest.iter().all(integer), nullable, "takes a text, a position and a length")
        }
        (Operator::Concat, [_, ..]) => texts(operands.iter().all(text), nullable, "takes texts"),
        (Operator::Replace, [_, _, _]) => texts(operands.iter().all(text), nullable, "takes three texts"),
        (Operator::Repeat, [value, times]) => {
            texts(text(value) && integer(times), nullable, "takes a text and a number of times")
        }
        (Operator::Lpad | Operator::Rpad, [value, length, filling]) => {
            // A negative length gives null.
            texts(text(value) && integer(length) && text(filling), true, "takes a text, a length and a filling")
        }
        (Operator::Abs | Operator::Sign | Operator::Ceil | Operator::Floor | Operator::Round, [value]) => {
            let root = value.data_type.root();
            let good = root == Null || is_integer(root) || is_floating(root);
            good.then(|| with_nulls(value.data_type, nullable)).ok_or("takes an integer, a FLOAT or a DOUBLE")
        }
        (Operator::Round, [value, places]) => {
            let root = value.data_type.root();
            let good = (root == Null || is_floating(root)) && integer(places);
            good.then(|| with_nulls(value.data_type, nullable)).ok_or("takes a FLOAT or DOUBLE, and decimal places")
        }
        (
            Operator::Sqrt
            | Operator::Exp
            | Operator::Ln
            | Operator::Log10
            | Operator::Sin
            | Operator::Cos
            | Operator::Tan
            | Operator::Asin
            | Operator::Acos
            | Operator::Atan
            | Operator::Sinh
            | Operator::Cosh
            | Operator::Tanh,
            [value],
        ) => number(value).then(|| of(Double, nullable)).ok_or("takes a number"),
        (Operator::Power | Operator::Atan2, [_, _]) => {
            operands.iter().all(number).then(|| of(Double, nullable)).ok_or("takes two numbers")
        }
        (Operator::Extract, [value]) => {
            let good = matches!(value.data_type.root(), Null | Date | Time | Timestamp | TimestampLtz);
            good.then(|| of(Bigint, nullable)).ok_or("takes a DATE, TIME or TIMESTAMP")
        }
        _ => Err("has another number of operands"),
    }
}
