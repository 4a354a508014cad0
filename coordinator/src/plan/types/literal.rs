//! Types of literals, and to which other types they convert.

use udfleet_proto::types::{MAX_LENGTH, simple, sql};
use udfleet_proto::v1::literal::Value;
use udfleet_proto::v1::{DataType, Literal, TypeRoot};

use super::{INTEGERS, integer_rank, is_text};

/// Integers up to this size are DOUBLEs without loss.
const DOUBLE_EXACT: u64 = 1 << 53;
const FLOAT_EXACT: u64 = 1 << 24;

/// The literal with a type, where it has none; says why its value is none of its type.
pub(in super::super) fn normalise(literal: &Literal) -> Result<Literal, String> {
    let nullable = literal.value.is_none();
    let data_type = match &literal.r#type {
        Some(data_type) if data_type.root() != TypeRoot::Unspecified => {
            udfleet_proto::types::validate(data_type).map_err(|e| e.info().message.clone())?;
            DataType { not_null: !nullable, ..data_type.clone() }
        }
        _ => DataType { not_null: !nullable, ..own_type(literal) },
    };
    if let Some(value) = &literal.value {
        check(value, &data_type)?;
    }
    Ok(Literal { r#type: Some(data_type), value: literal.value.clone() })
}

fn own_type(literal: &Literal) -> DataType {
    match &literal.value {
        None => simple(TypeRoot::Null),
        Some(Value::Boolean(_)) => simple(TypeRoot::Boolean),
        Some(Value::Integer(value)) if i32::try_from(*value).is_ok() => simple(TypeRoot::Int),
        Some(Value::Integer(_)) => simple(TypeRoot::Bigint),
        Some(Value::Number(_)) => simple(TypeRoot::Double),
        Some(Value::Text(_)) => DataType { length: MAX_LENGTH, ..simple(TypeRoot::Varchar) },
        Some(Value::Binary(_)) => DataType { length: MAX_LENGTH, ..simple(TypeRoot::Varbinary) },
    }
}

fn check(value: &Value, data_type: &DataType) -> Result<(), String> {
    use TypeRoot::{
        Bigint, Binary, Boolean, Date, Decimal, Double, Float, Int, IntervalDayTime, IntervalYearMonth, Smallint, Time,
        Timestamp, TimestampLtz, Tinyint, Varbinary,
    };
    let good = match (value, data_type.root()) {
        (Value::Boolean(_), Boolean) => true,
        (Value::Integer(value), root @ (Tinyint | Smallint | Int | Bigint)) => in_range(*value, root),
        (Value::Integer(value), Decimal) => fits_digits(&value.to_string(), data_type),
        (Value::Integer(value), Double | Float) => exact(*value, data_type.root()),
        (Value::Integer(value), Date | IntervalYearMonth) => i32::try_from(*value).is_ok(),
        (Value::Integer(_), Time | Timestamp | TimestampLtz | IntervalDayTime) => true,
        (Value::Number(value), Float) => !value.is_finite() || (*value as f32).is_finite(),
        (Value::Number(_), Double) => true,
        (Value::Text(digits), Decimal) => fits_digits(digits, data_type),
        (Value::Text(text), root) if is_text(root) => fits_length(text, data_type),
        (Value::Binary(bytes), Binary) => bytes.len() == data_type.length as usize,
        (Value::Binary(bytes), Varbinary) => bytes.len() <= data_type.length as usize,
        _ => false,
    };
    if good { Ok(()) } else { Err(format!("the literal {} is no {}", show(value), sql(data_type))) }
}

/// A literal as SQL text.
pub(in super::super) fn show(value: &Value) -> String {
    match value {
        Value::Boolean(true) => "TRUE".to_owned(),
        Value::Boolean(false) => "FALSE".to_owned(),
        Value::Integer(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Binary(bytes) => format!("X'{}'", hex::encode(bytes)),
    }
}

fn in_range(value: i64, root: TypeRoot) -> bool {
    match root {
        TypeRoot::Tinyint => i8::try_from(value).is_ok(),
        TypeRoot::Smallint => i16::try_from(value).is_ok(),
        TypeRoot::Int => i32::try_from(value).is_ok(),
        _ => true,
    }
}

fn exact(value: i64, root: TypeRoot) -> bool {
    value.unsigned_abs() <= if root == TypeRoot::Float { FLOAT_EXACT } else { DOUBLE_EXACT }
}

fn fits_length(text: &str, data_type: &DataType) -> bool {
    let length = text.chars().count();
    let most = data_type.length as usize;
    if data_type.root() == TypeRoot::Char { length == most } else { length <= most }
}

/// Plain digits with at most one point and a sign, within precision and scale.
fn fits_digits(text: &str, data_type: &DataType) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    digits(whole)
        && digits(fraction)
        && unsigned.chars().any(|c| c.is_ascii_digit())
        && whole.len() <= (data_type.precision - data_type.scale) as usize
        && fraction.len() <= data_type.scale as usize
}

/// The literal as one of `wanted`, where its value fits there.
pub(in super::super) fn adapt(literal: &Literal, wanted: &DataType) -> Option<Literal> {
    let given = literal.r#type.as_ref()?.root();
    let not_null = literal.value.is_some();
    let value = match (&literal.value, wanted.root()) {
        (None, _) => return (!wanted.not_null).then(|| typed(wanted, None, false)),
        (Some(Value::Integer(value)), root) if integer_rank(given).is_some() => {
            let number =
                INTEGERS.contains(&root) || matches!(root, TypeRoot::Float | TypeRoot::Double | TypeRoot::Decimal);
            number.then_some(Value::Integer(*value))?
        }
        (Some(Value::Number(value)), TypeRoot::Float | TypeRoot::Double) => Value::Number(*value),
        (Some(Value::Number(value)), TypeRoot::Decimal) => Value::Text(value.to_string()),
        (Some(Value::Text(digits)), TypeRoot::Decimal) if given == TypeRoot::Decimal => Value::Text(digits.clone()),
        (Some(Value::Text(digits)), TypeRoot::Double | TypeRoot::Float) if given == TypeRoot::Decimal => {
            Value::Number(digits.parse().ok()?)
        }
        (Some(Value::Text(text)), root) if is_text(root) && is_text(given) => Value::Text(text.clone()),
        (Some(Value::Binary(bytes)), TypeRoot::Binary | TypeRoot::Varbinary) => Value::Binary(bytes.clone()),
        _ => return None,
    };
    check(&value, wanted).ok()?;
    Some(typed(wanted, Some(value), not_null))
}

fn typed(data_type: &DataType, value: Option<Value>, not_null: bool) -> Literal {
    Literal { r#type: Some(DataType { not_null, ..data_type.clone() }), value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(value: Value) -> Literal {
        normalise(&Literal { r#type: None, value: Some(value) }).unwrap()
    }

    fn adapts(value: Value, wanted: &DataType) -> Option<Value> {
        adapt(&literal(value), wanted).and_then(|literal| literal.value)
    }

    #[test]
    fn literals_become_what_is_needed_where_they_fit() {
        let decimal = DataType { precision: 4, scale: 2, ..simple(TypeRoot::Decimal) };
        assert_eq!(adapts(Value::Integer(100), &simple(TypeRoot::Tinyint)), Some(Value::Integer(100)));
        assert_eq!(adapts(Value::Integer(300), &simple(TypeRoot::Tinyint)), None);
        assert_eq!(adapts(Value::Integer(3), &simple(TypeRoot::Double)), Some(Value::Integer(3)));
        assert_eq!(adapts(Value::Integer(99), &decimal), Some(Value::Integer(99)));
        assert_eq!(adapts(Value::Integer(100), &decimal), None);
        assert_eq!(adapts(Value::Number(1.25), &decimal), Some(Value::Text("1.25".to_owned())));
        assert_eq!(adapts(Value::Number(1.255), &decimal), None);
        assert_eq!(adapts(Value::Number(0.1), &simple(TypeRoot::Float)), Some(Value::Number(0.1)));
        assert_eq!(adapts(Value::Number(1e300), &simple(TypeRoot::Float)), None);
        assert_eq!(adapts(Value::Number(1.0), &simple(TypeRoot::Bigint)), None);
        assert_eq!(adapts(Value::Text("1".to_owned()), &simple(TypeRoot::Bigint)), None);
        let text = DataType { length: 2, ..simple(TypeRoot::Varchar) };
        assert_eq!(adapts(Value::Text("né".to_owned()), &text), Some(Value::Text("né".to_owned())));
        assert_eq!(adapts(Value::Text("née".to_owned()), &text), None);
    }

    #[test]
    fn values_that_are_none_of_their_type_are_refused() {
        let refuse = |root: TypeRoot, value: Value| {
            normalise(&Literal { r#type: Some(simple(root)), value: Some(value) }).unwrap_err()
        };
        assert_eq!(refuse(TypeRoot::Tinyint, Value::Integer(300)), "the literal 300 is no TINYINT NOT NULL");
        assert!(refuse(TypeRoot::Bigint, Value::Text("x".to_owned())).contains("'x' is no BIGINT"));
        assert!(refuse(TypeRoot::Decimal, Value::Text("1".to_owned())).contains("precision"));
    }
}
