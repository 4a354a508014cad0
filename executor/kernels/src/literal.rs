//! Literals of plans.

use std::sync::Arc;

use arrow_array::types::{
    Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type, Int64Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray, StringArray, new_null_array,
};
use arrow_schema::DataType as Arrow;
use udfleet_proto::error::Error;
use udfleet_proto::types::{arrow_type, sql};
use udfleet_proto::v1::{ErrorCode, Literal, TypeRoot, literal::Value as LiteralValue};

use crate::Value;
use crate::misfit::find_misfit;

/// The literal as a constant of its declared type.
///
/// # Errors
/// [`ErrorCode::InvalidPlan`] where the value is none of the type.
pub fn literal(literal: &Literal) -> Result<Value, Error> {
    let data_type = literal.r#type.clone().unwrap_or_default();
    let wanted = arrow_type(&data_type);
    let Some(given) = &literal.value else { return Ok(Value::Constant(new_null_array(&wanted, 1))) };
    let refuse = |why: &str| Error::new(ErrorCode::InvalidPlan, format!("{given:?} is no {}{why}", sql(&data_type)));
    let array = plain(given, data_type.root(), &wanted).ok_or_else(|| refuse(""))?;
    let array = crate::cast::strictly(&array, &wanted).map_err(|why| refuse(&format!(": {why}")))?;
    match find_misfit(&array, &data_type) {
        Some((_, why)) => Err(refuse(&format!(": {why}"))),
        None => Ok(Value::Constant(array)),
    }
}

/// In the type that the message carries it in.
fn plain(given: &LiteralValue, root: TypeRoot, wanted: &Arrow) -> Option<ArrayRef> {
    Some(match (given, root) {
        (LiteralValue::Boolean(value), TypeRoot::Boolean) => Arc::new(BooleanArray::from(vec![*value])),
        (LiteralValue::Integer(value), root) => return integer(*value, root),
        (LiteralValue::Number(value), TypeRoot::Double) => Arc::new(PrimitiveArray::<Float64Type>::from(vec![*value])),
        (LiteralValue::Number(value), TypeRoot::Float) => {
            Arc::new(PrimitiveArray::<Float32Type>::from(vec![*value as f32]))
        }
        (LiteralValue::Text(value), TypeRoot::Char | TypeRoot::Varchar) => {
            Arc::new(StringArray::from(vec![value.as_str()]))
        }
        (LiteralValue::Text(value), TypeRoot::Decimal) => {
            let Arrow::Decimal128(precision, scale) = wanted else { return None };
            let unscaled = crate::parse_decimal(value, (*precision).into(), scale.unsigned_abs().into()).ok()?;
            let array = PrimitiveArray::<Decimal128Type>::from(vec![unscaled]);
            Arc::new(array.with_precision_and_scale(*precision, *scale).ok()?)
        }
        (LiteralValue::Binary(value), TypeRoot::Varbinary) => Arc::new(BinaryArray::from(vec![value.as_ref()])),
        (LiteralValue::Binary(value), TypeRoot::Binary) => {
            Arc::new(FixedSizeBinaryArray::try_from_iter(std::iter::once(value.as_ref())).ok()?)
        }
        _ => return None,
    })
}

fn integer(value: i64, root: TypeRoot) -> Option<ArrayRef> {
    Some(match root {
        TypeRoot::Tinyint | TypeRoot::Smallint | TypeRoot::Int | TypeRoot::Bigint | TypeRoot::Decimal => {
            Arc::new(PrimitiveArray::<Int64Type>::from(vec![value]))
        }
        TypeRoot::Float | TypeRoot::Double => Arc::new(PrimitiveArray::<Int64Type>::from(vec![value])),
        TypeRoot::Date => Arc::new(PrimitiveArray::<Date32Type>::from(vec![i32::try_from(value).ok()?])),
        TypeRoot::Time => Arc::new(PrimitiveArray::<Time64MicrosecondType>::from(vec![value])),
        TypeRoot::Timestamp => Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from(vec![value])),
        TypeRoot::TimestampLtz => {
            Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from(vec![value]).with_timezone("UTC"))
        }
        TypeRoot::IntervalDayTime => Arc::new(PrimitiveArray::<DurationMicrosecondType>::from(vec![value])),
        TypeRoot::IntervalYearMonth => {
            let months = IntervalMonthDayNano::new(i32::try_from(value).ok()?, 0, 0);
            Arc::new(PrimitiveArray::<IntervalMonthDayNanoType>::from(vec![months]))
        }
        _ => return None,
    })
}
