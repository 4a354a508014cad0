//! Arithmetic on numbers, checked: overflow and division of integers by zero are errors that name their row.

use arrow_arith::numeric;
use arrow_array::{Array as _, ArrayRef};
use arrow_schema::ArrowError;
use udfleet_proto::error::Error;
use udfleet_proto::types::{arrow_type, sql};
use udfleet_proto::v1::operation::Operator;
use udfleet_proto::v1::{DataType, ErrorCode, TypeRoot};

use crate::checked::{binary, kernel};
use crate::locate::{failed, first_failing, show};
use crate::value::Value;
use crate::{cast, decimal, temporal};

/// `left operator right` in the result's type.
pub fn arithmetic(operator: Operator, left: &Value, right: &Value, result: &DataType) -> Result<Value, Error> {
    if left.data_type().is_temporal() || right.data_type().is_temporal() {
        return temporal::arithmetic(operator, left, right, result);
    }
    if result.root() == TypeRoot::Decimal {
        return decimal::arithmetic(operator, left, right, result);
    }
    let (left, right) = (cast(left, &nullable(result))?, cast(right, &nullable(result))?);
    binary(kernel(operator), operator, &left, &right, &sql(result))
}

fn nullable(data_type: &DataType) -> DataType {
    DataType { not_null: false, ..data_type.clone() }
}

/// `-operand`.
pub fn negate(operand: &Value, result: &DataType) -> Result<Value, Error> {
    let operand =
        if operand.data_type() == &arrow_type(result) { operand.clone() } else { cast(operand, &nullable(result))? };
    let run = |array: &ArrayRef| numeric::neg(array);
    match run(operand.array()) {
        Ok(array) => Ok(operand.with(array)),
        Err(ArrowError::ArithmeticOverflow(_) | ArrowError::ComputeError(_)) => {
            let array = operand.array();
            let row = first_failing(array.len(), |start, length| run(&array.slice(start, length)).is_err());
            let shown = format!("-({})", show(&operand, row));
            Err(failed(format!("{shown} is out of range of {}", sql(result)), shown, row))
        }
        Err(other) => Err(Error::new(ErrorCode::InvalidPlan, format!("-{}: {other}", operand.data_type()))),
    }
}
