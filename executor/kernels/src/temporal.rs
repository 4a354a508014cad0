//! Dates, times and intervals in arithmetic.

use arrow_arith::numeric;
use arrow_array::{ArrayRef, Datum};
use arrow_schema::{ArrowError, DataType as Arrow, TimeUnit};
use udfleet_proto::error::Error;
use udfleet_proto::types::sql;
use udfleet_proto::v1::DataType;
use udfleet_proto::v1::operation::Operator;

use crate::checked::{binary, kernel};
use crate::value::Value;
use crate::{cast, cast_array};

/// Point ± interval, point - point, interval ± interval, interval * number.
pub fn arithmetic(operator: Operator, left: &Value, right: &Value, result: &DataType) -> Result<Value, Error> {
    let (left, right) = (prepare(left, right)?, prepare(right, left)?);
    let product = match (left.data_type(), right.data_type(), operator) {
        (Arrow::Duration(_), Arrow::Int64, Operator::Times | Operator::Divide) => {
            scaled(operator, &left, &right, result)?
        }
        (Arrow::Int64, Arrow::Duration(_), Operator::Times) => scaled(operator, &right, &left, result)?,
        _ => binary(kernel(operator), operator, &left, &right, &sql(result))?,
    };
    cast(&product, result)
}

/// Brings one operand to a type that Arrow's kernels take together with the other.
fn prepare(value: &Value, other: &Value) -> Result<Value, Error> {
    let to = match (value.data_type(), other.data_type()) {
        (Arrow::Date32, Arrow::Duration(_) | Arrow::Timestamp(_, None)) => {
            Arrow::Timestamp(TimeUnit::Microsecond, None)
        }
        (Arrow::Timestamp(unit, zone), Arrow::Duration(_) | Arrow::Timestamp(_, _) | Arrow::Date32)
            if *unit != TimeUnit::Microsecond =>
        {
            Arrow::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        (from, Arrow::Duration(_) | Arrow::Interval(_)) if from.is_integer() => Arrow::Int64,
        _ => return Ok(value.clone()),
    };
    Ok(value.with(cast_array(value.array(), &to)?))
}

fn scaled(operator: Operator, interval: &Value, factor: &Value, result: &DataType) -> Result<Value, Error> {
    let micros = interval.with(cast_array(interval.array(), &Arrow::Int64)?);
    let times: fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError> =
        if operator == Operator::Times { numeric::mul } else { numeric::div };
    let product = binary(times, operator, &micros, factor, &sql(result))?;
    Ok(product.with(cast_array(product.array(), &Arrow::Duration(TimeUnit::Microsecond))?))
}
